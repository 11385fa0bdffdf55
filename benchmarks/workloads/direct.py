"""send and receive: in one process, and to a receiver that waits there."""

from __future__ import annotations

import asyncio

from benchmarks.messages import message

from .base import BatchedLayerWorkload


class SendReceive(BatchedLayerWorkload):
    """Send a message and receive it in the same process; it is there already."""

    name = "send and receive, one process"
    operations = 200

    async def prepare(self) -> None:
        await super().prepare()
        self.channel = await self.station.new_channel()
        await self.station.subscribe(self.channel)

    async def batch(self) -> None:
        layer, channel = self.station.layer, self.channel
        for _ in range(self.operations):
            self.number += 1
            await layer.send(channel, message(self.number))
            while (await layer.receive(channel))["number"] != self.number:
                self.doubled += 1


class WakeReceiver(BatchedLayerWorkload):
    """Two coroutines of one process send to and fro; each waits for its message."""

    name = "send to a waiting receiver, one process"
    operations = 400

    async def prepare(self) -> None:
        await super().prepare()
        self.near, self.far = await self.station.new_channels(2)
        for channel in (self.near, self.far):
            await self.station.subscribe(channel)

    async def batch(self) -> None:
        layer, near, far = self.station.layer, self.near, self.far

        async def answer() -> None:
            for _ in range(self.operations // 2):
                await layer.send(near, await layer.receive(far))

        other = asyncio.ensure_future(answer())
        for _ in range(self.operations // 2):
            self.number += 1
            await layer.send(far, message(self.number))
            received = await layer.receive(near)
            if received["number"] != self.number:
                self.doubled += 1
        await other
