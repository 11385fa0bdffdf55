"""Whether a loop that has just had messages looks for more of them before it sleeps.

Who sleeps has to be woken, by a system call of the sender's; and where a processor sleeps with
it, that takes tens of microseconds on either side, which is most of what a message between two
processes costs. A peer that answers at once finds awake whoever has looked on for so long. To
look in vain takes a processor's time for nothing, so a loop does it where it has mostly been
worth it, and otherwise tries it now and then.
"""

from __future__ import annotations

import os
from math import inf
from time import monotonic, thread_time
from typing import Final

__all__ = ["LOOK", "TRIAL", "Lookout"]

# Seconds with nothing else to do: as long as to be woken takes on a virtual machine, so in vain
# it costs as much again. What is done for the messages that came does not count: it may be to
# wake the very peer whose answer is awaited, and that took most of it.
LOOK: Final = 100e-6
# Where it has not been worth it, it is tried each so many times that messages came.
TRIAL: Final = 128
# Seconds that others may have had this processor in a look that was worth it: a peer that was
# given it to answer takes longer, and had better be woken.
_AWAY_MAX: Final = 5e-6
# How many looks may be in vain, after many that were not, before it is given up.
_CREDIT_MAX: Final = 8


class Lookout:
    """What one loop knows of it."""

    __slots__ = ("_away", "_came", "_credit", "_end")

    def __init__(self) -> None:
        self._end = 0.0  # of this look, or inf before it has begun, or 0
        self._away = 0.0  # how long this thread had not run, in all, when it began
        self._credit = 1
        self._came = 0

    def messages_came(self) -> bool:
        """Tell whether to look for more of them, when nothing else is to be done."""
        if 0 < self._end < inf:
            now = monotonic()
            if now < self._end and now - thread_time() - self._away < _AWAY_MAX:
                self._credit = min(self._credit + 1, _CREDIT_MAX)
            else:
                self._in_vain()
        if not self._credit:
            self._came += 1
            if self._came % TRIAL:
                return False
        self._end = inf
        return True

    def is_over(self) -> bool:
        """Tell whether nothing came for long enough, or nobody looks; then nobody does."""
        if not self._end:
            return True
        now = monotonic()
        if self._end == inf:
            self._end = now + LOOK
            self._away = now - thread_time()
        elif now >= self._end:
            self._in_vain()
            return True
        os.sched_yield()  # whoever needs the processor has it
        return False

    def _in_vain(self) -> None:
        self._end = 0.0
        self._credit = max(self._credit - 1, 0)

    @property
    def looks(self) -> bool:
        """Whether it is looking."""
        return self._end > 0
