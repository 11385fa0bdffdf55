"""What one process of a soak does: everything that a layer can, at random, until it dies.

It may be killed by others, and it sets itself timers that kill it a few microseconds into an
operation. Children that it forks live the same life, and it kills some of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
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
        self.children: list[int] = []

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

    async def fork(self) -> None:
        if self.random.random() > 0.15:
            return
        death = draw_death(self.random)
        pid = os.fork()
        if pid == 0:
            # The parent's loop, readers and names are none of the child's business.
            seconds = 10 ** self.random.uniform(-2.5, -0.5)
            leave_at(self.arena, lambda: live(self.arena, self.layer, seconds, death))
        self.children.append(pid)

    async def kill_a_child(self) -> None:
        if self.children and self.random.random() < 0.3:
            # Not waited for, so the PID is still its own, though it may be dead.
            os.kill(self.children.pop(), signal.SIGKILL)

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

    async def run(self, seconds: float, *, forks: bool) -> None:
        until = time.monotonic() + seconds
        await self.make_channels()
        acts: list[Callable[[], Any]] = [
            self.send,
            self.send,
            self.send,
            self.send,
            self.send_to_group,
            self.send_to_group,
            self.join,
            self.leave,
            self.turn_over,
            self.rest,
            self.rest,
            self.look,
            self.risk,
        ]
        if forks:
            acts += [self.fork, self.kill_a_child]
        if self.arena.greed:
            acts.append(self.want_all)
        while time.monotonic() < until and self.arena.is_storming:
            await self.random.choice(acts)()
        for channel in self.own:
            self.arena.withdraw(channel)
        await self.stop_readers(list(self.readers))


def draw_death(rng: random.Random) -> float:
    """When a process is killed, in seconds of its life; 0: not by its own timer.

    Some are killed before they are attached, some at it, some in their first operations.
    """
    return 10 ** rng.uniform(-4.3, -1.7) if rng.random() < 0.4 else 0.0


def live(arena: Arena, layer: ShmChannelLayer | None, seconds: float, death: float) -> None:
    """The life of a process, up to its own end or to the moment when it is killed."""
    timer = KillTimer()
    timer.set(death)
    journal = arena.journal()
    rng = random.Random(f"{arena.seed}+{journal.name}")
    threads = rng.choice([1, 1, 1, 2, 3])
    before = descriptors()
    inherited = layer is not None
    if layer is None:
        layer = make_layer(arena)
    others = [
        threading.Thread(
            target=work, args=(arena, layer, journal, timer, seconds), kwargs={"main": False}
        )
        for _ in range(threads - 1)
    ]
    for thread in others:
        thread.start()
    work(arena, layer, journal, timer, seconds, main=True)
    for thread in others:
        thread.join()
    timer.set(0)
    if rng.random() < 0.7:
        asyncio.run(layer.close())
        del layer, others  # descriptors go with the last reference
        gc.collect()
        if not inherited and (after := descriptors()) != before:
            journal.note("X", f"descriptors before {before}, and after {after}")
    journal.note("E")


def make_layer(arena: Arena) -> ShmChannelLayer:
    layer = ShmChannelLayer(prefix=arena.prefix, **arena.options)
    layer._attachment._unsent = DROPPED
    return layer


def work(
    arena: Arena,
    layer: ShmChannelLayer,
    journal: Journal,
    timer: KillTimer,
    seconds: float,
    *,
    main: bool,
) -> None:
    own = journal if main else arena.journal()
    worker = Worker(arena, layer, own, timer)
    try:
        asyncio.run(worker.run(seconds, forks=main))
    except BaseException:
        own.note("X", traceback.format_exc())
        raise
    if not main:
        own.note("E")
        own.close()


def sink(arena: Arena) -> None:
    """A process that is never killed: it reads what anybody may read, from two loops."""
    layer = make_layer(arena)

    def loop() -> None:
        async def main() -> None:
            worker = Worker(arena, layer, arena.journal())
            for channel in [*NORMAL, "family!", *NORMAL]:
                worker.start_reader(channel)
            while not arena.is_stopped:
                await asyncio.sleep(0.1)
                for task in worker.readers:
                    if task.done():
                        task.result()
            await worker.stop_readers(list(worker.readers))
            worker.journal.note("E")
            worker.journal.close()

        asyncio.run(main())

    thread = threading.Thread(target=loop)
    thread.start()
    loop()
    thread.join()
    asyncio.run(layer.close())


def leave_at(arena: Arena, life: Callable[[], None]) -> None:
    """In a forked child: live, and go without what Python does at its end."""
    code = 1
    try:
        life()
        code = 0
    except BaseException:
        arena.journal().note("X", traceback.format_exc())
    finally:
        sys.stdout.flush()
        os._exit(code)


def descriptors() -> int:
    with contextlib.suppress(OSError):
        return len(list(Path("/proc/self/fd").iterdir()))
    return 0
