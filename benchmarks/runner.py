"""Runs every cell in fresh processes, several times, in interleaved order."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .contenders import Contender
from .layers import Unsuitable
from .machine import facts
from .plan import CELL_SECONDS, Plan
from .servers import Rack
from .store import CellKey, Results, Store

Progress = Callable[[str], None]


def run(
    plan: Plan,
    path: Path,
    progress: Progress,
    *,
    resume: bool = False,
    again: Sequence[str] = (),
) -> Results:
    """Measure the whole plan; ``progress`` is told of every cell.

    With ``resume`` what the file has is kept, but for workloads and layers of ``again``.
    """
    header = {
        "machine": facts(),
        "plan": plan.summary(),
        "contenders": {one.key: [one.label, one.version()] for one in plan.contenders},
    }
    store = Store(path, header, resume=resume)
    store.forget(again)
    cells = [
        (repetition, *cell)
        for repetition in range(plan.repetitions)
        for cell in plan.cells(repetition)
    ]
    rack = Rack()
    began_at = time.monotonic()
    try:
        for position, (repetition, key, contender) in enumerate(cells, 1):
            if _known(store.results, key, repetition):
                continue
            outcome = _measure(rack, key, contender, plan.seconds_of(key))
            store.add(key, repetition, outcome)
            minutes, seconds = divmod(int(time.monotonic() - began_at), 60)
            where = f"{minutes:02}:{seconds:02}  {position}/{len(cells)}"
            progress(f"{where}  {_told(key, outcome)}")
    finally:
        rack.close()
    return store.results


def _known(results: Results, key: CellKey, repetition: int) -> bool:
    """Say whether a cell has been measured, or cannot be."""
    return repetition in results.cells.get(key, {}) or bool(results.reason(key))


def _measure(
    rack: Rack, key: CellKey, contender: Contender | None, seconds: float
) -> dict[str, Any]:
    """Run one cell in a process of its own; what goes wrong becomes its reason."""
    order: dict[str, Any] = {"workload": key.workload, "loop": key.loop, "seconds": seconds}
    try:
        if contender is None:
            command = [sys.executable, "-m", "benchmarks.cell"]
            return _run([*command, json.dumps({**order, "layer": None})])
        contender.command(order)  # if it cannot run, no server need be started
        with rack.use(contender.server) as words:
            spec = contender.spec.filled(words)
            layer = [spec.backend, dict(spec.config)]
            return _run(contender.command({**order, "layer": layer}))
    except Unsuitable as reason:
        return {"unsuitable": str(reason)}


def _run(command: list[str]) -> dict[str, Any]:
    try:
        process = subprocess.run(
            command,
            cwd=Path(__file__).parent.parent,
            capture_output=True,
            text=True,
            timeout=CELL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"unsuitable": f"not done within {CELL_SECONDS:.0f} s"}
    if process.returncode != 0:
        last = process.stderr.strip().splitlines()[-1:] or [f"exit {process.returncode}"]
        return {"unsuitable": f"failed: {last[0]}"}
    outcome: dict[str, Any] = json.loads(process.stdout)
    return outcome


def _told(key: CellKey, outcome: dict[str, Any]) -> str:
    """Say in a few words what a cell gave."""
    what = f"{key.loop} {key.workload} {key.contender or 'floor'}"
    if "unsuitable" in outcome:
        return f"{what}: {outcome['unsuitable']}"
    found = " ".join(f"{name} {value:.4g}" for name, value in outcome["figures"].items())
    if outcome["lost"] or outcome["doubled"]:
        found += (
            f" lost {outcome['lost']} doubled {outcome['doubled']} of {outcome['expected']}"
        )
    return f"{what}: {found}"
