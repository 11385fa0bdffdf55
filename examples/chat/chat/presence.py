"""Who is where, with nothing but the channel layer.

Each web worker keeps a roster of its own connections, and tells `EVERYONE` the
whole roster when it changes and every `BEAT` seconds besides. A browser shows
the union of the latest roster of each process, and forgets a process that it
has not heard of for `VALID_FOR` seconds.

Whole rosters, not joins and leaves: the channel layer delivers at most once, and
a process may be killed before it can say goodbye. A lost roster is made good by
the next one; the roster of a dead process runs out.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from channels.layers import get_channel_layer

from chat import names

BEAT = 10.0
"""Seconds between two rosters of a process in which nothing changes."""

VALID_FOR = 25.0
"""Seconds after which a roster that was not renewed is forgotten: two lost beats and a bit."""

_GATHER = 0.1
"""Seconds for which changes are gathered, so that a crowd that arrives is one roster."""


@dataclass(frozen=True)
class Member:
    """One connection: its id (random, public), nickname, and room."""

    id: str
    nick: str
    room: str


class Roster:
    """The connections of this process, and the task that tells the others of them."""

    def __init__(self) -> None:
        self._members: dict[str, Member] = {}  # by channel name
        self._edition = 0
        self._changed = asyncio.Event()
        self._teller: asyncio.Task[None] | None = None

    def enter(self, channel: str, member: Member) -> None:
        """Add a connection, and have the others told."""
        self._members[channel] = member
        self._tell()

    def leave(self, channel: str) -> None:
        """Drop a connection, if it is there, and have the others told."""
        if self._members.pop(channel, None) is not None:
            self._tell()

    def speaks(self, channel: str) -> bool:
        """Say whether this connection, the eldest, answers for the whole process."""
        return channel == next(iter(self._members), None)

    def event(self) -> dict[str, Any]:
        """Return the roster as a channel layer message.

        Of two editions from one process, the higher is the newer: an answer to one
        connection and a roster to everyone may overtake each other.
        """
        self._edition += 1
        return {
            "type": "presence.roster",
            "pid": os.getpid(),
            "edition": self._edition,
            "members": [asdict(member) for member in self._members.values()],
            "valid_for": VALID_FOR,
        }

    def _tell(self) -> None:
        self._changed.set()
        if self._teller is None or self._teller.done():
            self._teller = asyncio.create_task(self._run())

    async def _run(self) -> None:
        # Ends after the roster that says that nobody is left.
        while self._members or self._changed.is_set():
            await asyncio.sleep(_GATHER)
            self._changed.clear()
            await get_channel_layer().group_send(names.EVERYONE, self.event())
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._changed.wait(), BEAT)


roster = Roster()
