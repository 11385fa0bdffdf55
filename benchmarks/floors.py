"""What Python and the operating system charge when there is no layer at all.

Each floor is a workload like any other, so that it is measured in the same run
and in the same way as the layers that stand on it.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from time import perf_counter_ns
from typing import TYPE_CHECKING

import msgpack

from .companion import Companion
from .emptycall import load
from .fifo import FifoEnd
from .measure import Workload
from .messages import message

if TYPE_CHECKING:
    from collections.abc import Callable


class Pack(Workload):
    """Make the message and pack it."""

    name = "floor: msgpack pack"
    operations = 10_000

    async def batch(self) -> None:
        pack = msgpack.Packer().pack
        for number in range(self.operations):
            pack(message(number))


class PackUnpack(Workload):
    """Make the message, pack it and unpack it."""

    name = "floor: msgpack pack+unpack"
    operations = 10_000

    async def batch(self) -> None:
        pack, unpackb = msgpack.Packer().pack, msgpack.unpackb
        for number in range(self.operations):
            unpackb(pack(message(number)))


class Unpack(Workload):
    """Unpack the packed message."""

    name = "floor: msgpack unpack"
    operations = 10_000

    async def batch(self) -> None:
        unpackb, packed = msgpack.unpackb, msgpack.packb(message(0))
        for _ in range(self.operations):
            unpackb(packed)


class EmptyCall(Workload):
    """Call a C function without arguments that does nothing, through cffi."""

    name = "floor: empty cffi call"
    operations = 10_000

    async def prepare(self) -> None:
        self.call = load().lib.bench_empty

    async def batch(self) -> None:
        call = self.call
        for _ in range(self.operations):
            call()


class SendShapedCall(Workload):
    """Call a C function that does nothing but takes the arguments of a send."""

    name = "floor: empty cffi call with a send's arguments"
    operations = 10_000

    async def prepare(self) -> None:
        module = load()
        self.call = module.lib.bench_empty_send
        self.handle = module.ffi.NULL
        self.channel = b"specific.0123456789abcdef!0123456789ab"
        self.body = msgpack.packb(message(0))

    async def batch(self) -> None:
        call, handle, channel, body = self.call, self.handle, self.channel, self.body
        for _ in range(self.operations):
            call(handle, channel, len(channel), body, len(body), 60_000_000_000, 100)


class Future(Workload):
    """Wake a coroutine that waits for a bare future, from a call-back of the loop."""

    name = "floor: bare future"
    operations = 1_000

    async def batch(self) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(self.operations):
            future = loop.create_future()
            loop.call_soon(future.set_result, None)
            await future


class ReaderFuture(Workload):
    """Wake a coroutine that waits for a bare future, from a reader of the loop.

    The byte that the reader finds is written by the same process, so that this
    counts the system calls and the loop but no switch between processes.
    """

    name = "floor: bare future woken by a reader"
    operations = 1_000

    async def prepare(self) -> None:
        self.source, self.sink = os.pipe2(os.O_NONBLOCK)
        asyncio.get_running_loop().add_reader(self.source, self._readable)

    async def batch(self) -> None:
        loop, sink = asyncio.get_running_loop(), self.sink
        for _ in range(self.operations):
            self.waiter = loop.create_future()
            os.write(sink, b"!")
            await self.waiter

    async def finish(self) -> None:
        asyncio.get_running_loop().remove_reader(self.source)
        os.close(self.source)
        os.close(self.sink)

    def _readable(self) -> None:
        os.read(self.source, 64)
        self.waiter.set_result(None)


class FifoRoundTrip(Workload):
    """A message to another bare asyncio process over a named FIFO, and its answer."""

    name = "floor: round trip over named FIFOs, two processors"
    operations = 500
    same_processor = False

    async def prepare(self) -> None:
        self.directory = tempfile.TemporaryDirectory(prefix="bench-fifo-")
        near, far = (f"{self.directory.name}/{end}" for end in ("near", "far"))
        os.mkfifo(near)
        os.mkfifo(far)
        self.companion = Companion.start("fifo", far, same_processor=self.same_processor)
        self.companion.exchange(near)
        self.end = FifoEnd(near, far)
        self.number = 0

    async def batch(self) -> None:
        end = self.end
        for _ in range(self.operations):
            self.number += 1
            started = perf_counter_ns()
            end.send(message(self.number))
            while (await end.receive())["number"] != self.number:
                self.doubled += 1
            self.latencies_ns.append(perf_counter_ns() - started)

    async def finish(self) -> None:
        self.companion.stop()
        self.end.close()
        self.directory.cleanup()


class FifoRoundTripOneProcessor(FifoRoundTrip):
    """The same with no interrupt between processors: the cost of the software."""

    name = "floor: round trip over named FIFOs, one processor"
    same_processor = True


FLOORS: dict[str, Callable[[], Workload]] = {
    "pack": Pack,
    "unpack": Unpack,
    "pack_unpack": PackUnpack,
    "empty_call": EmptyCall,
    "send_shaped_call": SendShapedCall,
    "future": Future,
    "reader_future": ReaderFuture,
    "fifo_round_trip": FifoRoundTrip,
    "fifo_round_trip_one_processor": FifoRoundTripOneProcessor,
}
"""Every floor by the key that the command line and the JSON use."""


def beneath(workload: str) -> dict[str, int]:
    """Say which floors, and how many of each, a workload cannot do without."""
    if workload in _BENEATH:
        return _BENEATH[workload]
    kind, _, size = workload.rpartition("_")
    if kind == "group_delivery":
        members = int(size)
        return {"pack": 1, "unpack": members, "empty_call": 1 + members, "future": members}
    if kind == "group_send":
        return {"pack": 1, "empty_call": 1}
    return {"empty_call": 2}


_BENEATH = {
    "send_receive": {"pack_unpack": 1, "empty_call": 2},
    "wake_receiver": {"pack_unpack": 1, "empty_call": 2, "future": 1},
    "round_trip": {"fifo_round_trip": 1},
    "round_trip_one_processor": {"fifo_round_trip_one_processor": 1},
}
