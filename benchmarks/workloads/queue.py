"""A work queue: producers and consumers of one channel with a plain name."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from benchmarks.measure import Figure, Outcome
from benchmarks.messages import BODY
from benchmarks.roles import doubled

from .base import LayerWorkload, until_still

NUMBERS_EACH = 10_000_000


class Queue(LayerWorkload):
    """Two processes send to a channel that two others read."""

    name = "work queue, 2 producers and 2 consumers"
    figures: ClassVar = {
        "rate": Figure("messages", "/s"),
        "least": Figure("share of the less busy consumer", "%"),
    }
    several_processes = True

    async def prepare(self) -> None:
        await super().prepare()
        self.channel = "bench.queue"
        self.sinks = [self.crew.start("sink", place=place) for place in (0, 1)]
        self.sources = [self.crew.start("source", place=place) for place in (1, 0)]
        for sink in self.sinks:
            await sink.ask("listen", channel=self.channel)
        await asyncio.gather(*(source.ask("open") for source in self.sources))
        await self.until_heard(self.channel, self.sinks)

    async def run(self, seconds: float) -> Outcome:
        told = await asyncio.gather(*(
            source.ask("go", channel=self.channel, seconds=seconds, most=NUMBERS_EACH,
                       size=len(BODY), first=index * NUMBERS_EACH)
            for index, source in enumerate(self.sources)
        ))  # fmt: skip
        sent = sum(one["sent"] for one in told)
        await until_still(self.sinks, sent)
        tallies = [await sink.ask("tally") for sink in self.sinks]
        numbers = [number for tally in tallies for number in tally["numbers"]]
        received = len(set(numbers))
        outcome = Outcome({}, sent, sent - received, doubled(numbers))
        if received:
            took = max(t["last_at"] for t in tallies) - min(t["began_at"] for t in told)
            least = min(len(tally["numbers"]) for tally in tallies)
            outcome.figures = {
                "rate": received * 1e9 / took,
                "least": 100 * least / len(numbers),
            }
        return outcome
