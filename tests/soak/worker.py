"""What one thread of a soak does: everything that a layer can, at random, until it dies.

It sets itself timers that kill it a few microseconds into an operation.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
from typing import TYPE_CHECKING, Any

from asgi_shm import ChannelFull, ShmChannelLayer
from asgi_shm.errors import MemoryFull
from tests.soak.arena import ALL, FAMILY, GROUPS, IN_ALL, NORMAL
from tests.soak.timer import KillTimer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.soak.arena import Arena, Journal

SIZES = (0, 1, 30, 100, 1000, 2030, 2050, 5000, 40_000)
WEIGHTS = (4, 4, 8, 8, 4, 2, 2, 2, 1)
# The group of those who want all memory; nobody sends to it.
HOARD = "hoard"


class Dropped(threading.local):
    """Stands where a layer warns of messages to groups that were dropped: counts them."""

    count = 0

    def warning(self, *_: object) -> None:
        self.count += 1


DROPPED = Dropped()


def filler(text: str, size: int) -> bytes:
    """Bytes that say whether they are this message's, and all there."""
    return (text.encode() * (size // len(text) + 1))[:size]


class Worker:
    """The life of a process, in one of its threads: each has a loop, and all have one layer."""

    def __init__(
        self,
        arena: Arena,
        layer: ShmChannelLayer,
        journal: Journal,
        timer: KillTimer | None = None,
    ) -> None:
        self.arena = arena
        self.layer = layer
        self.journal = journal
        self.timer = timer
        self.random = random.Random(f"{arena.seed}-{journal.name}")
        self.serial = 0
        self.own: list[str] = []
        self.solo: list[str] = []
        self.readers: dict[asyncio.Task[None], str] = {}
        self.joined: set[tuple[str, str]] = set()

    # -- reading ------------------------------------------------------------------------

    async def read(self, channel: str) -> None:
        """Read until cancelled. Nothing is awaited between a message and its note."""
        while True:
            try:
                message = await self.layer.receive(channel)
            except ChannelFull:  # no memory to be counted as waiting
                await asyncio.sleep(0.005)
                continue
            self.got(channel, message)

    def got(self, channel: str, message: dict[str, Any]) -> None:
        text, size, data = message["id"], message["size"], message["data"]
        if channel == "family!":
            channel = message["to"] if message["to"] in FAMILY else IN_ALL
        self.journal.note("R", text, channel)
        if data != filler(text, size):
            self.journal.note("X", f"message {text} of {size} bytes is damaged")

    def start_reader(self, channel: str) -> None:
        if channel in self.solo and channel in self.readers.values():
            return
        self.journal.note("B", channel)
        task = asyncio.ensure_future(self.read(channel))
        self.readers[task] = channel

    async def stop_readers(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, BaseException) and not isinstance(
                outcome, asyncio.CancelledError
            ):
                raise outcome
        for task in tasks:
            self.journal.note("U", self.readers.pop(task))

    # -- the things that a process does -------------------------------------------------

    def message(self, to: str, size: int | None = None) -> dict[str, Any]:
        self.serial += 1
        text = f"{self.journal.name}.{self.serial}"
        if size is None:
            size = self.random.choices(SIZES, WEIGHTS)[0]
        self.journal.note("I", text, to)
        return {"type": "soak", "id": text, "to": to, "size": size, "data": filler(text, size)}

    async def send(self, to: str | None = None, size: int | None = None) -> None:
        if to is None:
            names = self.arena.advertised() or NORMAL
            to = self.random.choice(self.random.choice([NORMAL, FAMILY, names, names]))
        message = self.message(to, size)
        try:
            await self.layer.send(to, message)
        except MemoryFull:
            self.journal.note("F", message["id"], "memory")
        except ChannelFull:
            self.journal.note("F", message["id"], "room")
        else:
            self.journal.note("S", message["id"])

    async def send_to_group(self) -> None:
        group = self.random.choice([*GROUPS, ALL])
        message = self.message(f"group:{group}")
        before = DROPPED.count
        await self.layer.group_send(group, message)
        self.journal.note("S" if DROPPED.count == before else "D", message["id"])

    async def want_all(self) -> None:
        """Take what messages, or memberships, may take of the memory."""
        if self.random.random() > 0.05:
            return
        if self.random.random() < 0.5:
            to = self.random.choice([*NORMAL, *self.own])
            for _ in range(self.arena.greed):
                await self.send(to, max(SIZES))
        else:
            prefix = self.own[0].partition("!")[0]
            with contextlib.suppress(ChannelFull):
                for n in range(20 * self.arena.greed):
                    await self.layer.group_add(HOARD, f"{prefix}!{n}")

    async def join(self) -> None:
        group, channel = (
            self.random.choice(GROUPS),
            self.random.choice([*self.own, *NORMAL[:2]]),
        )
        try:
            await self.layer.group_add(group, channel)
        except ChannelFull:
            return
        self.journal.note("J", group, channel)
        self.joined.add((group, channel))

    async def leave(self) -> None:
        if self.joined:
            group, channel = self.joined.pop()
            self.journal.note("L", group, channel)
            await self.layer.group_discard(group, channel)

    async def turn_over(self) -> None:
        """Cancel some readers, begin others."""
        some = [task for task in self.readers if self.random.random() < 0.3]
        await self.stop_readers(some)
        for _ in range(self.random.randrange(4)):
            self.start_reader(self.random.choice([*NORMAL, "family!", *self.own, *self.own]))

    async def rest(self) -> None:
        await asyncio.sleep(self.random.choice([0, 0, 0, 0.0005, 0.005]))

    async def look(self) -> None:
        if self.random.random() < 0.2:
            self.layer._attachment.info()
        elif self.random.random() < 0.2:
            self.layer._attachment.sweep()
        elif self.arena.flushes and self.random.random() < 0.05:
            await self.layer.flush()

    async def risk(self) -> None:
        """Be killed some microseconds from here."""
        if self.timer and self.random.random() < 0.05:
            self.timer.set(10 ** self.random.uniform(-5.3, -3))

    def acts(self) -> list[Callable[[], Any]]:
        """What it chooses from; what stands here twice it does more often."""
        acts = [self.send, self.send, self.send, self.send, self.send_to_group]
        acts += [self.send_to_group, self.join, self.leave, self.turn_over, self.rest]
        acts += [self.rest, self.look, self.risk]
        return [*acts, self.want_all] if self.arena.greed else acts

    # -- the whole ----------------------------------------------------------------------

    async def make_channels(self) -> None:
        for how in ("solo", "shared"):
            channel = await self.layer.new_channel()
            self.journal.note("O", channel, how)
            self.own.append(channel)
            if how == "solo":
                self.solo.append(channel)
            self.start_reader(channel)
            self.arena.advertise(channel)

    async def run(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        await self.make_channels()
        acts = self.acts()
        while time.monotonic() < until and self.arena.is_storming:
            await self.random.choice(acts)()
        for channel in self.own:
            self.arena.withdraw(channel)
        await self.stop_readers(list(self.readers))
