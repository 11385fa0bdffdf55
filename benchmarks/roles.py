"""What the processes of a workload do; `crew` asks for it by these names.

The measuring process takes some of the roles itself, so all are made on a `Station`.
Times are those of perf_counter_ns(), which all processes of a machine share.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

from .attacher import Attacher
from .blocking import SyncEcho
from .fifo import FifoEnd
from .fifo_group import FifoMembers
from .layers import LayerSpec
from .measure import collector_off
from .messages import BODY, message
from .station import Station

FEWEST = 50
"""Messages of a stream, however long they take."""

FULL_PAUSE = 0.0002
"""Seconds that a sender waits when the channel is full."""


class Echo(Station):
    """Sends back what it receives."""

    async def listen(self) -> str:
        """Say on which channel."""
        await self.open()
        self.near = await self.new_channel()
        return self.near

    async def answer(self, far: str) -> None:
        """Begin to answer on ``far``."""
        self.keep(asyncio.ensure_future(self._echo(far)))

    async def _echo(self, far: str) -> None:
        layer, near = self.layer, self.near
        while True:
            await layer.send(far, await layer.receive(near))


class FifoEcho:
    """The same over two named FIFOs and no layer at all."""

    def __init__(self, spec: LayerSpec | None) -> None:
        pass

    async def answer(self, near: str, far: str) -> None:
        """Begin to answer on ``far`` what comes on ``near``."""
        self._end = FifoEnd(near, far)
        self._task = asyncio.ensure_future(self._echo())
        await asyncio.sleep(0)  # so that it waits before anything can come

    async def close(self) -> None:
        """Stop."""
        self._task.cancel()
        self._end.close()

    async def _echo(self) -> None:
        while True:
            self._end.send(await self._end.receive())


class Sink(Station):
    """Receives from one channel, and remembers the numbers that came."""

    async def listen(self, channel: str | None = None) -> str:
        """Begin to receive, on a channel of its own if none is named."""
        await self.open()
        self.channel = channel or await self.new_channel()
        self.numbers: list[int] = []
        self.probes = 0
        self.last_at = 0
        self.keep(asyncio.ensure_future(self._receive()))
        return self.channel

    async def heard(self) -> int:
        """Say how many probes have come."""
        return self.probes

    async def count(self) -> int:
        """Say how many messages have come."""
        return len(self.numbers)

    async def tally(self) -> dict[str, Any]:
        """Give the numbers, and when the last came; then begin anew."""
        numbers, self.numbers = self.numbers, []
        return {"numbers": numbers, "last_at": self.last_at}

    async def _receive(self) -> None:
        layer, channel = self.layer, self.channel
        with collector_off():
            while True:
                try:
                    number = (await layer.receive(channel))["number"]
                except Exception as error:  # noqa: BLE001 -- counted: see note()
                    self.note(error)
                    continue
                if number < 0:
                    self.probes += 1
                    continue
                self.last_at = perf_counter_ns()
                self.numbers.append(number)


class Source(Station):
    """Sends to one channel as fast as it takes them."""

    async def go(
        self, channel: str, seconds: float, most: int, size: int, first: int = 0
    ) -> dict[str, Any]:
        """Send ``most`` messages, or for ``seconds``; say how many and from when on."""
        if not hasattr(self, "layer"):
            await self.open()
        with collector_off():
            began_at = perf_counter_ns()
            sent = await self._send(channel, began_at + int(seconds * 1e9), most, size, first)
        return {"sent": sent, "began_at": began_at}

    async def _send(self, channel: str, end: int, most: int, size: int, first: int) -> int:
        from channels.exceptions import ChannelFull

        layer, body = self.layer, BODY if size == len(BODY) else "x" * size
        sent = 0
        while sent < FEWEST or (sent < most and perf_counter_ns() < end):
            try:
                await layer.send(channel, message(first + sent, body))
            except ChannelFull:  # noqa: PERF203 -- which is what is to be seen
                await asyncio.sleep(FULL_PAUSE)
            else:
                sent += 1
        return sent


class Members(Station):
    """Channels in a group, each with a coroutine that waits in receive()."""

    async def gather_members(self, group: str, count: int) -> None:
        """Make ``count`` channels, add them and begin to receive."""
        if not hasattr(self, "layer"):
            await self.open()
        channels = await self.new_channels(count)
        await self.join(group, channels)
        self._got: list[list[int]] = [[] for _ in channels]
        self._deaf = count
        self._missing = 0
        self._complete: asyncio.Future[int] | None = None
        for channel, got in zip(channels, self._got, strict=True):
            self.keep(asyncio.ensure_future(self._receive(channel, got.append)))

    async def deaf(self) -> int:
        """Say how many members have heard no probe yet."""
        return self._deaf

    async def arm(self, each: int) -> None:
        """Expect ``each`` messages for each member."""
        self._missing = each * len(self._got)
        self._complete = asyncio.get_running_loop().create_future()

    async def complete(self, seconds: float) -> int | None:
        """Wait until all have theirs; say when, None if nothing comes for ``seconds``."""
        assert self._complete is not None
        while True:
            missing = self._missing
            done, _ = await asyncio.wait([self._complete], timeout=seconds)
            if done:
                return self._complete.result()
            if self._missing == missing:
                return None

    async def tally(self) -> dict[str, int]:
        """Say how many different messages came, and how many came again; begin anew."""
        received = sum(map(len, self._got))
        different = sum(len(set(got)) for got in self._got)
        for got in self._got:
            got.clear()
        return {"received": different, "doubled": received - different}

    async def _receive(self, channel: str, take: Callable[[int], None]) -> None:
        layer, deaf = self.layer, True
        while True:
            try:
                number = (await layer.receive(channel))["number"]
            except Exception as error:  # noqa: BLE001 -- counted: see note()
                self.note(error)
                continue
            if number < 0:
                self._deaf -= deaf
                deaf = False
                continue
            take(number)
            self._missing -= 1
            if self._missing == 0 and self._complete is not None:
                self._complete.set_result(perf_counter_ns())


def doubled(numbers: list[int]) -> int:
    """Count the messages that came again."""
    return sum(times - 1 for times in Counter(numbers).values())


ROLES: dict[str, Callable[[Any], Any]] = {
    "echo": Echo,
    "fifo_echo": FifoEcho,
    "fifo_members": FifoMembers,
    "sink": Sink,
    "source": Source,
    "members": Members,
    "attacher": Attacher,
    "sync_echo": SyncEcho,
}
