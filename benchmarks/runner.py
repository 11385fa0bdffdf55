"""Runs every cell in fresh processes, several times, in interleaved order."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .contenders import Contender
from .layers import Unsuitable
from .machine import facts
from .plan import CELL_SECONDS, Plan, is_settled
from .servers import Rack
from .store import FAILED, CellKey, Results, Store

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
    rack = Rack()
    clock = _Clock(plan.minutes)
    try:
        for repetition in range(plan.repetitions):
            if repetition and not clock.time_for_another():
                progress(f"{clock}  no time for repetition {repetition + 1}")
                break
            cells = plan.cells(repetition)
            for position, (key, contender) in enumerate(cells, 1):
                if _known(store.results, key, repetition):
                    continue
                outcome = _measure(rack, key, contender, plan.seconds_of(key))
                store.add(key, repetition, outcome)
                where = f"{repetition + 1}/{plan.repetitions} {position}/{len(cells)}"
                progress(f"{clock}  {where}  {_told(key, outcome)}")
    finally:
        rack.close()
    return store.results


class _Clock:
    """Knows how long a run has taken, and whether there is time for a repetition more."""

    def __init__(self, minutes: float | None) -> None:
        self._limit = math.inf if minutes is None else 60 * minutes
        self._began = self._since = time.monotonic()
        self._longest = 0.0

    def __str__(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        return f"{minutes:02}:{seconds:02}"

    def time_for_another(self) -> bool:
        """Say whether a repetition that takes as long as the longest ends in time."""
        now = time.monotonic()
        self._longest = max(self._longest, now - self._since)
        self._since = now
        return now - self._began + self._longest <= self._limit


def _known(results: Results, key: CellKey, repetition: int) -> bool:
    """Say whether nothing is to be measured of a cell in this repetition."""
    return repetition in results.cells.get(key, {}) or is_settled(results, key)


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
            spec = contender.spec.filled(words).for_run()
            layer = [spec.backend, dict(spec.config)]
            try:
                return _run(contender.command({**order, "layer": layer}))
            finally:
                spec.clean()  # for a cell that was ended
    except Unsuitable as reason:
        return {"unsuitable": str(reason)}


def _run(command: list[str]) -> dict[str, Any]:
    began = time.monotonic()
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
        return {"unsuitable": FAILED + _end(process)}
    outcome: dict[str, Any] = json.loads(process.stdout)
    return {**outcome, "took": round(time.monotonic() - began, 3)}


def _end(process: subprocess.CompletedProcess[str]) -> str:
    """Say why a process has failed, as far as it tells."""
    if process.returncode < 0:
        return f"killed by {signal.Signals(-process.returncode).name}"
    lines = process.stderr.strip().splitlines()
    return lines[-1] if lines else f"exit {process.returncode}"


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
