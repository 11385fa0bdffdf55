"""A room that tells who is speaking, and a worker that answers by channel name."""

from __future__ import annotations

import os
from typing import Any

from channels.consumer import AsyncConsumer
from channels.generic.websocket import AsyncJsonWebsocketConsumer


class Room(AsyncJsonWebsocketConsumer):
    """Passes on what one member says to all; asks the worker what a member asks."""

    groups = ("room",)

    async def connect(self) -> None:
        await self.accept()
        await self.send_json({"hello": os.getpid()})

    async def receive_json(self, content: dict[str, Any], **kwargs: Any) -> None:
        if "say" in content:
            await self.channel_layer.group_send(
                "room", {"type": "room.said", "text": content["say"], "from": os.getpid()}
            )
        else:
            await self.channel_layer.send(
                "double",
                {"type": "double", "number": content["double"], "to": self.channel_name},
            )

    async def room_said(self, event: dict[str, Any]) -> None:
        await self.send_json({"said": event["text"], "from": event["from"], "by": os.getpid()})

    async def double_answer(self, event: dict[str, Any]) -> None:
        await self.send_json({"doubled": event["number"], "by": event["by"]})


class Double(AsyncConsumer):
    """The worker's consumer."""

    async def double(self, event: dict[str, Any]) -> None:
        answer = {"type": "double.answer", "number": 2 * event["number"], "by": os.getpid()}
        await self.channel_layer.send(event["to"], answer)
