"""How figures, tables and messages look: for people, and as JSON."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, Final

from .command import Exit, Failure

__all__ = [
    "Progress",
    "amount",
    "ask",
    "dump",
    "duration",
    "load",
    "note",
    "say",
    "show_json",
    "table",
]

# JSON has no byte strings: {"$bytes": "aGVsbG8="} stands for one.
_BYTES: Final = "$bytes"
_KILO: Final = 1000
_SHORT: Final = 100  # from here on a decimal says nothing
# Up to so many seconds, in this unit, which has so many.
_TIMES: Final = ((120, "s", 1), (7200, "min", 60), (172800, "h", 3600))


def say(text: str = "") -> None:
    """Write a line to standard output."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """Write a line for people, beside what the command gives: to standard error."""
    sys.stderr.write(f"asgi-shm: {text}\n")


class Progress:
    """One line on a terminal that tells how far a long operation is; nothing elsewhere."""

    def __init__(self) -> None:
        self._shows = sys.stderr.isatty()

    def show(self, text: str) -> None:
        """Put `text` in the place of what stood there."""
        if self._shows:
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()

    def end(self) -> None:
        """Leave no trace."""
        self.show("")


def ask(question: str, *, yes: bool) -> None:
    """Return if the answer is yes; raise Failure if it is not, or if there is nobody to ask."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Failure(f"{question} Nobody is there to ask; give --yes", Exit.FOUND)
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Failure("nothing was done", Exit.FOUND)


def amount(size: float) -> str:
    """Return a number of bytes with a unit: 1.5 MB."""
    unit = "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < _KILO:
            break
        size, unit = size / _KILO, larger
    return f"{size:.1f} {unit}" if unit != "B" and size < _SHORT else f"{size:.0f} {unit}"


def duration(seconds: float | None) -> str:
    """Return seconds as people say it: 250 ms, 12 s, 3 min, 5 h, 2 d; None is never."""
    if seconds is None:
        return "never"
    if seconds < 1:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    # Two of the larger unit say more than 1, rounded.
    for limit, unit, unit_s in _TIMES:
        if seconds < limit:
            return f"{seconds / unit_s:.0f} {unit}"
    return f"{seconds / 86400:.0f} d"


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return rows under their heads; numbers, and what begins with a digit, to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    right = [
        bool(cells) and all(row[i][:1].isdigit() or row[i] in ("", "-") for row in cells)
        for i in range(len(heads))
    ]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in ([head.upper() for head in heads], *cells)
    ]
    return "\n".join(lines)


def dump(message: object, indent: int | None = None) -> str:
    """Return a message, or what a command found, as JSON."""
    return json.dumps(message, default=_not_json, ensure_ascii=False, indent=indent)


def show_json(what: object) -> None:
    """Write what a command found as JSON."""
    say(dump(what, indent=2))


def _not_json(value: object) -> object:
    if isinstance(value, bytes):
        return {_BYTES: base64.b64encode(value).decode()}
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} in JSON")


def load(text: str) -> dict[str, Any]:
    """Return the message that `text` is in JSON; raise Failure if it is none."""
    try:
        message = json.loads(text, object_hook=_with_bytes)
    except ValueError as error:
        raise Failure(f"the message is no JSON: {error}", Exit.USAGE) from None
    if not isinstance(message, dict):
        raise Failure(
            f'a message is a JSON object such as {{"type": "hello"}}, not {text}', Exit.USAGE
        )
    return message


def _with_bytes(value: dict[str, Any]) -> object:
    if value.keys() == {_BYTES}:
        return base64.b64decode(value[_BYTES], validate=True)
    return value
