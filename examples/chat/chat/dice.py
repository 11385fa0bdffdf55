"""The dice worker: `manage.py runworker dice` reads the queue that is the channel "dice"."""

from __future__ import annotations

import os
import random
import re
from contextlib import suppress
from typing import Any

from channels.consumer import AsyncConsumer
from channels.exceptions import ChannelFull

from chat import names

_DICE = re.compile(r"(?P<count>\d{0,3})[dD](?P<sides>\d{1,4})(?P<plus>[+-]\d{1,4})?")
_COUNT_MAX = 20
_SIDES_MAX = 1000


class BadDice(ValueError):
    """The request is not for dice that exist; the message says what is possible."""


def roll(dice: str, rng: random.Random) -> str:
    """Roll `dice` ("2d6", "d20+3") and return the line to show.

    Raises BadDice for anything else, and for dice too many or too large.
    """
    match = _DICE.fullmatch(dice.replace(" ", "") or "1d6")
    if match is None:
        raise BadDice(f"“{dice[:40]}” are not dice. Try /roll 2d6 or /roll d20+3.")
    count, sides, plus = int(match["count"] or 1), int(match["sides"]), int(match["plus"] or 0)
    if not (1 <= count <= _COUNT_MAX and 2 <= sides <= _SIDES_MAX):
        raise BadDice(f"At most {_COUNT_MAX} dice, with 2 to {_SIDES_MAX} sides each, please.")
    thrown = [rng.randint(1, sides) for _ in range(count)]
    parts = " + ".join(str(number) for number in thrown)
    if plus:
        parts += f" {'-' if plus < 0 else '+'} {abs(plus)}"
    total = sum(thrown) + plus
    result = parts if parts == str(total) else f"{parts} = {total}"
    return f"rolled {match[0]}: {result}"


class DiceConsumer(AsyncConsumer):
    """Answers requests to roll: to the room if it can, else to the one who asked."""

    rng = random.SystemRandom()

    async def dice_roll(self, event: dict[str, Any]) -> None:
        """Take one request from the queue."""
        line = {key: event[key] for key in ("kind", "from", "nick", "took")}
        line |= {"type": "room.line", "worked": os.getpid()}
        try:
            line["text"] = roll(event["dice"], self.rng)
        except BadDice as error:
            line |= {"kind": "error", "text": str(error)}
            await self._answer(event["reply_to"], line)
        else:
            await self.channel_layer.group_send(names.room_group(event["room"]), line)

    async def _answer(self, channel: str, line: dict[str, Any]) -> None:
        with suppress(ChannelFull):  # Who does not read misses a hint; the queue goes on.
            await self.channel_layer.send(channel, line)
