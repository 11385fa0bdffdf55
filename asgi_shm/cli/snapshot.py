"""What ``status`` and ``top`` show: a segment at one time, and what went on between two."""

from __future__ import annotations

import heapq
import time
from dataclasses import dataclass

from asgi_shm.inspect import Channel, Group, Lock, Observer, Process, Totals

__all__ = ["DROPS", "Rates", "Snapshot", "take"]

# Counters of messages that did not arrive.
DROPS = ("full", "expired", "gone", "unsent")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A segment at one time."""

    prefix: str
    at: float  # on time.monotonic()
    totals: Totals
    processes: list[Process]
    channels: list[Channel]  # the fullest
    groups: list[Group]  # the largest, of
    group_count: int  # (the totals count a group once for each process)
    locks: list[Lock]  # that somebody waits for

    @property
    def oldest(self) -> float:
        """Seconds that a message waits, of the fullest channels."""
        return max((channel.age for channel in self.channels if channel.pending), default=0.0)


@dataclass(frozen=True, slots=True)
class Rates:
    """What went on between two snapshots, a second."""

    counters: dict[str, float]
    sent: dict[int, float]  # calls of send and group_send, by slot
    received: dict[int, float]

    @property
    def drops(self) -> float:
        """Messages a second that did not arrive, for whatever reason."""
        return sum(self.counters.get(name, 0.0) for name in DROPS)

    @classmethod
    def between(cls, before: Snapshot, after: Snapshot) -> Rates:
        """Compare two snapshots of a segment. A process that is new has no rate yet."""
        seconds = max(after.at - before.at, 1e-9)
        was = {(process.slot, process.pid): process.counters for process in before.processes}
        sent: dict[int, float] = {}
        received: dict[int, float] = {}
        for process in after.processes:
            old = was.get((process.slot, process.pid), process.counters)
            # Another holder of the slot with the same pid counts from 0 again.
            rose = {
                name: max(0, process.counters[name] - old[name]) / seconds
                for name in ("sends", "group_sends", "receives")
            }
            sent[process.slot] = rose["sends"] + rose["group_sends"]
            received[process.slot] = rose["receives"]
        counters = {
            name: max(0, count - before.totals.counters[name]) / seconds
            for name, count in after.totals.counters.items()
        }
        return cls(counters, sent, received)


def take(observer: Observer, few: int) -> Snapshot:
    """Look at a segment; at `few` of its channels and groups in particular."""
    groups = observer.groups()
    return Snapshot(
        observer.prefix,
        time.monotonic(),
        observer.totals(),
        observer.processes(),
        heapq.nlargest(few, observer.channels(), key=lambda one: (one.pending, one.sent)),
        heapq.nlargest(few, groups, key=lambda one: one.members),
        len(groups),
        [lock for lock in observer.locks() if lock.waited],
    )
