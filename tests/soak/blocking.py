"""A thread of a soak's process that has no event loop, and a layer of its own.

It does what others do, but waits in the kernel, for any of several channels at a time.
"""

from __future__ import annotations

import time
import traceback
from typing import TYPE_CHECKING, Any

from asgi_shm import ChannelFull, SyncShmChannelLayer
from tests.soak.arena import NORMAL
from tests.soak.worker import DROPPED, Worker
from tests.support import run_alone

if TYPE_CHECKING:
    from tests.soak.arena import Arena
    from tests.soak.timer import KillTimer


class Calls:
    """The layer, called as a worker calls one. Nothing is waited for but by the call itself."""

    def __init__(self, layer: SyncShmChannelLayer) -> None:
        self._layer = layer
        self._attachment = layer._attachment
        self._attachment._unsent = DROPPED
        self.receive = layer.receive

    async def new_channel(self) -> str:
        return self._layer.new_channel()

    async def send(self, channel: str, message: dict[str, Any]) -> None:
        self._layer.send(channel, message)

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        self._layer.group_send(group, message)

    async def group_add(self, group: str, channel: str) -> None:
        self._layer.group_add(group, channel)

    async def group_discard(self, group: str, channel: str) -> None:
        self._layer.group_discard(group, channel)

    async def flush(self) -> None:
        self._layer.flush()


class BlockingWorker(Worker):
    reads: list[str]

    def start_reader(self, channel: str) -> None:
        self.journal.note("B", channel)
        self.reads.append(channel)

    async def take(self) -> None:
        try:
            channel, message = self.layer.receive(self.reads, block=True, timeout=0.003)
        except ChannelFull:  # no memory to be counted as waiting
            return
        if message is not None:
            self.got(channel, message)

    def live(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        self.reads = []
        run_alone(self.make_channels())
        for channel in ("family!", *self.random.sample(NORMAL, 3)):
            self.start_reader(channel)
        acts = [self.send, self.send, self.send_to_group, self.join, self.leave]
        acts += [self.look, self.risk, self.take, self.take, self.take]
        while time.monotonic() < until and self.arena.is_storming:
            run_alone(self.random.choice(acts)())
        for channel in self.own:
            self.arena.withdraw(channel)
        for channel in self.reads:
            self.journal.note("U", channel)


def work(arena: Arena, timer: KillTimer, seconds: float) -> None:
    journal = arena.journal()
    try:
        with SyncShmChannelLayer(prefix=arena.prefix, **arena.options) as layer:
            BlockingWorker(arena, Calls(layer), journal, timer).live(seconds)
    except BaseException:
        journal.note("X", traceback.format_exc())
        raise
    journal.note("E")
    journal.close()
