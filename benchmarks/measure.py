"""What a measurement is: workloads, their figures, and how time is taken.

Short operations are timed in batches, because reading the clock costs as much as the
fastest of them. The garbage collector runs before the timing and is off during it,
for every layer and every floor alike.
"""

from __future__ import annotations

import asyncio
import gc
import math
import statistics
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter, perf_counter_ns
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

STALL_SECONDS = 5.0
"""A message that takes longer is lost. No sound one comes near it."""

STALLS = 3
"""So many batches that stall end a measurement: more would only take time."""


@dataclass(frozen=True)
class Figure:
    """One thing that a workload measures."""

    label: str
    unit: str
    """ns, /s, B/s, B or a word for a count."""

    @property
    def more_is_better(self) -> bool:
        """Whether a higher figure is the better one."""
        return self.unit.endswith("/s")


@dataclass
class Outcome:
    """What one fresh run of a workload found."""

    figures: dict[str, float] = field(default_factory=dict)
    expected: int = 0
    lost: int = 0
    doubled: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    """What the layer raised and should not have, and how often."""


class Workload:
    """Something to do and to measure; subclasses say what."""

    name: str
    figures: ClassVar[Mapping[str, Figure]]

    async def prepare(self) -> None:
        """Set up once; not timed."""

    async def run(self, seconds: float) -> Outcome:
        """Measure, for about ``seconds``."""
        raise NotImplementedError

    async def errors(self) -> dict[str, int]:
        """Say what the layer raised meanwhile that it should not have, and how often."""
        return {}

    async def finish(self) -> None:
        """Give back what prepare() took, also if it came only half-way; not timed."""


class Batched(Workload):
    """A short operation, timed in batches.

    ``operations`` is how many of it a batch does. A workload that may wait in vain counts
    its operations in ``number``. One that times each itself appends to ``latencies_ns``.
    """

    figures: ClassVar[Mapping[str, Figure]] = {"time": Figure("one operation", "ns")}
    operations: int = 1
    warm_up_batches: int = 3

    def __init__(self) -> None:
        self.latencies_ns: list[int] = []
        self.number = 0
        self.lost = 0
        self.doubled = 0

    async def before(self) -> None:
        """Set up each batch; not timed."""

    async def batch(self) -> None:
        """Do ``operations`` operations; timed."""
        raise NotImplementedError

    async def run(self, seconds: float) -> Outcome:
        """Warm up, then time batches for ``seconds``, and never fewer than three."""
        for _ in range(self.warm_up_batches):
            await one_batch(self)
        self.latencies_ns.clear()
        with collector_off():
            batches = await self._batches(seconds)
        times = [total / self.operations for total in batches if not math.isnan(total)]
        return Outcome(
            self._summary(times), len(batches) * self.operations, self.lost, self.doubled
        )

    def _summary(self, times: Sequence[float]) -> dict[str, float]:
        if self.latencies_ns:
            return percentiles(self.latencies_ns)
        return {"time": statistics.median(times)} if times else {}

    async def _batches(self, seconds: float) -> list[float]:
        batches: list[float] = []
        end = perf_counter() + seconds
        while len(batches) < 3 or perf_counter() < end:
            batches.append(await one_batch(self))
            if self.lost >= STALLS:
                break
        return batches


def percentiles(latencies_ns: Sequence[float]) -> dict[str, float]:
    """Give the median, and the time that 99 of 100 stay under, if there are so many."""
    found = {"p50": statistics.median(latencies_ns)}
    if len(latencies_ns) >= 100:
        found["p99"] = statistics.quantiles(latencies_ns, n=100)[98]
    return found


@contextmanager
def collector_off() -> Iterator[None]:
    """Collect garbage, then keep the collector off while the block runs."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class Watchdog:
    """Cancels the task of a batch that gets on no more."""

    def __init__(self, workload: Batched, task: asyncio.Task[Any]) -> None:
        self._workload = workload
        self._task = task
        self._watch()

    def stop(self) -> None:
        """The batch has ended."""
        self._timer.cancel()

    def _watch(self, seen: int | None = None) -> None:
        number = self._workload.number
        if number == seen:
            self._task.cancel()
        else:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(STALL_SECONDS, self._watch, number)


async def one_batch(workload: Batched) -> float:
    """Run one batch and give its time in ns; nan, and a lost message, if it stalls."""
    await workload.before()
    # Not wait_for(): that makes a task, which costs more than a whole group_send.
    task = asyncio.current_task()
    assert task is not None
    watchdog = Watchdog(workload, task)
    started = perf_counter_ns()
    try:
        await workload.batch()
        return float(perf_counter_ns() - started)
    except asyncio.CancelledError:
        if hasattr(task, "uncancel"):
            task.uncancel()
        workload.lost += 1
        return math.nan
    finally:
        watchdog.stop()
