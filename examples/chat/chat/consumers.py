"""One websocket: one person in one room.

The browser sends lines of text as they were typed. It receives JSON objects:
`welcome` (once), `line` (something to show), `roster` (see `presence.py`) and
`refused` (before the connection is closed).
"""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs

from channels.exceptions import ChannelFull
from channels.generic.websocket import AsyncJsonWebsocketConsumer

from chat import names
from chat.presence import Member, roster

TEXT_MAX = 2000
"""Characters in a line."""

REFUSED = 4400
"""The close code that tells the page not to try again."""

_HELP = "Say anything, or /roll 2d6, /roll d20+3. Other commands do not exist."


class ChatConsumer(AsyncJsonWebsocketConsumer):
    """Takes lines from its browser to the room, and from the room to its browser."""

    member: Member | None = None

    async def connect(self) -> None:
        """Enter the room named in the URL under the nickname in the query."""
        await self.accept()
        query = parse_qs(self.scope["query_string"].decode("utf-8", "replace"))
        nick = names.clean_nick(query.get("nick", [""])[0])
        if not nick:
            await self.send_json({"type": "refused", "text": "Choose a nickname first."})
            await self.close(REFUSED)
            return

        room = self.scope["url_route"]["kwargs"]["room"]
        self.member = Member(uuid.uuid4().hex[:12], nick, room)
        await self.channel_layer.group_add(names.room_group(room), self.channel_name)
        await self.channel_layer.group_add(names.EVERYONE, self.channel_name)
        await self.send_json({"type": "welcome", "id": self.member.id, "pid": os.getpid()})
        roster.enter(self.channel_name, self.member)
        await self.channel_layer.group_send(
            names.EVERYONE, {"type": "presence.ask", "reply_to": self.channel_name}
        )
        await self._to_room("join", "came in")

    async def disconnect(self, code: int) -> None:
        """Leave the room, and tell it."""
        if self.member is None:
            return
        roster.leave(self.channel_name)
        await self.channel_layer.group_discard(names.EVERYONE, self.channel_name)
        await self.channel_layer.group_discard(
            names.room_group(self.member.room), self.channel_name
        )
        await self._to_room("leave", "left")

    async def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None
    ) -> None:
        """Take one line from the browser."""
        text = (text_data or "").strip()
        if self.member is None or not text:
            return
        command, _, argument = text.partition(" ")
        if len(text) > TEXT_MAX:
            await self._to_me(
                f"A line has at most {TEXT_MAX} characters; this had {len(text)}."
            )
        elif command == "/roll":
            await self._ask_for_roll(argument.strip())
        elif command.startswith("/"):
            await self._to_me(_HELP)
        else:
            await self._to_room("say", text)

    async def send_json(self, content: Any, close: bool = False) -> None:  # noqa: FBT001, FBT002 -- Channels' signature
        """Send to the browser, if it is still there.

        ASGI has a send to a connection that has gone raise OSError. Let out of here, it
        would end the consumer before `disconnect`, and the room would not hear of it.
        """
        with suppress(OSError):
            await super().send_json(content, close)

    # Messages from the channel layer: the method's name is the message's type.

    async def room_line(self, event: dict[str, Any]) -> None:
        """Show a line. The process that delivers it signs it."""
        await self.send_json({**event, "type": "line", "delivered": os.getpid()})

    async def presence_roster(self, event: dict[str, Any]) -> None:
        """Pass on the roster of a process."""
        await self.send_json({**event, "type": "roster"})

    async def presence_ask(self, event: dict[str, Any]) -> None:
        """Tell a newcomer who is in this process: one connection does so for all."""
        if roster.speaks(self.channel_name) and event["reply_to"] != self.channel_name:
            with suppress(ChannelFull):  # Then the newcomer waits for the next beat.
                await self.channel_layer.send(event["reply_to"], roster.event())

    async def _to_room(self, kind: str, text: str) -> None:
        await self.channel_layer.group_send(
            names.room_group(self.member.room), {**self._signed(kind), "text": text}
        )

    async def _to_me(self, text: str) -> None:
        await self.room_line({**self._signed("error"), "text": text})

    async def _ask_for_roll(self, dice: str) -> None:
        request = {
            **self._signed("roll"),
            "type": "dice.roll",
            "dice": dice,
            "room": self.member.room,
            "reply_to": self.channel_name,
        }
        try:
            await self.channel_layer.send(names.DICE, request)
        except ChannelFull:
            await self._to_me("The dice worker has too much to do. Try again in a moment.")

    def _signed(self, kind: str) -> dict[str, Any]:
        """Return a line without its text: its kind, its sender, the process that took it."""
        return {
            "type": "room.line",
            "kind": kind,
            "from": self.member.id,
            "nick": self.member.nick,
            "took": os.getpid(),
        }
