"""One end of a conversation over two named FIFOs: the floor of a round trip.

It does what no layer can leave out: pack, one write, a wake-up of the other
process's event loop, one read, unpack, and a future for the coroutine that waits.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import msgpack


class FifoEnd:
    """Reads messages from the FIFO ``near`` and writes messages to ``far``.

    A packed message of the benchmarks is shorter than PIPE_BUF and one is under
    way at a time, so each read gives one whole message.
    """

    def __init__(self, near: str, far: str) -> None:
        # Opened for both, so that neither end waits for the other to open.
        self._near = os.open(near, os.O_RDWR | os.O_NONBLOCK)
        self._far = os.open(far, os.O_RDWR | os.O_NONBLOCK)
        # A packer that is kept costs half of msgpack.packb(), which makes one.
        self._pack = msgpack.Packer().pack
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._near, self._readable)
        self._waiter: asyncio.Future[dict[str, Any]] | None = None

    def send(self, message: dict[str, Any]) -> None:
        """Write one message."""
        os.write(self._far, self._pack(message))

    async def receive(self) -> dict[str, Any]:
        """Wait for one message."""
        self._waiter = self._loop.create_future()
        return await self._waiter

    def close(self) -> None:
        """Stop reading and close both FIFOs."""
        self._loop.remove_reader(self._near)
        os.close(self._near)
        os.close(self._far)

    def _readable(self) -> None:
        message = msgpack.unpackb(os.read(self._near, 4096))
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(message)
