"""Runs a workload under pytest-benchmark.

pytest-benchmark times a plain function, so it would count the entry into the
event loop, which costs more than a whole group_send. Its clock is therefore
replaced by a stopwatch that goes only while a batch runs, and shows the time for
one operation of it: the figures are then those of ``python -m benchmarks``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from .layers import Unsuitable
from .measure import Batched, collector_off, one_batch

if TYPE_CHECKING:
    import asyncio

ROUNDS = 20


class Stopwatch:
    """A clock that stands still except when a batch is added to it."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def __call__(self) -> float:
        """Tell the time, in seconds."""
        return self._seconds

    def add(self, batch_ns: float, operations: int) -> None:
        """Go on by the time that one of the operations of a batch took."""
        self._seconds += batch_ns / operations / 1e9


stopwatch = Stopwatch()
"""The clock of every suite; conftest.py gives it to pytest-benchmark."""


def run(benchmark: Any, loop: asyncio.AbstractEventLoop, workload: Batched) -> None:
    """Measure ``workload``, and fail if a message was lost or doubled."""
    benchmark.group = workload.name

    def batch() -> None:
        batch_ns = loop.run_until_complete(one_batch(workload))
        stopwatch.add(batch_ns, workload.operations)

    try:
        loop.run_until_complete(workload.prepare())
        with collector_off():
            benchmark.pedantic(batch, rounds=ROUNDS, warmup_rounds=workload.warm_up_batches)
    except Unsuitable as reason:
        pytest.skip(str(reason))
    finally:
        loop.run_until_complete(workload.finish())
    assert (workload.lost, workload.doubled) == (0, 0)
