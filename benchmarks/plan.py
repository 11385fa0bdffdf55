"""What a run measures, how often, how long, and in which order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .contenders import KNOWN, Contender
from .floors import FLOORS, beneath
from .loops import missing
from .store import CellKey, Results
from .workloads import WORKLOADS

UVLOOP = (
    "send_receive",
    "wake_receiver",
    "round_trip",
    "round_trip_one_processor",
    "fan_out_1000",
)
"""What is measured under uvloop too; the rest hardly touches the loop."""

ONCE = ("idle",)
"""Workloads whose one run is as good as three, and takes long."""

MEASURED_OF = {
    "sync": ("asgi_shm",),
    "sync_send_receive": ("asgi_shm",),
    "sync_round_trip": ("asgi_shm",),
    "attach": ("asgi_shm",),
    "memory": ("asgi_shm",),
    "call": ("asgi_shm",),
    "busy": ("asgi_shm", "redis"),
    "processes": ("asgi_shm", "redis"),
    "channels": ("asgi_shm", "in_memory", "redis", "nats"),
    "groups": ("asgi_shm", "in_memory", "redis", "nats"),
    "site": ("asgi_shm", "redis", "redis_pubsub"),
}
"""Workloads that few of the known layers are put to: they say how one layer grows and what
it takes, or take too long."""

SOCKETS = ("send_receive", "round_trip", "stream", "fan_out", "queue")
PUT_TO = {"redis_unix": SOCKETS, "redis_pubsub_unix": SOCKETS}
"""Layers that are put to few workloads, since only their socket differs from another's."""

IDLE_SECONDS = 10.0
SLOW_SECONDS = 12.0
"""A cell that took longer is not repeated."""

CELL_SECONDS = 60.0
"""A cell that takes longer is given up, and not tried again."""


@dataclass(frozen=True)
class Plan:
    """What to measure."""

    contenders: tuple[Contender, ...]
    loops: tuple[str, ...]
    workloads: tuple[str, ...]
    repetitions: int
    seconds: float
    quick: bool = False
    minutes: float | None = None
    """After which no further repetition is begun that would not end in time."""

    def cells(self, repetition: int) -> list[tuple[CellKey, Contender | None]]:
        """Give the cells of one repetition: what is compared stands together.

        Every second repetition runs the other way round, so that a machine that
        grows slower or faster favours nobody.
        """
        cells = [cell for cell in self._cells() if self._due(cell[0], repetition)]
        return cells if repetition % 2 == 0 else cells[::-1]

    def seconds_of(self, key: CellKey) -> float:
        """Say how long a cell measures."""
        if key.workload == "idle":
            return self.seconds * 4 if self.quick else IDLE_SECONDS
        return self.seconds

    def summary(self) -> dict[str, Any]:
        """Say in the results what was planned."""
        return {
            "contenders": [contender.key for contender in self.contenders],
            "loops": list(self.loops),
            "workloads": list(self.workloads),
            "repetitions": self.repetitions,
            "seconds": self.seconds,
        }

    def _cells(self) -> Iterator[tuple[CellKey, Contender | None]]:
        for loop in self.loops:
            if missing(loop):
                continue
            for floor in self._floors():
                yield CellKey(loop, floor), None
            for workload in self.workloads:
                if loop != "asyncio" and workload not in UVLOOP:
                    continue
                for contender in self.contenders:
                    if contender.old and loop != "asyncio":
                        continue  # it knows no event loop
                    if not put_to(workload, contender):
                        continue
                    yield CellKey(loop, workload, contender.key), contender

    def _floors(self) -> list[str]:
        """All, or those beneath the workloads, if these are not all."""
        if len(self.workloads) == len(WORKLOADS):
            return list(FLOORS)
        needed = {floor for workload in self.workloads for floor in beneath(workload)}
        return [floor for floor in FLOORS if floor in needed]

    @staticmethod
    def _due(key: CellKey, repetition: int) -> bool:
        return repetition == 0 or key.workload not in ONCE


def is_settled(results: Results, key: CellKey) -> bool:
    """Say whether a cell is not measured again: it cannot be, takes long, or once is enough."""
    outcomes = results.cells.get(key, {}).values()
    slow = any(outcome.get("took", 0) > SLOW_SECONDS for outcome in outcomes)
    return slow or bool(results.reason(key)) or (bool(outcomes) and key.workload in ONCE)


def put_to(workload: str, contender: Contender) -> bool:
    """Say whether a workload is for this contender. One that the user named does all."""
    kinds = {workload, workload.rpartition("_")[0]}
    if contender.key not in KNOWN:
        return True
    if contender.key in PUT_TO and not kinds & set(PUT_TO[contender.key]):
        return False
    return all(contender.key in MEASURED_OF.get(kind, KNOWN) for kind in kinds)


def workloads(names: list[str]) -> tuple[str, ...]:
    """Check the workloads of a command line; without any, take all.

    A name stands for all that begin with it: ``stream`` for each size.
    """
    found = [key for key in WORKLOADS if not names or key.startswith(tuple(names))]
    for name in names:
        if not any(key.startswith(name) for key in WORKLOADS):
            raise SystemExit(f"no workload {name}: there are {', '.join(WORKLOADS)}")
    return tuple(found)
