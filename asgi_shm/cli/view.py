"""What the keys of ``top`` do: which order, which filter, whether it stands still."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from asgi_shm.inspect import Channel, Group, Process

from .snapshot import Rates, Snapshot

__all__ = ["HELP", "ORDERS", "View"]

HELP: Final = "q quit  p pause  s sort  r reverse  / filter  + - interval"

_ENTER: Final = ("\r", "\n")
_ESCAPE: Final = "\x1b"
_ERASE: Final = ("\x7f", "\x08")
_QUIT: Final = ("q", "Q", "\x03", "\x04")
_INTERVALS: Final = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)

_Key = Callable[[Process, Rates], Any]

# How processes may be sorted; each by most first, but the first.
ORDERS: Final[dict[str, _Key]] = {
    "slot": lambda process, _: -process.slot,
    "in/s": lambda process, rates: rates.sent[process.slot],
    "out/s": lambda process, rates: rates.received[process.slot],
    "pending": lambda process, _: process.pending,
    "waiting": lambda process, _: process.waiting,
    "age": lambda process, _: process.age,
}


@dataclass(slots=True)
class View:
    """How the screen is looked at. `press` changes it; the rest asks it."""

    interval: float = 1.0
    order: str = "slot"
    reverse: bool = False
    paused: bool = False
    over: bool = False
    editing: bool = False
    filter: str = ""

    def press(self, key: str) -> None:
        """Do what a key stands for; nothing for others."""
        if self.editing:
            self._edit(key)
        elif key in _QUIT:
            self.over = True
        elif key in ("p", " "):
            self.paused = not self.paused
        elif key == "s":
            orders = list(ORDERS)
            self.order = orders[(orders.index(self.order) + 1) % len(orders)]
        elif key == "r":
            self.reverse = not self.reverse
        elif key == "/":
            self.editing = True
        elif key == _ESCAPE:
            self.filter = ""
        elif key in ("+", "-"):
            self._change_interval(faster=key == "+")

    def _edit(self, key: str) -> None:
        if key in _ENTER:
            self.editing = False
        elif key == _ESCAPE:
            self.editing, self.filter = False, ""
        elif key in _ERASE:
            self.filter = self.filter[:-1]
        elif key.isprintable():
            self.filter += key

    def _change_interval(self, *, faster: bool) -> None:
        if faster:
            less = [interval for interval in _INTERVALS if interval < self.interval]
            self.interval = less[-1] if less else self.interval
        else:
            more = [interval for interval in _INTERVALS if interval > self.interval]
            self.interval = more[0] if more else self.interval

    def processes(self, now: Snapshot, rates: Rates) -> list[Process]:
        """Those whose pid or command line has the filter in it, in order."""
        found = [
            process
            for process in now.processes
            if self.filter in process.command or self.filter == str(process.pid)
        ]
        key = ORDERS[self.order]
        return sorted(found, key=lambda one: key(one, rates), reverse=not self.reverse)

    def channels(self, now: Snapshot) -> list[Channel]:
        """Those with messages whose name has the filter in it, the fullest first."""
        return [one for one in now.channels if self.filter in one.name and one.pending]

    def groups(self, now: Snapshot) -> list[Group]:
        """Those whose name has the filter in it, the largest first."""
        return [one for one in now.groups if self.filter in one.name]
