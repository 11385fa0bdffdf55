"""Measures one workload once, in a process of its own.

The order comes as JSON on the command line, and the outcome goes as one line of
JSON to standard output.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict, dataclass
from typing import Any

from .floors import FLOORS
from .layers import LayerSpec, Unsuitable
from .loops import new_loop
from .machine import yardstick_ns
from .measure import Run, Workload, measure
from .workloads import WORKLOADS


@dataclass(frozen=True)
class Cell:
    """One figure to be measured: a floor, or a workload over a layer."""

    key: str
    """A key of FLOORS if ``layer`` is None, else of WORKLOADS."""

    loop: str
    layer: LayerSpec | None = None

    def order(self, seconds: float) -> str:
        """Write the order that main() reads."""
        return json.dumps({"cell": asdict(self), "seconds": seconds})

    @classmethod
    def read(cls, order: dict[str, Any]) -> Cell:
        """Read what order() wrote."""
        layer = order["layer"]
        return cls(order["key"], order["loop"], layer and LayerSpec(**layer))

    def workload(self) -> Workload:
        """Make the thing to measure."""
        if self.layer is None:
            return FLOORS[self.key]()
        return WORKLOADS[self.key](self.layer)


def outcome(run: Run, name: str, yardstick: int) -> dict[str, Any]:
    """Shorten a run to what the report needs."""
    return {
        "name": name,
        "typical_ns": run.typical_ns,
        "p99_ns": run.p99_ns,
        "batches": len(run.operation_ns),
        "lost": run.lost,
        "doubled": run.doubled,
        "yardstick_ns": yardstick,
    }


def main(order: str) -> None:
    """Measure what ``order`` says and print the outcome."""
    parsed = json.loads(order)
    cell = Cell.read(parsed["cell"])
    workload = cell.workload()
    yardstick = yardstick_ns()
    loop = new_loop(cell.loop)
    asyncio.set_event_loop(loop)
    try:
        run = loop.run_until_complete(measure(workload, parsed["seconds"]))
    except Unsuitable as reason:
        print(json.dumps({"name": workload.name, "unsuitable": str(reason)}))
    else:
        print(json.dumps(outcome(run, workload.name, yardstick)))
    finally:
        loop.close()


if __name__ == "__main__":
    main(sys.argv[1])
