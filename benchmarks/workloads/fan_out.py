"""A group message to members in two processes: the call, and until the last has it."""

from __future__ import annotations

import asyncio
import math
import statistics
from time import perf_counter, perf_counter_ns
from typing import Any, ClassVar

from benchmarks.crew import Companion
from benchmarks.layers import LayerSpec
from benchmarks.measure import Figure, Outcome, collector_off
from benchmarks.messages import PROBE, message
from benchmarks.roles import Members
from benchmarks.station import PROBE_SECONDS, WARM_UP_SECONDS

from .base import GROUP, STALL_SECONDS, LayerWorkload

PACE = 0.005
"""Seconds between two paced messages, in which every member waits again."""

FEWEST_ROUNDS = 5
BURST_DELIVERIES = 100_000
BURST_SECONDS = 3.0
LONGEST_BURST = 100
"""Messages of a burst: as many as a channel holds unread by default."""


def enough(rounds: int, took: float, seconds: float) -> bool:
    """Say whether there were rounds enough; few will do of a layer that is slow."""
    return took > seconds * (1 if rounds >= FEWEST_ROUNDS else 4) and rounds > 0


class FanOut(LayerWorkload):
    """Half of the members are in the sender's process, as in a site's web worker.

    A layer that cannot leave its process has all of them there.
    """

    figures: ClassVar = {
        "call": Figure("group_send call, paced", "ns"),
        "last": Figure("until the last member has it, paced", "ns"),
        "burst_call": Figure("group_send call, in a burst", "ns"),
        "deliveries": Figure("deliveries in bursts", "/s"),
    }
    station_type = Members
    station: Members

    def __init__(self, spec: LayerSpec, members: int) -> None:
        super().__init__(spec)
        self.members = members
        self.name = f"group message to {members:,} members in two processes"
        self.number = 0
        self.others: list[Companion] = []

    async def prepare(self) -> None:
        await super().prepare()
        here = self.members
        if not self.spec.traits.one_process:
            other = self.crew.start("members", place=1)
            here -= self.members // 2
            await other.ask("gather_members", group=GROUP, count=self.members // 2)
            self.others = [other]
        await self.station.gather_members(GROUP, here)
        await self._until_all_hear()

    async def run(self, seconds: float) -> Outcome:
        outcome = Outcome()
        with collector_off():
            await self._paced(outcome, seconds / 2)
            await self._bursts(outcome, seconds / 2)
        return outcome

    async def _paced(self, outcome: Outcome, seconds: float) -> None:
        calls: list[int] = []
        lasts: list[int] = []
        began = perf_counter()
        while not enough(len(calls), perf_counter() - began, seconds):
            took, last = await self._round(outcome, 1)
            if last is None:
                break
            calls.append(took)
            lasts.append(last)
            await asyncio.sleep(PACE)
        if calls:
            outcome.figures["call"] = statistics.median(calls)
            outcome.figures["last"] = statistics.median(lasts)

    async def _bursts(self, outcome: Outcome, seconds: float) -> None:
        length = self._burst_length(outcome.figures.get("last", math.inf))
        calls: list[float] = []
        rates: list[float] = []
        end = perf_counter() + seconds
        while not calls or perf_counter() < end:
            lost = outcome.lost
            took, last = await self._round(outcome, length)
            calls.append(took / length)
            if last is None:  # the rest is lost, so the time is that of the stall
                outcome.figures["burst_call"] = statistics.median(calls)
                return
            rates.append((length * self.members - outcome.lost + lost) * 1e9 / last)
            await asyncio.sleep(PACE)
        outcome.figures["burst_call"] = statistics.median(calls)
        outcome.figures["deliveries"] = statistics.median(rates)

    def _burst_length(self, last_ns: float) -> int:
        """As many messages as go into a channel, or fewer for many members or a slow layer."""
        in_time = int(BURST_SECONDS * 1e9 / last_ns)
        return max(2, min(LONGEST_BURST, BURST_DELIVERIES // self.members, in_time))

    async def _round(self, outcome: Outcome, length: int) -> tuple[int, int | None]:
        """Send ``length`` messages; give the time of the calls and until all have all."""
        await self._all("arm", each=length)
        layer = self.station.layer
        started = perf_counter_ns()
        for _ in range(length):
            self.number += 1
            await layer.group_send(GROUP, message(self.number))
        took = perf_counter_ns() - started
        ends = await self._all("complete", seconds=STALL_SECONDS)
        tallies = await self._all("tally")
        expected = length * self.members
        outcome.expected += expected
        outcome.lost += expected - sum(tally["received"] for tally in tallies)
        outcome.doubled += sum(tally["doubled"] for tally in tallies)
        return took, None if None in ends else max(ends) - started

    async def _until_all_hear(self) -> None:
        end = perf_counter() + WARM_UP_SECONDS
        while any(await self._all("deaf")) and perf_counter() < end:
            await self.station.layer.group_send(GROUP, message(PROBE))
            await asyncio.sleep(PROBE_SECONDS + self.members / 20_000)
        await asyncio.sleep(PROBE_SECONDS)

    async def _all(self, command: str, **arguments: Any) -> list[Any]:
        """Ask the members of every process, ours too."""
        return await asyncio.gather(
            getattr(self.station, command)(**arguments),
            *(other.ask(command, **arguments) for other in self.others),
        )
