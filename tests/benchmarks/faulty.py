"""A layer that loses one message in ten, delivers another twice, and fails to receive one."""

from __future__ import annotations

from asgi_shm import ShmChannelLayer


class FaultyLayer(ShmChannelLayer):
    async def send(self, channel, message):
        fault = message["number"] % 10
        if fault != 3:
            await super().send(channel, message)
        if fault == 7:
            await super().send(channel, message)

    async def receive(self, channel):
        message = await super().receive(channel)
        if message["number"] == 5:
            raise ConnectionError("the faulty layer was cut off")
        return message

    async def group_send(self, group, message):
        await super().group_send(group, message)
        if message["number"] >= 0:
            await super().group_send(group, message)
