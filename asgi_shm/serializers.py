"""Turns messages into bytes and back: MessagePack, held to the channel layer specification.

The specification's "Messages" section allows byte strings, text, integers of 64 bits, floats,
lists (tuples count as such), dicts with text keys, booleans and None. msgpack packs more than
that without a word, so the packed bytes are checked natively, and only a message that fails
is walked through here, to say what is wrong with it and where.

- `pack(message)` returns `message` as bytes. Tuples become lists, and subclasses what they
  derive from. Raises SerializationError, with the path to the value, for whatever the
  specification does not allow in a message.
- `unpack(body)` returns the message that `pack` made `body` of, as objects that nobody else
  has. Raises SegmentCorrupt if nothing that `pack` returns looks like that.

Both are native (csrc/python/packing.h), and leave what is unusual to the functions here.
"""

from __future__ import annotations

from collections.abc import Iterator
from reprlib import Repr
from typing import Any, Final, NamedTuple, NoReturn

from msgpack import ExtType, Packer, unpackb

from ._ashm import lib
from ._calls import check, pack, serialize_with, unpack
from .errors import SegmentCorrupt, SerializationError

__all__ = ["pack", "unpack"]

_BYTES: Final = lib.ASHM_BODY_BYTES

# Beyond this the packer refuses.
_DEPTH_MAX: Final = 511
# Of a path that is longer, the middle is left out.
_STEPS_SHOWN: Final = 10

# Tells, of some types, whether none is of interest to _has_other_buffers.
_is_plain: Final = frozenset((bool, bytes, float, int, str, type(None))).issuperset

_short: Final = Repr()
_short.maxstring = _short.maxother = 60

_TYPES: Final = (int, str, float, bytes, dict, list, tuple, type(None))
_ALLOWED: Final = "None, bool, int, float, str, bytes, list, tuple, dict with str keys can"


def _pack_otherwise(message: dict[str, Any], body: bytes | Exception) -> bytes:
    """Return the body of a message that is unusual, or raise SerializationError.

    `body` is what the message was packed to, or why it could not be.
    """
    if isinstance(body, Exception):
        raise _complaint(message, str(body))
    if check(body) == _BYTES and not _has_other_buffers(message):
        return body
    raise _complaint(message, "it changed while it was packed")


def _unpack_otherwise(found: object) -> NoReturn:
    """Say what is wrong with a body in which this was found, or this exception raised."""
    if isinstance(found, ValueError):
        raise SegmentCorrupt(f"a message is not in MessagePack: {found}") from found
    raise SegmentCorrupt("a message is not a dict")


serialize_with(Packer, unpackb, _pack_otherwise, _unpack_otherwise)


def _has_other_buffers(message: dict[str, Any]) -> bool:
    """Tell whether some byte string in `message` is no bytes; msgpack packs them alike."""
    containers: list[Any] = [message]
    for container in containers:  # which grows meanwhile
        values = container.values() if isinstance(container, dict) else container
        if _is_plain(map(type, values)):
            continue
        for value in values:
            if isinstance(value, (bytearray, memoryview)):
                return True
            if isinstance(value, (dict, list, tuple)):
                containers.append(value)
    return False


class _Place(NamedTuple):
    """A value somewhere in a message, and how one gets there."""

    value: Any
    step: str  # from the container to the value, as in Python: "['user']"
    container: _Place | None
    depth: int

    def path(self) -> str:
        steps = []
        place: _Place | None = self
        while place is not None:
            steps.append(place.step)
            place = place.container
        steps.reverse()
        if len(steps) > 2 * _STEPS_SHOWN:
            steps[_STEPS_SHOWN:-_STEPS_SHOWN] = ["..."]
        return "".join(steps)

    def is_inside_itself(self) -> bool:
        outer = self.container
        while outer is not None:
            if outer.value is self.value:
                return True
            outer = outer.container
        return False

    def places_inside(self) -> Iterator[_Place]:
        if isinstance(self.value, dict):
            for key, value in self.value.items():
                yield _Place(value, f"[{_short.repr(str.__str__(key))}]", self, self.depth + 1)
        elif isinstance(self.value, (list, tuple)):
            for index, value in enumerate(self.value):
                yield _Place(value, f"[{index}]", self, self.depth + 1)


def _complaint(message: object, otherwise: str) -> SerializationError:
    """Return the error for the first value, in the packer's order, that is not allowed."""
    if not isinstance(message, dict):
        return SerializationError("message", f"a message is a dict, not {_type(message)}")
    places = [_Place(message, "message", None, 0)]
    while places:
        place = places.pop()
        problem = _problem(place)
        if problem:
            return SerializationError(place.path(), problem)
        places.extend(reversed(list(place.places_inside())))
    return SerializationError("message", otherwise)


def _problem(place: _Place) -> str:
    """Say what is wrong with the value itself; "" if nothing is."""
    value = place.value
    if place.depth > _DEPTH_MAX:
        return f"containers are nested more than {_DEPTH_MAX} deep"
    if isinstance(value, int):
        return "" if -(2**63) <= value < 2**63 else "the integer needs more than 64 bits"
    if isinstance(value, str):
        return _problem_of_text(value)
    if isinstance(value, ExtType) or not isinstance(value, _TYPES):
        return f"{_type(value)} cannot be in a message; {_ALLOWED}"
    if isinstance(value, (dict, list, tuple)) and place.is_inside_itself():
        return "the value holds itself"
    if isinstance(value, dict):
        return next(filter(None, map(_problem_of_key, value)), "")
    return ""


def _problem_of_key(key: object) -> str:
    if not isinstance(key, str):
        return f"the key {_short.repr(key)} is {_type(key)}; keys are str"
    problem = _problem_of_text(key)
    return problem and f"the key {_short.repr(key)}: {problem}"


def _problem_of_text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"character {error.start} of the text is half of a surrogate pair"
    return ""


def _type(value: object) -> str:
    kind = type(value)
    if kind.__module__ == "builtins":
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"
