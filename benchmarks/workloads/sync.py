"""group_send from synchronous code, as Django views and Celery tasks call it."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable
from time import perf_counter, perf_counter_ns
from typing import Any, ClassVar

from benchmarks.blocking import sync_layer
from benchmarks.measure import Figure, Outcome, collector_off
from benchmarks.messages import message
from benchmarks.roles import Members

from .base import GROUP, STALL_SECONDS, LayerWorkload

MEMBERS = 10


class AsyncToSync(LayerWorkload):
    """``async_to_sync(layer.group_send)`` in a thread with no event loop.

    The members wait in another process; of a layer that cannot leave its process they
    are in this one, and are served when the thread has ended.
    """

    name = f"async_to_sync(group_send) to {MEMBERS} members"
    figures: ClassVar = {"call": Figure("the call", "ns")}
    station_type = Members
    station: Members
    most_calls = 90
    """Less than a channel holds by default: no member need receive meanwhile."""

    async def prepare(self) -> None:
        await super().prepare()
        if self.spec.traits.one_process:
            await self.station.gather_members(GROUP, MEMBERS)
            self.members: Any = None
        else:
            self.members = self.crew.start("members", place=1)
            await self.members.ask("gather_members", group=GROUP, count=MEMBERS)
        await asyncio.sleep(0.2)

    async def run(self, seconds: float) -> Outcome:
        outcome = Outcome()
        calls: list[int] = []
        loop = asyncio.get_running_loop()
        end = perf_counter() + seconds
        call = self.function()
        with collector_off():
            while not calls or perf_counter() < end:
                calls += await self._round(outcome, loop, call, end)
        outcome.figures["call"] = statistics.median(calls)
        return outcome

    def function(self) -> Callable[[str, dict[str, Any]], object]:
        """Give the synchronous function that is measured."""
        from asgiref.sync import async_to_sync

        return async_to_sync(self.station.layer.group_send)

    async def _round(
        self, outcome: Outcome, loop: asyncio.AbstractEventLoop, call: Any, end: float
    ) -> list[int]:
        def body() -> list[int]:
            times: list[int] = []
            while len(times) < self.most_calls and (not times or perf_counter() < end):
                started = perf_counter_ns()
                call(GROUP, message(len(times)))
                times.append(perf_counter_ns() - started)
            return times

        times = await loop.run_in_executor(None, body)
        expected = len(times) * MEMBERS
        tally = await self._tally(expected)
        outcome.expected += expected
        outcome.lost += expected - tally["received"]
        outcome.doubled += tally["doubled"]
        return times

    async def _tally(self, expected: int) -> dict[str, int]:
        """Give the members time to receive, and count."""
        received, doubled = 0, 0
        end = perf_counter() + STALL_SECONDS
        while received < expected and perf_counter() < end:
            await asyncio.sleep(0.02)
            if self.members is None:
                tally = await self.station.tally()
            else:
                tally = await self.members.ask("tally")
            received += tally["received"]
            doubled += tally["doubled"]
        return {"received": received, "doubled": doubled}


class Synchronous(AsyncToSync):
    """group_send of the synchronous layer that a package brings beside the other."""

    name = f"synchronous group_send to {MEMBERS} members"

    def function(self) -> Callable[[str, dict[str, Any]], object]:
        self.sync_layer = sync_layer(self.spec)
        call: Callable[[str, dict[str, Any]], object] = self.sync_layer.group_send
        return call

    async def finish(self) -> None:
        if hasattr(self, "sync_layer"):
            self.sync_layer.close()
        await super().finish()
