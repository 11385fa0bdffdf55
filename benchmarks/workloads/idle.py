"""What receivers cost that only wait."""

from __future__ import annotations

import asyncio
import gc
import time
from pathlib import Path
from typing import ClassVar

from benchmarks.layers import LayerSpec
from benchmarks.measure import Figure, Outcome

from .base import LayerWorkload


class Idle(LayerWorkload):
    """Many coroutines of one process wait in receive(), each on a channel of its own."""

    figures: ClassVar = {
        "memory": Figure("memory of the receivers", "B"),
        "processor": Figure("processor time while they wait", "µs/s"),
    }

    def __init__(self, spec: LayerSpec, receivers: int) -> None:
        super().__init__(spec)
        self.receivers = receivers
        self.name = f"{receivers:,} receivers that wait"
        self.tasks: list[asyncio.Task[object]] = []

    async def run(self, seconds: float) -> Outcome:
        layer = self.station.layer
        gc.collect()
        before = resident_bytes()
        channels = await self.station.new_channels(self.receivers)
        self.tasks = [asyncio.ensure_future(layer.receive(channel)) for channel in channels]
        await asyncio.sleep(min(1.0, seconds))
        gc.collect()
        memory = resident_bytes() - before
        used = time.process_time_ns()
        await asyncio.sleep(seconds)
        used = time.process_time_ns() - used
        for task in self.tasks:
            if task.done() and (error := task.exception()):
                self.station.note(error)
        return Outcome({"memory": memory, "processor": used / 1000 / seconds})

    async def finish(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await super().finish()


def resident_bytes() -> int:
    """What of this process is in memory, its part of shared memory included."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status has no VmRSS")
