"""Keeps what a run has found, cell by cell, so that a run which was ended can go on.

The file has one line of JSON for the run, and one for each cell that was measured.
"""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

FAILED = "failed: "
"""How the reason begins of what went wrong, and cannot be told beforehand."""

FLOOR = ""
"""What stands for the contender where a floor was measured."""


class CellKey(NamedTuple):
    """What was measured: a workload of a contender, or a floor, on an event loop."""

    loop: str
    workload: str
    contender: str = FLOOR


@dataclass
class Results:
    """All that a run has found; tables and plots are made of it alone."""

    header: dict[str, Any]
    """The machine, the contenders and the plan."""

    cells: dict[CellKey, dict[int, dict[str, Any]]] = field(default_factory=dict)
    """The outcomes of each cell, by repetition."""

    @classmethod
    def read(cls, path: Path) -> Results:
        """Read the file of a run; a last line that was cut off does not count."""
        results = cls({})
        for number, line in enumerate(path.read_text().splitlines()):
            try:
                parsed = json.loads(line)
            except json.JSONDecodeError:
                break
            if number == 0:
                results.header = parsed
            else:
                results.add(CellKey(*parsed["cell"]), parsed["repetition"], parsed["outcome"])
        return results

    def add(self, key: CellKey, repetition: int, outcome: dict[str, Any]) -> None:
        """Take one more outcome."""
        self.cells.setdefault(key, {})[repetition] = outcome

    def of(self, contender: str) -> list[CellKey]:
        """Give the cells of a contender."""
        return [key for key in self.cells if key.contender == contender]

    def reason(self, key: CellKey) -> str:
        """Say why a cell could not be measured; empty if it was."""
        outcomes = self.cells.get(key, {}).values()
        return next((o["unsuitable"] for o in outcomes if "unsuitable" in o), "")

    def values(self, key: CellKey, figure: str) -> dict[int, float]:
        """Give what was found of one figure, by repetition."""
        found = self.cells.get(key, {})
        return {
            repetition: outcome["figures"][figure]
            for repetition, outcome in found.items()
            if figure in outcome.get("figures", {})
        }

    def median(self, key: CellKey, figure: str) -> float | None:
        """Give the median over the repetitions."""
        return _median(list(self.values(key, figure).values()))

    def ratio(self, above: CellKey, below: CellKey, figure: str) -> float | None:
        """Give how many times one is the other, repetition by repetition."""
        return ratio(self.values(above, figure), self.values(below, figure))

    def share(self, key: CellKey, what: str) -> float:
        """Give what part of the messages was ``lost`` or ``doubled``."""
        outcomes = [o for o in self.cells.get(key, {}).values() if "figures" in o]
        expected = sum(o["expected"] for o in outcomes)
        return sum(o[what] for o in outcomes) / expected if expected else 0.0

    def errors(self, key: CellKey) -> Counter[str]:
        """Give what the layer raised and should not have, and how often."""
        noted: Counter[str] = Counter()
        for outcome in self.cells.get(key, {}).values():
            noted.update(outcome.get("errors", {}))
        return noted

    def yardsticks_ns(self) -> Iterator[int]:
        """Give what the fixed piece of work took beside each measurement."""
        for outcomes in self.cells.values():
            for outcome in outcomes.values():
                yield from outcome.get("yardsticks_ns", ())


def ratio(above: dict[int, float], below: dict[int, float]) -> float | None:
    """Give the median of the ratios within the repetitions that both have."""
    common = above.keys() & below.keys()
    return _median([above[at] / below[at] for at in common if below[at]])


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


class Store:
    """Writes the file of a run as it goes on."""

    def __init__(self, path: Path, header: dict[str, Any], *, resume: bool) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self.results = Results(header)
        if resume and path.exists():
            self.results = Results.read(path)
            self._extend(header["plan"])
            self._forget_failures()

    def add(self, key: CellKey, repetition: int, outcome: dict[str, Any]) -> None:
        """Keep one more outcome."""
        self.results.add(key, repetition, outcome)
        with self._path.open("a") as file:
            file.write(_line(key, repetition, outcome))

    def _extend(self, plan: dict[str, Any]) -> None:
        """Take a plan that differs from that of the file in the repetitions at most."""
        known = self.results.header.get("plan", {})
        if {**known, "repetitions": plan["repetitions"]} != plan:
            raise SystemExit(f"{self._path} is of another plan: run without --resume")
        known["repetitions"] = max(known["repetitions"], plan["repetitions"])

    def _forget_failures(self) -> None:
        """Drop what failed: unlike what cannot run here, it may go well another time."""
        for key in list(self.results.cells):
            if self.results.reason(key).startswith(FAILED):
                del self.results.cells[key]

    def forget(self, names: Sequence[str]) -> None:
        """Drop the cells of workloads and contenders of these names."""
        cells = self.results.cells
        for key in list(cells):
            if key.contender in names or key.workload.startswith(tuple(names)):
                del cells[key]
        self._rewrite()

    def _rewrite(self) -> None:
        """Write what is known: the line that a kill has cut off goes."""
        lines = [json.dumps(self.results.header) + "\n"]
        for key, outcomes in self.results.cells.items():
            lines += [_line(key, at, outcome) for at, outcome in outcomes.items()]
        self._path.write_text("".join(lines))


def _line(key: CellKey, repetition: int, outcome: dict[str, Any]) -> str:
    return json.dumps({"cell": key, "repetition": repetition, "outcome": outcome}) + "\n"
