"""Measures one workload once, in a process of its own.

The order comes as JSON on the command line, and the outcome goes as one line of
JSON to standard output.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import asdict
from typing import Any

from . import pinning
from .floors import FLOORS
from .layers import LayerSpec, Unsuitable
from .loops import new_loop
from .machine import yardstick_ns
from .measure import Workload
from .workloads import WORKLOADS


def workload(key: str, spec: LayerSpec | None) -> Workload:
    """Make the thing to measure: a floor, or a workload over a layer."""
    if spec is None:
        return FLOORS[key]()
    if reason := spec.traits.why_not(key):
        raise Unsuitable(reason)
    return WORKLOADS[key](spec)


async def measure(key: str, spec: LayerSpec | None, seconds: float) -> dict[str, Any]:
    """Go through one workload, with a fixed piece of work timed on both sides of it."""
    try:
        work = workload(key, spec)
        yardsticks = [yardstick_ns()]
        try:
            await work.prepare()
            outcome = await work.run(seconds)
            outcome.errors = await work.errors()
        finally:
            await work.finish()
        yardsticks.append(yardstick_ns())
    except Unsuitable as reason:
        return {"unsuitable": str(reason)}
    return {**asdict(outcome), "yardsticks_ns": yardsticks}


def main(order: str) -> None:
    """Measure what ``order`` says and print the outcome."""
    parsed = json.loads(order)
    # What a layer prints must not stand among the outcome.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    pinning.pin(0)
    spec = parsed["layer"] and LayerSpec(*parsed["layer"])
    loop = new_loop(parsed["loop"])
    asyncio.set_event_loop(loop)
    outcome = loop.run_until_complete(measure(parsed["workload"], spec, parsed["seconds"]))
    print(json.dumps(outcome), file=answer, flush=True)
    # Not closed: some layers leave tasks and connections that complain.
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
