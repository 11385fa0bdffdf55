"""Says which processor each process of a benchmark runs on.

Left to the scheduler, two processes that talk would share a processor in one run
and not in the next, and the two differ more than layers do. So every process that
measures is told its *place*; 0 is the measuring process's own. Servers are free.
"""

from __future__ import annotations

import os

_usable = sorted(os.sched_getaffinity(0))
_ALL = "BENCHMARKS_PROCESSORS"
# A companion inherits the affinity of a process that is pinned already.
if _ALL in os.environ:
    _usable = [int(number) for number in os.environ[_ALL].split(",")]


def processors() -> int:
    """How many processors there are to run on."""
    return len(_usable)


def processor(place: int) -> int:
    """The number of the processor of a place; places go round."""
    return _usable[-1 - place % len(_usable)]


def pin(place: int) -> None:
    """Keep this process on the processor of ``place``, and tell those that it starts."""
    os.environ[_ALL] = ",".join(map(str, _usable))
    os.sched_setaffinity(0, {processor(place)})
