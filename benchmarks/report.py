"""Turns what a run found into a table for people and JSON for programs.

A ratio is taken within each repetition, where its two sides were measured close
together, and the median of those is shown: what disturbs the machine for a while
then disturbs both sides.
"""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .floors import FLOORS, beneath
from .layers import IN_MEMORY
from .loops import missing

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .runner import Report, Series

QUIET_LIMIT = 1.25
"""Yardsticks further apart than this ratio mean a disturbed machine."""

_HEADINGS = (
    "workload", "layer", "median µs", "lowest to highest", "p99 µs",
    "in-memory ÷ this", "this ÷ floor", "lost", "doubled",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One line of the table; times in nanoseconds."""

    key: str
    name: str
    loop: str
    layer: str
    typical_ns: Sequence[float] = ()
    p99_ns: Sequence[float] = ()
    against_memory: float | None = None
    against_floor: float | None = None
    lost: int = 0
    doubled: int = 0
    unsuitable: str = ""


def rows(report: Report) -> list[Row]:
    """Make the lines of the table, the layers of a workload together."""
    index = _Index(report.series)
    order = list(FLOORS) + list(report.plan.workloads)
    lines = [index.row(series) for series in report.series]
    return sorted(
        lines, key=lambda row: (report.plan.loops.index(row.loop), order.index(row.key))
    )


class _Index:
    """Finds the partner of a series for the ratios."""

    def __init__(self, all_series: Iterable[Series]) -> None:
        self._typical: dict[tuple[str, str, str], list[float]] = {}
        for series in all_series:
            times = [o["typical_ns"] for o in series.outcomes if "typical_ns" in o]
            self._typical[self._key(series)] = times

    @staticmethod
    def _key(series: Series) -> tuple[str, str, str]:
        layer = series.cell.layer
        return series.cell.loop, series.cell.key, layer.backend if layer else ""

    def row(self, series: Series) -> Row:
        loop, key, backend = self._key(series)
        layer = series.cell.layer
        name = next((o["name"] for o in series.outcomes if "name" in o), key)
        label = layer.traits.label if layer else "-"
        if reasons := [o["unsuitable"] for o in series.outcomes if "unsuitable" in o]:
            return Row(key, name, loop, label, unsuitable=reasons[0])
        typical = self._typical[loop, key, backend]
        memory = self._typical.get((loop, key, IN_MEMORY), [])
        return Row(
            key, name, loop, label,
            typical_ns=typical,
            p99_ns=[o["p99_ns"] for o in series.outcomes if o["p99_ns"] is not None],
            against_memory=_ratio(memory, typical) if layer else None,
            against_floor=_ratio(typical, self._floor(loop, key)) if layer else None,
            lost=sum(o["lost"] for o in series.outcomes),
            doubled=sum(o["doubled"] for o in series.outcomes),
        )  # fmt: skip

    def _floor(self, loop: str, key: str) -> list[float]:
        """Add up, repetition by repetition, the floors beneath a workload."""
        parts = [
            [count * time for time in self._typical.get((loop, floor, ""), [])]
            for floor, count in beneath(key).items()
        ]
        return [sum(times) for times in zip(*parts, strict=False)]


def _ratio(above: Sequence[float], below: Sequence[float]) -> float | None:
    """Give the median over the repetitions, None if one side was not measured."""
    ratios = [a / b for a, b in zip(above, below, strict=False) if b]
    return statistics.median(ratios) if ratios else None


def markdown(report: Report) -> str:
    """Write the tables, one for each event loop, with the facts below them."""
    lines: list[str] = []
    table = rows(report)
    for loop in report.plan.loops:
        lines += [f"## {loop}", ""]
        if reason := missing(loop):
            lines += [f"Not measured: {reason}.", ""]
            continue
        lines += ["| " + " | ".join(_HEADINGS) + " |", "|---|---|" + "---:|" * 7]
        lines += [_line(row) for row in table if row.loop == loop and not row.unsuitable]
        lines += ["", *_reasons(row for row in table if row.loop == loop)]
    return "\n".join([*lines, *_circumstances(report)]) + "\n"


def _line(row: Row) -> str:
    cells = [
        row.name,
        row.layer,
        _micro(statistics.median(row.typical_ns)),
        f"{_micro(min(row.typical_ns))} to {_micro(max(row.typical_ns))}",
        _micro(statistics.median(row.p99_ns)) if row.p99_ns else "",
        _times(row.against_memory),
        _times(row.against_floor),
        str(row.lost),
        str(row.doubled),
    ]
    return "| " + " | ".join(cells) + " |"


def _reasons(table: Iterable[Row]) -> list[str]:
    reasons = [
        f"- {row.name}: {row.layer}: {row.unsuitable}." for row in table if row.unsuitable
    ]
    return ["Not measured:", "", *reasons, ""] if reasons else []


def _circumstances(report: Report) -> list[str]:
    plan = report.plan
    yardsticks = [
        o["yardstick_ns"] for s in report.series for o in s.outcomes if "yardstick_ns" in o
    ]
    disturbed = max(yardsticks) / min(yardsticks)
    verdict = "quiet" if disturbed < QUIET_LIMIT else "disturbed: trust the ratios only"
    return [
        "## Circumstances",
        "",
        (
            f"- {plan.repetitions} fresh processes for each figure, {plan.seconds:g} s each"
            " after a warm-up, interleaved; message body 100 bytes; garbage collector run"
            " before the timing and off during it"
        ),
        (
            f"- a fixed piece of work took between {_micro(min(yardsticks))} and"
            f" {_micro(max(yardsticks))} µs: the machine was {verdict}"
        ),
        *(f"- {name}: {value}" for name, value in report.machine.items()),
    ]


def _micro(time_ns: float) -> str:
    micro = time_ns / 1_000
    return f"{micro:,.0f}" if micro >= 100 else f"{micro:.3g}"


def _times(ratio: float | None) -> str:
    if ratio is None:
        return ""
    return f"{ratio:,.0f}x" if ratio >= 100 else f"{ratio:.2f}x"


def as_json(report: Report) -> str:
    """Write all outcomes with the facts of the machine."""
    document: dict[str, Any] = {
        "machine": report.machine,
        "repetitions": report.plan.repetitions,
        "seconds": report.plan.seconds,
        "cells": [
            {
                "key": series.cell.key,
                "loop": series.cell.loop,
                "backend": series.cell.layer.backend if series.cell.layer else None,
                "config": dict(series.cell.layer.config) if series.cell.layer else None,
                "outcomes": series.outcomes,
            }
            for series in report.series
        ],
    }
    return json.dumps(document, indent=1) + "\n"
