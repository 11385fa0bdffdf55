"""A group message without a layer: the floor of a fan-out.

It does what no layer can leave out that serves a coroutine for each member: one write to each
other process, and in each process a future to wake and a message to unpack for every member.
"""

from __future__ import annotations

import asyncio
import os
from time import perf_counter_ns

import msgpack

from .layers import LayerSpec


class FifoMembers:
    """Coroutines of one process, all of which want every message."""

    def __init__(self, spec: LayerSpec | None = None) -> None:
        pass

    async def gather_members(self, count: int, near: str | None = None) -> None:
        """Let ``count`` wait, for what comes over the FIFO ``near`` or for hear()."""
        loop = asyncio.get_running_loop()
        self._waiters = [loop.create_future() for _ in range(count)]
        self._tasks = [asyncio.ensure_future(self._receive(at)) for at in range(count)]
        self._near = None if near is None else os.open(near, os.O_RDWR | os.O_NONBLOCK)
        if self._near is not None:
            loop.add_reader(self._near, self._readable, self._near)
        await asyncio.sleep(0)  # so that they wait before anything can come

    async def arm(self) -> None:
        """Expect a message for each."""
        self._missing = len(self._waiters)
        self._complete: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def complete(self) -> int:
        """Wait until all have theirs; say when."""
        return await self._complete

    async def close(self) -> None:
        """Stop."""
        for task in self._tasks:
            task.cancel()
        if self._near is not None:
            asyncio.get_running_loop().remove_reader(self._near)
            os.close(self._near)

    def hear(self, packed: bytes) -> None:
        """Wake all."""
        for waiter in self._waiters:
            waiter.set_result(packed)

    def _readable(self, near: int) -> None:
        self.hear(os.read(near, 4096))

    async def _receive(self, at: int) -> None:
        loop, waiters = asyncio.get_running_loop(), self._waiters
        while True:
            msgpack.unpackb(await waiters[at])
            waiters[at] = loop.create_future()
            self._missing -= 1
            if self._missing == 0:
                self._complete.set_result(perf_counter_ns())
