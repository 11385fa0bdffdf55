"""Waiting for a lock of the segment without holding up the event loop, or Ctrl-C.

A native operation of a layer waits `HASTE_NS` for a lock, no longer; nearly always
that is far more than enough. Where it is not, the process that has the lock does not run: it
waits for a processor, or it is stopped. The operation has then done nothing that could not be
done once more, and the coroutine or thread tries again after a pause, as long as
`lock_timeout` allows.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, TypeVar

from .errors import LockTimeout

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["HASTE_NS", "PAUSE", "Patience"]

# An event loop may be held up for 2 ms: this, and what the kernel takes to wake us on a busy
# machine.
HASTE_NS: Final = 500_000
# Seconds from one attempt to the next: the first, and the longest.
PAUSE: Final = 0.001
_PAUSE_MAX: Final = 0.02

_Result = TypeVar("_Result")


class Patience:
    """How long one operation goes on trying."""

    __slots__ = ("_deadline", "_limit", "_pause")

    def __init__(self, limit: float) -> None:
        """Take the seconds from the first time it was refused to the last."""
        self._limit = limit
        self._deadline: float | None = None
        self._pause = PAUSE

    def _next(self, refused: LockTimeout) -> float:
        """Return how long to pause; or raise `refused` if the time is over."""
        now = time.monotonic()
        if self._deadline is None:
            self._deadline = now + self._limit
        if now >= self._deadline:
            raise refused
        pause = min(self._pause, self._deadline - now)
        self._pause = min(2 * self._pause, _PAUSE_MAX)
        return pause

    def wait(self, refused: LockTimeout) -> None:
        """Hold this thread up for a while, which a signal handler may end; or raise."""
        time.sleep(self._next(refused))

    async def pause(self, refused: LockTimeout) -> None:
        """Let the loop run, then return; or raise `refused` if the time is over."""
        pause = self._next(refused)
        if _runs_in_a_loop():
            await asyncio.sleep(pause)
        else:
            time.sleep(pause)  # noqa: ASYNC251 - there is no loop to hold up

    def insist(self, refused: LockTimeout, call: Callable[[], _Result]) -> _Result:
        """As `call`, holding this thread up."""
        while True:
            self.wait(refused)
            try:
                return call()
            except LockTimeout as again:
                refused = again

    async def call(self, refused: LockTimeout, call: Callable[[], _Result]) -> _Result:
        """Make the call, which was refused once, until it is not."""
        while True:
            await self.pause(refused)
            try:
                return call()
            except LockTimeout as again:
                refused = again


def _runs_in_a_loop() -> bool:
    """False for a coroutine that is driven by hand: what does not wait needs no loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
