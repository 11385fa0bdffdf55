"""Turns what a run has found into tables for people and JSON for programs.

A ratio is taken within each repetition, where its two sides were measured close
together, and the median of those is shown: what disturbs the machine for a while
then disturbs both sides.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from typing import Any

from .floors import FLOORS, beneath
from .loops import missing
from .plan import MEASURED_OF, PUT_TO, SLOW_SECONDS, is_settled
from .store import FLOOR, CellKey, Results
from .targets import OURS, verdicts
from .text import number, percent, quantity, spread, table, times
from .workloads import WORKLOADS, blank

QUIET_LIMIT = 1.25
"""Yardsticks further apart than this ratio mean a disturbed machine."""

GLANCE = (
    ("send_receive", "time", "send and receive"),
    ("round_trip", "p50", "round trip"),
    ("stream_100", "rate", "stream of 100 B"),
    ("stream_1m", "bytes", "stream of 1 MB"),
    ("fan_out_1000", "last", "group of 1,000"),
    ("queue", "rate", "work queue"),
    ("churn_10", "time", "join and leave"),
)


def glance(results: Results) -> list[str]:
    """Write one line for each layer, with what people choose by."""
    loop = results.header["plan"]["loops"][0]
    rows = []
    for key, (label, version) in results.header["contenders"].items():
        cells = [
            _median(results, CellKey(loop, work, key), figure) for work, figure, _ in GLANCE
        ]
        if not any(cells):
            continue
        lost, doubled = (
            percent(max(results.share(cell, what) for cell in results.of(key)))
            for what in ("lost", "doubled")
        )
        rows.append([_bold(label, key), version, *cells, lost, doubled])
    headings = ["layer", "version", *(text for _, _, text in GLANCE), "lost", "twice"]
    return table(headings, rows, left=2)


def has_ours(results: Results) -> bool:
    """Say whether asgi_shm was measured, with the options that its targets are for."""
    return OURS in results.header["contenders"]


def target_table(results: Results) -> list[str]:
    """Write what asgi_shm is to reach, and whether it did."""
    words = {True: "yes", False: "**no**", None: "–"}
    rows = [[one.target, one.measured, words[one.met]] for one in verdicts(results)]
    return table(["target", "measured", "met"], rows, left=3)


def workload_tables(results: Results) -> Iterator[str]:
    """Write a table for each workload on each event loop."""
    for workload in results.header["plan"]["workloads"]:
        for loop in results.header["plan"]["loops"]:
            rows = list(_contender_rows(results, loop, workload))
            if rows:
                yield f"#### {blank(workload).name}{_on(loop)}"
                yield ""
                yield from table(_headings(workload), rows)


def floor_tables(results: Results) -> Iterator[str]:
    """Write the floors, and how far above theirs our figures are."""
    for loop in results.header["plan"]["loops"]:
        rows = []
        for floor, make in FLOORS.items():
            kind = make()
            for figure, about in kind.figures.items():
                values = list(results.values(CellKey(loop, floor), figure).values())
                if values:
                    name = f"{kind.name}, {about.label}"
                    rows.append([
                        name, _median(results, CellKey(loop, floor), figure),
                        spread(values, about.unit),
                    ])  # fmt: skip
        if rows:
            yield f"#### The floors{_on(loop)}"
            yield ""
            yield from table(["floor", "median", "lowest to highest"], rows)
            yield from table(
                ["asgi_shm", "above its floor", "which is"],
                [row for row in _above(results, loop) if row[1]],
            )


def reasons(results: Results) -> list[str]:
    """List what could not be measured, and why; one line for each layer and reason."""
    found: dict[tuple[str, str], list[str]] = {}
    labels = results.header["contenders"]
    for key in results.cells:
        if reason := results.reason(key):
            label = labels[key.contender][0] if key.contender else "floor"
            works = found.setdefault((label, reason), [])
            if key.workload not in works:
                works.append(key.workload)
    lines = [
        f"- {label}: {', '.join(works)}: {reason}." for (label, reason), works in found.items()
    ]
    few = ", ".join(f"{kind} ({' '.join(keys)})" for kind, keys in MEASURED_OF.items())
    lines.append(f"- Measured of these alone: {few}.")
    lines += [f"- {key} was put to these alone: {', '.join(to)}." for key, to in PUT_TO.items()]
    return [*lines, ""]


def errors(results: Results) -> list[str]:
    """List what layers raised that they should not have, and how often."""
    labels = results.header["contenders"]
    lines = [
        f"- {labels[key.contender][0]}: {key.workload}: {count} × {error}."
        for key in results.cells
        for error, count in results.errors(key).items()
    ]
    return [*(lines or ["None."]), ""]


def circumstances(results: Results) -> list[str]:
    """Say how it was measured, and on what."""
    plan = results.header["plan"]
    lines = [
        (
            f"{_repetitions(results)} fresh runs of each, of {plan['seconds']:g} s, the layers"
            " of a workload one after the other; medians of the runs, ratios within a run;"
            f" what takes more than {SLOW_SECONDS:.0f} s, with its preparation, is run once"
        ),
        *_cut_short(results),
        _disturbance(list(results.yardsticks_ns())),
        *(f"{name}: {value}" for name, value in results.header["machine"].items()),
        *(
            f"{loop} was not measured: {missing(loop)}"
            for loop in plan["loops"]
            if missing(loop)
        ),
    ]
    return [*(f"- {line}" for line in lines), ""]


def _repetitions(results: Results) -> int:
    """How many there were, which may be less than were planned."""
    return max((len(outcomes) for outcomes in results.cells.values()), default=0)


def _cut_short(results: Results) -> list[str]:
    """Say that the last of the repetitions was ended before its time, if it was."""
    most = _repetitions(results)
    fewer = sum(
        len(outcomes) < most and not is_settled(results, key)
        for key, outcomes in results.cells.items()
    )
    share = f"{fewer} of {len(results.cells)}"
    return [f"{share} were run once less: the last repetition was cut short"] if fewer else []


def markdown(results: Results) -> str:
    """Write all of it."""
    return "\n".join([
        "## At a glance", "", *glance(results),
        *(["## Targets", "", *target_table(results)] if has_ours(results) else []),
        "## Each workload", "", *workload_tables(results),
        "## Floors", "", *floor_tables(results),
        "## Errors", "", *errors(results),
        "## Not measured", "", *reasons(results),
        "## Circumstances", "", *circumstances(results),
    ])  # fmt: skip


def as_json(results: Results) -> str:
    """Write all figures with the facts of the machine."""
    cells = [
        {
            "loop": key.loop,
            "workload": key.workload,
            "contender": key.contender or None,
            "not_measured": results.reason(key) or None,
            "lost": results.share(key, "lost"),
            "doubled": results.share(key, "doubled"),
            "figures": {
                name: {"unit": figure.unit, "runs": list(results.values(key, name).values())}
                for name, figure in _figures(key).items()
            },
        }
        for key in results.cells
    ]
    judged = [vars(verdict) for verdict in verdicts(results)]
    return json.dumps({**results.header, "targets": judged, "cells": cells}, indent=1) + "\n"


def _figures(key: CellKey) -> Any:
    known = FLOORS[key.workload]() if key.contender == FLOOR else blank(key.workload)
    return known.figures


def _headings(workload: str) -> list[str]:
    figures = blank(workload).figures.values()
    return [
        "layer", *(figure.label for figure in figures),
        "lowest to highest", "asgi_shm is better", "lost", "twice",
    ]  # fmt: skip


def _contender_rows(results: Results, loop: str, workload: str) -> Iterator[list[str]]:
    figures = blank(workload).figures
    main = next(iter(figures))
    ours = CellKey(loop, workload, OURS)
    for contender, (label, _) in results.header["contenders"].items():
        key = CellKey(loop, workload, contender)
        cells = [_median(results, key, figure) for figure in figures]
        if not any(cells) and not results.share(key, "lost"):
            continue
        values = list(results.values(key, main).values())
        sides = (ours, key) if figures[main].more_is_better else (key, ours)
        better = times(results.ratio(*sides, main)) if contender != OURS else ""
        yield [
            _bold(label, contender), *cells,
            spread(values, figures[main].unit) if values else "", better,
            percent(results.share(key, "lost")), percent(results.share(key, "doubled")),
        ]  # fmt: skip


def _above(results: Results, loop: str) -> Iterator[list[str]]:
    """Give how far each of our figures is above the sum of its floors."""
    for workload in WORKLOADS:
        floors = {key: (FLOORS[key](), count) for key, count in beneath(workload).items()}
        if not floors:
            continue
        ours = blank(workload)
        which = " + ".join(f"{count} × {floor.name}" for floor, count in floors.values())
        shared = [
            figure for figure in ours.figures
            if all(figure in floor.figures for floor, _ in floors.values())
        ]  # fmt: skip
        for figure in shared:
            ratios = []
            for at, value in results.values(CellKey(loop, workload, OURS), figure).items():
                beds = [results.values(CellKey(loop, key), figure).get(at) for key in floors]
                if all(beds):
                    counts = [count for _, count in floors.values()]
                    bed = sum(n * (part or 0) for n, part in zip(counts, beds, strict=True))
                    ratios.append(value / bed)
            if ratios:
                label = f"{ours.name}, {ours.figures[figure].label}"
                yield [label, times(statistics.median(ratios)), which]


def _median(results: Results, key: CellKey, figure: str) -> str:
    value = results.median(key, figure)
    return "" if value is None else quantity(value, _figures(key)[figure].unit)


def _bold(text: str, contender: str) -> str:
    return f"**{text}**" if contender == OURS else text


def _on(loop: str) -> str:
    return "" if loop == "asyncio" else f" ({loop})"


def _disturbance(yardsticks: list[int]) -> str:
    if not yardsticks:
        return "nothing says whether the machine was quiet"
    yardsticks.sort()
    low, high = yardsticks[0], yardsticks[len(yardsticks) * 9 // 10]
    verdict = "quiet" if high < QUIET_LIMIT * low else "disturbed: trust the ratios only"
    return (
        f"a fixed piece of work took {quantity(low, 'ns')} at best and less than"
        f" {quantity(high, 'ns')} in nine of ten cases ({number(high / low)} ×): the machine"
        f" was {verdict}"
    )
