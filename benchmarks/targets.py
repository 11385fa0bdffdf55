"""What asgi_shm is to reach, and whether it did: every line is computed from one run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .store import FLOOR, CellKey, Results, ratio
from .text import number, quantity, times
from .workloads import GROUP_SIZES, blank

OURS, MEMORY = "asgi_shm", "in_memory"
LOOP = "asyncio"
MICRO = 1_000.0
RECEIVING = 2
"""Processes with members in the fan-out workload."""


@dataclass(frozen=True)
class Verdict:
    """One target with what was found; ``met`` is None where it could not be measured."""

    target: str
    measured: str
    met: bool | None


class Judge:
    """Asks the results for what targets need."""

    def __init__(self, results: Results) -> None:
        self._results = results
        contenders = results.header["contenders"]
        self._peers = [key for key in contenders if key not in (OURS, MEMORY)]
        self._labels = {key: label for key, (label, _) in contenders.items()}

    def median(self, workload: str, figure: str, contender: str = OURS) -> float | None:
        """The median over the repetitions."""
        return self._results.median(CellKey(LOOP, workload, contender), figure)

    def best(self, workload: str, figure: str) -> str | None:
        """The peer that did best."""
        more = blank(workload).figures[figure].more_is_better
        found = ((self.median(workload, figure, peer), peer) for peer in self._peers)
        measured = [(value, peer) for value, peer in found if value]
        return sorted(measured, reverse=more)[0][1] if measured else None

    def at_least(
        self, text: str, factor: float, workload: str, figure: str, other: str | None
    ) -> Verdict:
        """Ours is ``factor`` times as good as the other contender's."""
        if other is None:
            return Verdict(text, "no peer was measured", None)
        ours, theirs = CellKey(LOOP, workload, OURS), CellKey(LOOP, workload, other)
        if not blank(workload).figures[figure].more_is_better:
            ours, theirs = theirs, ours
        found = self._results.ratio(ours, theirs, figure)
        label = self._labels.get(other, other)
        return self.verdict(text, found, f"{times(found)} ({label})", lambda r: r >= factor)

    def at_most(
        self, text: str, limit: float, workload: str, figure: str, unit: str = ""
    ) -> Verdict:
        """Ours is no more than ``limit``."""
        unit = unit or blank(workload).figures[figure].unit
        found = self.median(workload, figure)
        told = "" if found is None else quantity(found, unit)
        return self.verdict(text, found, told, lambda value: value <= limit)

    def ratio(self, above: tuple[str, ...], below: tuple[str, ...]) -> float | None:
        """Two workloads with a figure, of ours or of the contender that stands third."""
        sides = []
        for workload, figure, *contender in (above, below):
            key = CellKey(LOOP, workload, *(contender or [OURS]))
            sides.append(self._results.values(key, figure))
        return ratio(*sides)

    def within(
        self, text: str, factor: float, above: tuple[str, ...], below: tuple[str, ...]
    ) -> Verdict:
        """One figure is at most ``factor`` times another."""
        found = self.ratio(above, below)
        return self.verdict(text, found, times(found), lambda r: r <= factor)

    def slowest(self, workload: str, contender: str = OURS) -> float | None:
        """How many times the median the 99th percentile is."""
        return self.ratio((workload, "p99", contender), (workload, "p50", contender))

    @staticmethod
    def verdict(
        text: str, found: float | None, told: str, meets: Callable[[float], bool]
    ) -> Verdict:
        """Judge a figure, if there is one."""
        if found is None:
            return Verdict(text, "not measured", None)
        return Verdict(text, told, meets(found))


def verdicts(results: Results) -> list[Verdict]:
    """Judge all targets, in the order of the workloads."""
    judge = Judge(results)
    return [
        *_direct(judge),
        *_groups(judge),
        *_queue(judge, results),
        *_idle(judge),
        *_synchronous(judge),
        *_growth(judge),
        *_footprint(judge),
    ]


def _direct(judge: Judge) -> Iterator[Verdict]:
    yield judge.at_least(
        "send and receive in one process: 3 × faster than the in-memory layer",
        3, "send_receive", "time", MEMORY,
    )  # fmt: skip
    yield judge.within(
        "round trip, median: within 1.3 × the FIFO floor",
        1.3, ("round_trip", "p50"), ("fifo", "p50", FLOOR),
    )  # fmt: skip
    yield judge.at_least(
        "round trip, median: 4 × faster than the best peer",
        4, "round_trip", "p50", judge.best("round_trip", "p50"),
    )  # fmt: skip
    yield judge.verdict(
        "round trip, 99th percentile: within 2 × the median",
        slowest := judge.slowest("round_trip"),
        f"{times(slowest)}, of two processors that compute in turn"
        f" {times(judge.slowest('c_turns', FLOOR))}",
        lambda r: r <= 2,
    )
    for key, size in (("100", "100 B"), ("10k", "10 kB"), ("1m", "1 MB")):
        workload = f"stream_{key}"
        yield judge.at_least(
            f"stream of {size}: 3 × the best peer",
            3, workload, "rate", judge.best(workload, "rate"),
        )  # fmt: skip


def _groups(judge: Judge) -> Iterator[Verdict]:
    for size in GROUP_SIZES:
        workload = f"fan_out_{size}"
        call, burst = judge.median(workload, "call"), judge.median(workload, "burst_call")
        bare = judge.median(f"fifo_group_{size}", "call", FLOOR)
        yield judge.verdict(
            f"group_send call to {size:,} members in 2 processes: 5 µs + 2 µs for each process",
            call, f"{quantity(call or 0, 'ns')}, of a bare write that wakes the other process"
            f" {quantity(bare or 0, 'ns')}; in a burst {quantity(burst or 0, 'ns')}",
            lambda call: call <= (5 + 2 * RECEIVING) * MICRO,
        )  # fmt: skip
    yield judge.at_most("the same to 16 processes", (5 + 2 * 16) * MICRO, "call_16", "call")
    for size in GROUP_SIZES:
        workload = f"fan_out_{size}"
        yield judge.at_least(
            f"until the last of {size:,} members has it: 2 × faster than the best peer",
            2, workload, "last", judge.best(workload, "last"),
        )  # fmt: skip
    burst = judge.median("fan_out_1000", "deliveries")
    yield judge.verdict(
        "bursts to 1,000 members: 1,000,000 deliveries/s",
        burst, quantity(burst or 0, "/s"), lambda rate: rate >= 1e6,
    )  # fmt: skip
    yield judge.at_least(
        "group_add and group_discard, of the only member: 25 × faster than nats",
        25, "churn_0", "time", "nats",
    )  # fmt: skip
    yield judge.within(
        "the same beside 10,000 members as beside 10, within 20 %",
        1.2, ("churn_10000", "time"), ("churn_10", "time"),
    )  # fmt: skip


def _queue(judge: Judge, results: Results) -> Iterator[Verdict]:
    yield judge.at_least("work queue: 2 × nats", 2, "queue", "rate", "nats")
    least = judge.median("queue", "least")
    doubled = results.share(CellKey(LOOP, "queue", OURS), "doubled")
    yield judge.verdict(
        "work queue: nothing twice, and both consumers are served",
        least, f"{number(100 * doubled)} % twice; the lesser has {number(least or 0)} %",
        lambda share: doubled == 0 and share > 0,
    )  # fmt: skip


def _idle(judge: Judge) -> Iterator[Verdict]:
    yield judge.at_most(
        "1,000 receivers that wait: less than 0.05 % of a processor", 500, "idle", "processor"
    )
    ours, memory = judge.median("idle", "memory"), judge.median("idle", "memory", MEMORY)
    more = None if ours is None or memory is None else ours - memory
    yield judge.verdict(
        "their memory: within 1 MB of the in-memory layer's",
        more, f"{quantity(more or 0, 'B')} more", lambda bytes_: bytes_ <= 1e6,
    )  # fmt: skip


def _synchronous(judge: Judge) -> Iterator[Verdict]:
    best = judge.best("async_to_sync", "call")
    yield judge.at_least(
        "async_to_sync(group_send): no slower than the fastest peer",
        1, "async_to_sync", "call", best,
    )  # fmt: skip
    found = judge.ratio(("async_to_sync", "call", best or ""), ("sync", "call"))
    yield judge.verdict(
        "the synchronous group_send: 100 × faster than that peer",
        found, times(found), lambda ratio: ratio >= 100,
    )  # fmt: skip


def _growth(judge: Judge) -> Iterator[Verdict]:
    yield judge.within(
        "send and receive beside 100,000 channels as beside 10, within 20 %",
        1.2, ("channels_100000", "time"), ("channels_10", "time"),
    )  # fmt: skip
    yield judge.within(
        "with 64 processes attached as with 2, within 20 %",
        1.2, ("processes_64", "time"), ("processes_2", "time"),
    )  # fmt: skip
    yield judge.within(
        "group_send and receive beside 100,000 groups as beside 10, within 20 %",
        1.2, ("groups_100000", "time"), ("groups_10", "time"),
    )  # fmt: skip
    found = judge.ratio(("busy_16", "rate"), ("busy_2", "rate"))
    yield judge.verdict(
        "16 busy processes do not less than 2", found, times(found), lambda ratio: ratio >= 1
    )


def _footprint(judge: Judge) -> Iterator[Verdict]:
    yield judge.at_most("attaching: under 2 ms", 2e6, "attach", "first")
    yield judge.at_most("a new segment of default size: under 1 MB", 1e6, "memory", "new")
    yield judge.at_most("a message: 32 bytes beyond its block", 32, "memory", "message")
    yield judge.at_most("a further recipient: 16 bytes", 16.5, "memory", "recipient")
    yield judge.at_most("a membership: 64 bytes", 64.5, "memory", "membership")
