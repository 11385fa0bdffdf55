"""Takes a workload's time: warm-up, garbage collector, batches.

A workload is timed in batches, because reading the clock costs as much as the
fastest operation here. The garbage collector runs before the timing and is off
during it, for every layer and every floor alike.
"""

from __future__ import annotations

import asyncio
import gc
import math
import statistics
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter, perf_counter_ns
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

STALL_SECONDS = 5.0
"""A batch that takes longer has lost a message. No sound one comes near it."""


class Workload:
    """Something to do in batches; subclasses say what.

    ``operations`` is how many of the named operation a batch does. A workload
    that times each operation itself appends to ``latencies_ns``.
    """

    name: str
    operations: int = 1
    warm_up_batches: int = 3
    stall_seconds: float = STALL_SECONDS

    def __init__(self) -> None:
        self.latencies_ns: list[int] = []
        self.lost = 0
        self.doubled = 0

    async def prepare(self) -> None:
        """Set up once; not timed."""

    async def before(self) -> None:
        """Set up each batch; not timed."""

    async def batch(self) -> None:
        """Do ``operations`` operations; timed."""
        raise NotImplementedError

    async def finish(self) -> None:
        """Give back what prepare() took, also if it came only half-way; not timed."""


@dataclass
class Run:
    """What one fresh process measured of one workload; times in nanoseconds."""

    operation_ns: list[float]
    """The cost of one operation, from each batch."""

    latencies_ns: list[int] = field(default_factory=list)
    lost: int = 0
    doubled: int = 0

    @property
    def typical_ns(self) -> float:
        """The median: of the latencies where each was timed, else of the batches."""
        return statistics.median(self.latencies_ns or self.operation_ns)

    @property
    def p99_ns(self) -> float | None:
        """The latency that 99 of 100 operations stay under, where each was timed."""
        if len(self.latencies_ns) < 100:
            return None
        return statistics.quantiles(self.latencies_ns, n=100)[98]


@contextmanager
def collector_off() -> Iterator[None]:
    """Collect garbage, then keep the collector off while the block runs."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def one_batch(workload: Workload) -> float:
    """Run one batch and give its time in ns; nan, and a lost message, if it stalls."""
    await workload.before()
    # Not wait_for(): that makes a task, which costs more than a whole group_send.
    task = asyncio.current_task()
    assert task is not None
    watchdog = asyncio.get_running_loop().call_later(workload.stall_seconds, task.cancel)
    started = perf_counter_ns()
    try:
        await workload.batch()
        return float(perf_counter_ns() - started)
    except asyncio.CancelledError:
        workload.lost += 1
        return math.nan
    finally:
        watchdog.cancel()


async def measure(workload: Workload, seconds: float) -> Run:
    """Warm up, then time batches for ``seconds``, and never fewer than three."""
    try:
        await workload.prepare()
        for _ in range(workload.warm_up_batches):
            await one_batch(workload)
        workload.latencies_ns.clear()
        with collector_off():
            batches = await _batches(workload, seconds)
    finally:
        await workload.finish()
    per_operation = [total / workload.operations for total in batches if not math.isnan(total)]
    return Run(per_operation, workload.latencies_ns, workload.lost, workload.doubled)


async def _batches(workload: Workload, seconds: float) -> list[float]:
    batches: list[float] = []
    end = perf_counter() + seconds
    while len(batches) < 3 or perf_counter() < end:
        batches.append(await one_batch(workload))
        if workload.lost > 3:
            break
    return batches
