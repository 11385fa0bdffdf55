"""Encodes channel and group names, and says what is wrong with one that is refused.

Which names are allowed the native module decides (names.h); here it is only explained.
"""

from __future__ import annotations

from typing import Final

from ._ashm import lib
from .errors import InvalidName

__all__ = ["checked", "encoded", "explain", "refusal"]

NAME_MAX: Final[int] = lib.ASHM_NAME_MAX
# Of a longer name the beginning is shown.
_SHOWN: Final = 200

# Not the object's own method: what derives from str may have another.
_encode: Final = str.encode


def encoded(name: str, kind: str) -> bytes:
    """Return a name as bytes; raise InvalidName if it cannot even be encoded."""
    try:
        return _encode(name)
    except (TypeError, UnicodeEncodeError):
        raise refusal(name, kind) from None


def checked(name: str, kind: str) -> bytes:
    """Likewise, of a name that is not given to the native module now; or not allowed."""
    name_encoded = encoded(name, kind)
    if problem := explain(name_encoded.decode(), kind):
        raise InvalidName(problem)
    return name_encoded


def refusal(name: object, kind: str) -> InvalidName:
    """Return the exception for a name that was refused. `kind` is "channel" or "group"."""
    if not isinstance(name, str):
        return InvalidName(f"a {kind} name is a str, not {type(name).__name__}")
    return InvalidName(explain(name, kind) or f"{kind} name {name!r} is not allowed")


def explain(name: str, kind: str) -> str:
    """Say what is wrong with a name; empty if nothing is."""
    special = "!?" if kind == "channel" else ""
    problem = _problem(name, special)
    if not problem:
        return ""
    allowed = f"1 to {NAME_MAX} ASCII letters, digits, hyphens, underscores and periods"
    if special:
        allowed += ", with at most one '!', not as the first, and at most one '?'"
    shown = repr(name) if len(name) <= _SHOWN else f"{name[:_SHOWN]!r}..."
    return f"{kind} name {shown}: {problem}. Allowed are {allowed}"


def _problem(name: str, special: str) -> str:
    if not name:
        return "it is empty"
    if len(name) > NAME_MAX:
        return f"it has {len(name)} characters, and {NAME_MAX} are allowed"
    for position, character in enumerate(name):
        plain = character.isascii() and (character.isalnum() or character in "-_.")
        if not plain and character not in special:
            return f"{character!r} at position {position} is not allowed"
    for mark in special:
        if name.count(mark) > 1:
            return f"{mark!r} occurs {name.count(mark)} times"
    return "nothing stands before the '!'" if name[0] == "!" and special else ""
