"""Runs every cell in fresh processes, several times, in interleaved order."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .cell import Cell
from .floors import FLOORS
from .loops import missing
from .machine import facts
from .workloads import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .layers import LayerSpec

CELL_SECONDS_LIMIT = 180.0
QUICK_UVLOOP = ("send_receive", "wake_receiver", "round_trip", "round_trip_one_processor")
"""What a quick run measures under uvloop too; the rest hardly touches the loop."""


@dataclass(frozen=True)
class Plan:
    """What to measure, and how long."""

    layers: tuple[LayerSpec, ...]
    loops: tuple[str, ...]
    workloads: tuple[str, ...]
    repetitions: int
    seconds: float
    quick: bool

    def cells(self, repetition: int) -> Iterator[Cell]:
        """Give the cells of one repetition: what is compared stands together.

        Every second repetition runs the other way round, so that a machine that
        grows slower or faster favours nobody.
        """
        cells = list(self._cells())
        return iter(cells if repetition % 2 == 0 else reversed(cells))

    def _cells(self) -> Iterator[Cell]:
        for loop in self.loops:
            if missing(loop):
                continue
            for floor in FLOORS:
                yield Cell(floor, loop)
            for key in self.workloads:
                if self.quick and loop != "asyncio" and key not in QUICK_UVLOOP:
                    continue
                for layer in self.layers:
                    yield Cell(key, loop, layer)


@dataclass
class Series:
    """The outcomes of one cell, one for each repetition."""

    cell: Cell
    outcomes: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Report:
    """All that a run of the suite found."""

    plan: Plan
    machine: dict[str, str]
    series: list[Series]


def run(plan: Plan, progress: Callable[[str], None]) -> Report:
    """Measure the whole plan; ``progress`` is told of every cell."""
    report = Report(plan, facts(), [])
    by_cell: dict[str, Series] = {}
    for repetition in range(plan.repetitions):
        cells = list(plan.cells(repetition))
        for position, cell in enumerate(cells, 1):
            order = cell.order(plan.seconds)
            series = by_cell.setdefault(order, Series(cell))
            if _hopeless(series.outcomes):
                continue
            label = cell.layer.traits.label if cell.layer else "floor"
            progress(f"{repetition + 1}/{plan.repetitions} {position}/{len(cells)}"
                     f" {cell.loop} {label} {cell.key}")  # fmt: skip
            series.outcomes.append(_measure(order))
    report.series = list(by_cell.values())
    return report


def _hopeless(outcomes: Iterable[dict[str, Any]]) -> bool:
    return any("unsuitable" in outcome for outcome in outcomes)


def _measure(order: str) -> dict[str, Any]:
    """Run one cell in a process of its own; what goes wrong becomes its reason."""
    try:
        process = subprocess.run(
            [sys.executable, "-m", "benchmarks.cell", order],
            cwd=Path(__file__).parent.parent,
            capture_output=True,
            text=True,
            timeout=CELL_SECONDS_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"unsuitable": f"not done within {CELL_SECONDS_LIMIT:.0f} s"}
    if process.returncode != 0:
        last = process.stderr.strip().splitlines()[-1:] or [f"exit {process.returncode}"]
        return {"unsuitable": f"failed: {last[0]}"}
    outcome: dict[str, Any] = json.loads(process.stdout)
    return outcome


def workloads(names: list[str]) -> tuple[str, ...]:
    """Check the workloads of a command line; without any, take all."""
    if unknown := sorted(set(names) - set(WORKLOADS)):
        raise ValueError(f"no workload {', '.join(unknown)}: there are {', '.join(WORKLOADS)}")
    return tuple(names or WORKLOADS)
