"""Single keys from a terminal, while something else is shown on it."""

from __future__ import annotations

import os
import select
import sys
import termios
import tty
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Keyboard"]


class Keyboard:
    """The keys of standard input, one at a time and not echoed, in a ``with`` statement."""

    def __enter__(self) -> Self:
        self._descriptor = sys.stdin.fileno()
        self._before = termios.tcgetattr(self._descriptor)
        tty.setcbreak(self._descriptor)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)

    def pressed(self, seconds: float) -> str | None:
        """Return the keys that are pressed within a time, "" for none; None at the end."""
        if not select.select([self._descriptor], [], [], max(0.0, seconds))[0]:
            return ""
        text = os.read(self._descriptor, 64).decode(errors="replace")
        # Of an arrow or a function key nothing stands for itself.
        return "" if text[:1] == "\x1b" and len(text) > 1 else text or None
