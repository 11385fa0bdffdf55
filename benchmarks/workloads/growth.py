"""Whether an operation costs the same however much there is beside it."""

from __future__ import annotations

import asyncio
import statistics
from time import perf_counter, perf_counter_ns
from typing import ClassVar

from benchmarks.crowd import Crowd
from benchmarks.layers import LayerSpec
from benchmarks.measure import Figure, Outcome, collector_off
from benchmarks.messages import message

from .base import GROUP, LayerWorkload
from .direct import SendReceive

FEWEST_CALLS = 20


class BesideChannels(SendReceive):
    """Send and receive on one channel, while others hold a message each."""

    operations = 20

    def __init__(self, spec: LayerSpec, channels: int) -> None:
        if "capacity" in spec.config:  # which some layers have for all channels of a process
            room = {"capacity": 2 * channels + 1_000}
            spec = LayerSpec(spec.backend, {**spec.config, **room})
        super().__init__(spec)
        self.channels = channels
        self.name = f"send and receive beside {channels:,} channels with a message each"

    async def prepare(self) -> None:
        await super().prepare()
        for channel in await self.station.new_channels(self.channels):
            await self.station.layer.send(channel, message(0))


class BesideGroups(LayerWorkload):
    """A message to a group of one member, beside other groups of one member."""

    figures: ClassVar = {"time": Figure("group_send and receive", "ns")}

    def __init__(self, spec: LayerSpec, groups: int) -> None:
        super().__init__(spec)
        self.groups = groups
        self.name = f"group_send and receive beside {groups:,} groups"

    async def run(self, seconds: float) -> Outcome:
        station, layer = self.station, self.station.layer
        channel, other = await station.new_channels(2)
        await station.subscribe(channel)
        await layer.group_add(GROUP, channel)
        for number in range(self.groups):
            await layer.group_add(f"{GROUP}.{number}", other)
        times: list[int] = []
        end = perf_counter() + seconds
        with collector_off():
            while len(times) < FEWEST_CALLS or perf_counter() < end:
                started = perf_counter_ns()
                await layer.group_send(GROUP, message(len(times)))
                await layer.receive(channel)
                times.append(perf_counter_ns() - started)
        return Outcome({"time": statistics.median(times)}, len(times))


class BesideProcesses(SendReceive):
    """Send and receive in one process, while others are attached and wait."""

    several_processes = True

    def __init__(self, spec: LayerSpec, processes: int) -> None:
        super().__init__(spec)
        self.processes = processes
        self.name = f"send and receive, {processes} processes attached"

    async def prepare(self) -> None:
        await super().prepare()
        self.crowd = Crowd(self.spec, "wait", self.processes - 1)
        await self.crowd.ready()

    async def finish(self) -> None:
        if hasattr(self, "crowd"):
            self.crowd.stop()
        await super().finish()


class BusyProcesses(LayerWorkload):
    """Processes that send and receive as fast as they can, each for itself."""

    figures: ClassVar = {"rate": Figure("send and receive, all together", "/s")}
    several_processes = True

    def __init__(self, spec: LayerSpec, processes: int) -> None:
        super().__init__(spec)
        self.processes = processes
        self.name = f"{processes} busy processes"

    async def run(self, seconds: float) -> Outcome:
        crowd = Crowd(self.spec, "work", self.processes, seconds=seconds)
        try:
            await crowd.ready()
            rates = await crowd.go()
        finally:
            crowd.stop()
        return Outcome({"rate": sum(rates)})


class CallAndProcesses(LayerWorkload):
    """The group_send call against the number of processes that have members."""

    figures: ClassVar = {"call": Figure("group_send call", "ns")}
    several_processes = True
    members = 1_000
    pace = 0.003

    def __init__(self, spec: LayerSpec, processes: int) -> None:
        super().__init__(spec)
        self.processes = processes
        self.name = (
            f"group_send call to {self.members:,} members in {processes} other processes"
        )

    async def run(self, seconds: float) -> Outcome:
        each = self.members // self.processes
        crowd = Crowd(self.spec, "join", self.processes, group=GROUP, members=each)
        calls: list[int] = []
        try:
            await crowd.ready()
            end = perf_counter() + seconds
            with collector_off():
                while len(calls) < FEWEST_CALLS or perf_counter() < end:
                    started = perf_counter_ns()
                    await self.station.layer.group_send(GROUP, message(-1))
                    calls.append(perf_counter_ns() - started)
                    await asyncio.sleep(self.pace)
        finally:
            crowd.stop()
        return Outcome({"call": statistics.median(calls)}, len(calls))
