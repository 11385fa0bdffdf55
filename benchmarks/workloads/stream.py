"""Messages from one process to another, as fast as they go."""

from __future__ import annotations

from typing import ClassVar

from benchmarks.layers import LayerSpec
from benchmarks.measure import Figure, Outcome
from benchmarks.roles import Source, doubled

from .base import LayerWorkload, until_still

SIZES = {"100": 100, "10k": 10_000, "1m": 1_000_000}
MOST_BYTES = 500_000_000


class Stream(LayerWorkload):
    """A sender that waits only where its channel is full, and a receiver."""

    figures: ClassVar = {"rate": Figure("messages", "/s"), "bytes": Figure("payload", "B/s")}
    several_processes = True
    station_type = Source
    station: Source

    def __init__(self, spec: LayerSpec, size: int) -> None:
        super().__init__(spec)
        self.size = size
        self.name = f"one-way stream of {size:,} bytes"

    async def prepare(self) -> None:
        await super().prepare()
        self.sink = self.crew.start("sink", place=1)
        self.channel = await self.sink.ask("listen")
        await self.until_heard(self.channel, [self.sink])

    async def run(self, seconds: float) -> Outcome:
        most = max(100, MOST_BYTES // self.size)
        told = await self.station.go(self.channel, seconds, most, self.size)
        await until_still([self.sink], told["sent"])
        tally = await self.sink.ask("tally")
        numbers = tally["numbers"]
        received = len(set(numbers))
        outcome = Outcome({}, told["sent"], told["sent"] - received, doubled(numbers))
        if received:
            rate = received * 1e9 / (tally["last_at"] - told["began_at"])
            outcome.figures = {"rate": rate, "bytes": rate * self.size}
        return outcome
