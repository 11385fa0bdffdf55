"""A layer in one process, ready to send and to receive.

Layers differ in what must have happened before a message arrives: one connects at its
first group_add, another subscribes at its first receive, a third must not begin two
receives at once. open() goes through all of it, so that no measurement does.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Iterable
from typing import Any

from .layers import ChannelLayer, LayerSpec, Unsuitable, quietly_close
from .messages import PROBE, message

PROBE_SECONDS = 0.02
SUBSCRIBE_SECONDS = 0.2
WARM_UP_SECONDS = 10.0
MOST_ERRORS = 1_000
TOGETHER = 100
"""So many group_adds are under way at a time: some layers need a pause between."""


class Station:
    """Owns a layer; roles and workloads are made of it."""

    layer: ChannelLayer

    def __init__(self, spec: LayerSpec) -> None:
        self.spec = spec
        self._tasks: list[asyncio.Task[None]] = []
        self._raised: Counter[str] = Counter()

    async def open(self) -> None:
        """Build the layer in the running loop, and have it deliver one message."""
        self.layer = self.spec.build()
        channel = await self.new_channel()
        await self.layer.group_add("bench.warm", channel)
        arrival = asyncio.ensure_future(self.layer.receive(channel))
        await until_done(self.layer, channel, arrival)
        await self.layer.group_discard("bench.warm", channel)

    async def close(self) -> None:
        """End the tasks and the layer."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if hasattr(self, "layer"):
            await quietly_close(self.layer)

    async def new_channel(self) -> str:
        """Make the name of a channel of this process."""
        if self.spec.traits.plain_names:
            return "bench." + secrets.token_hex(12)
        return await self.layer.new_channel()

    async def new_channels(self, count: int) -> list[str]:
        """Make ``count`` of them."""
        return [await self.new_channel() for _ in range(count)]

    async def subscribe(self, channel: str) -> None:
        """Have a layer that subscribes at the first receive of a channel do so."""
        if self.spec.traits.plain_names:
            arrival = asyncio.ensure_future(self.layer.receive(channel))
            await asyncio.sleep(SUBSCRIBE_SECONDS)
            await self.layer.send(channel, message(PROBE))
            await asyncio.wait_for(arrival, WARM_UP_SECONDS)

    async def join(self, group: str, channels: Iterable[str]) -> None:
        """Add channels to a group."""
        names = list(channels)
        for start in range(0, len(names), TOGETHER):
            part = names[start : start + TOGETHER]
            await asyncio.gather(*(self.layer.group_add(group, name) for name in part))

    def note(self, error: BaseException) -> None:
        """Count what a layer's receive() has raised, so that the caller can try again.

        A site's consumer would have ended there. Raises it when there is no end to it.
        """
        self._raised[f"receive raised {type(error).__name__}: {error}"] += 1
        if self._raised.total() > MOST_ERRORS:
            raise error

    async def errors(self) -> dict[str, int]:
        """Say what was noted, and how often."""
        return dict(self._raised)

    def keep(self, task: asyncio.Task[None]) -> None:
        """Cancel ``task`` when the station is closed."""
        self._tasks.append(task)


async def until_done(layer: ChannelLayer, channel: str, arrival: asyncio.Future[Any]) -> None:
    """Send probes to ``channel`` until ``arrival`` is done."""
    end = asyncio.get_running_loop().time() + WARM_UP_SECONDS
    while not arrival.done():
        if asyncio.get_running_loop().time() > end:
            arrival.cancel()
            raise Unsuitable(f"no message arrived within {WARM_UP_SECONDS:.0f} s")
        await layer.send(channel, message(PROBE))
        await asyncio.wait([arrival], timeout=PROBE_SECONDS)
    arrival.result()
