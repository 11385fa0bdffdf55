"""A message to another process, and its answer."""

from __future__ import annotations

import asyncio
from time import perf_counter_ns
from typing import ClassVar

from benchmarks import pinning
from benchmarks.layers import Unsuitable
from benchmarks.measure import Figure
from benchmarks.messages import PROBE, message
from benchmarks.station import until_done

from .base import BatchedLayerWorkload

LATENCIES = {"p50": Figure("median", "ns"), "p99": Figure("99th percentile", "ns")}


class RoundTrip(BatchedLayerWorkload):
    """A message to a process that waits, whose answer is awaited; each one is timed."""

    name = "round trip, two processes on two processors"
    figures: ClassVar = LATENCIES
    several_processes = True
    operations = 100
    place = 1

    async def prepare(self) -> None:
        if self.place and pinning.processors() == 1:
            raise Unsuitable("there is only one processor to run on")
        await super().prepare()
        self.near = await self.station.new_channel()
        companion = self.crew.start("echo", place=self.place)
        self.far = await companion.ask("listen")
        await companion.ask("answer", far=self.near)
        arrival = asyncio.ensure_future(self.station.layer.receive(self.near))
        await until_done(self.station.layer, self.far, arrival)

    async def batch(self) -> None:
        layer, near, far = self.station.layer, self.near, self.far
        for _ in range(self.operations):
            self.number += 1
            started = perf_counter_ns()
            await layer.send(far, message(self.number))
            while (number := (await layer.receive(near))["number"]) != self.number:
                self.doubled += number != PROBE
            self.latencies_ns.append(perf_counter_ns() - started)


class RoundTripOneProcessor(RoundTrip):
    """The same with no interrupt between processors: the cost of the software."""

    name = "round trip, two processes on one processor"
    place = 0
