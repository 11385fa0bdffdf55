"""What workloads over a layer have in common: a station, other processes, an end."""

from __future__ import annotations

import asyncio
from collections import Counter

from benchmarks.crew import Companion, Crew
from benchmarks.layers import LayerSpec, Unsuitable
from benchmarks.measure import Batched, Workload
from benchmarks.messages import PROBE, message
from benchmarks.station import PROBE_SECONDS, WARM_UP_SECONDS, Station

GROUP = "bench"

STALL_SECONDS = 3.0
"""What has not arrived when nothing has for so long is lost."""


class LayerWorkload(Workload):
    """A workload over one layer, with other processes that it may start."""

    several_processes = False
    """Whether it means nothing within one process."""

    station_type: type[Station] = Station

    def __init__(self, spec: LayerSpec) -> None:
        super().__init__()
        self.spec = spec.for_run()
        self.crew = Crew(self.spec)
        self.station = self.station_type(self.spec)

    async def prepare(self) -> None:
        """Open the layer of this process."""
        reason = self.spec.traits.one_process
        if self.several_processes and reason:
            raise Unsuitable(reason)
        await self.station.open()

    async def errors(self) -> dict[str, int]:
        """Add up those of all processes."""
        noted = Counter(await self.station.errors())
        for errors in await self.crew.each("errors"):
            noted.update(errors)
        return dict(noted)

    async def finish(self) -> None:
        """Leave nothing behind on the machine."""
        try:
            self.crew.stop()
            await self.station.close()
        finally:
            self.spec.clean()

    async def until_heard(self, channel: str, listeners: list[Companion]) -> None:
        """Send probes until each listener has one, or has been given time enough.

        A listener that never gets one is no error yet: of a queue with several readers a
        layer may serve one alone, and the workload then counts that.
        """
        end = asyncio.get_running_loop().time() + WARM_UP_SECONDS / 4
        while asyncio.get_running_loop().time() < end:
            await self.station.layer.send(channel, message(PROBE))
            await asyncio.sleep(PROBE_SECONDS)
            if all([await listener.ask("heard") for listener in listeners]):
                break
        await asyncio.sleep(2 * PROBE_SECONDS)


class BatchedLayerWorkload(LayerWorkload, Batched):
    """The same for short operations."""


async def until_still(listeners: list[Companion], expected: int) -> None:
    """Wait until ``expected`` messages have come, or nothing comes any more."""
    loop = asyncio.get_running_loop()
    seen, since = -1, loop.time()
    while True:
        count = sum([await listener.ask("count") for listener in listeners])
        if count >= expected:
            return
        if count != seen:
            seen, since = count, loop.time()
        elif loop.time() - since > STALL_SECONDS:
            return
        await asyncio.sleep(PROBE_SECONDS)
