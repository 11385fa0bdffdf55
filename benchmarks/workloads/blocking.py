"""The layer for code without an event loop: its receive waits in the kernel."""

from __future__ import annotations

from time import perf_counter_ns
from typing import Any, ClassVar

from benchmarks import pinning
from benchmarks.blocking import sync_layer
from benchmarks.crew import Crew
from benchmarks.layers import LayerSpec, Unsuitable
from benchmarks.measure import STALL_SECONDS, Batched
from benchmarks.messages import message

from .round_trip import LATENCIES


class BlockingWorkload(Batched):
    """A workload over the synchronous layer."""

    def __init__(self, spec: LayerSpec) -> None:
        super().__init__()
        self.spec = spec.for_run()
        self.crew = Crew(self.spec)

    async def prepare(self) -> None:
        self.layer: Any = sync_layer(self.spec)
        self.near = self.layer.new_channel()

    async def finish(self) -> None:
        self.crew.stop()
        if hasattr(self, "layer"):
            self.layer.close()
        self.spec.clean()


class SyncSendReceive(BlockingWorkload):
    """Send a message and receive it in the same process; it is there already."""

    name = "synchronous send and receive, one process"
    operations = 200

    async def batch(self) -> None:
        layer, near = self.layer, self.near
        for _ in range(self.operations):
            self.number += 1
            layer.send(near, message(self.number))
            _, received = layer.receive([near])
            self.doubled += received["number"] != self.number


class SyncRoundTrip(BlockingWorkload):
    """A message to another process that waits, and back; each one is timed."""

    name = "synchronous round trip, two processes on two processors"
    figures: ClassVar = LATENCIES
    operations = 100

    async def prepare(self) -> None:
        if pinning.processors() == 1:
            raise Unsuitable("there is only one processor to run on")
        await super().prepare()
        companion = self.crew.start("sync_echo", place=1)
        self.far = await companion.ask("listen")
        await companion.ask("answer", far=self.near)

    async def batch(self) -> None:
        layer, near, far = self.layer, self.near, self.far
        for _ in range(self.operations):
            self.number += 1
            started = perf_counter_ns()
            layer.send(far, message(self.number))
            _, received = layer.receive([near], block=True, timeout=STALL_SECONDS)
            self.latencies_ns.append(perf_counter_ns() - started)
            if received is None:
                self.lost += 1
            else:
                self.doubled += received["number"] != self.number
