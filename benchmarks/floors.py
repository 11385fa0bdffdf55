"""What Python and the operating system charge when there is no layer at all.

Each floor is a workload like any other, so that it is measured in the same run
and in the same way as the layers that stand on it.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from time import perf_counter, perf_counter_ns
from typing import ClassVar

import msgpack

from . import pinning
from .cping import round_trips_ns, turns_ns
from .crew import Crew
from .emptycall import load
from .fifo import FifoEnd
from .fifo_group import FifoMembers
from .layers import Unsuitable
from .measure import Batched, Figure, Outcome, Workload, collector_off, percentiles
from .messages import message
from .workloads import GROUP_SIZES
from .workloads.fan_out import PACE, enough


class Pack(Batched):
    """Make the message and pack it."""

    name = "msgpack pack"
    operations = 10_000

    async def batch(self) -> None:
        pack = msgpack.Packer().pack
        for number in range(self.operations):
            pack(message(number))


class PackUnpack(Batched):
    """Make the message, pack it and unpack it."""

    name = "msgpack pack+unpack"
    operations = 10_000

    async def batch(self) -> None:
        pack, unpackb = msgpack.Packer().pack, msgpack.unpackb
        for number in range(self.operations):
            unpackb(pack(message(number)))


class Unpack(Batched):
    """Unpack the packed message."""

    name = "msgpack unpack"
    operations = 10_000

    async def batch(self) -> None:
        unpackb, packed = msgpack.unpackb, msgpack.packb(message(0))
        for _ in range(self.operations):
            unpackb(packed)


class EmptyCall(Batched):
    """Call a C function without arguments that does nothing, through cffi."""

    name = "empty cffi call"
    operations = 10_000

    async def prepare(self) -> None:
        self.call = load().lib.bench_empty

    async def batch(self) -> None:
        call = self.call
        for _ in range(self.operations):
            call()


class SendShapedCall(Batched):
    """Call a C function that does nothing but takes the arguments of a send."""

    name = "empty cffi call with a send's arguments"
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


class Future(Batched):
    """Wake a coroutine that waits for a bare future, from a call-back of the loop."""

    name = "bare future"
    operations = 1_000

    async def batch(self) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(self.operations):
            future = loop.create_future()
            loop.call_soon(future.set_result, None)
            await future


class ReaderFuture(Batched):
    """Wake a coroutine that waits for a bare future, from a reader of the loop.

    The byte that the reader finds is written by the same process, so that this
    counts the system calls and the loop but no switch between processes.
    """

    name = "bare future woken by a reader"
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


LATENCIES = {"p50": Figure("median", "ns"), "p99": Figure("99th percentile", "ns")}


class FifoRoundTrip(Batched):
    """A message to another bare asyncio process over a named FIFO, and its answer."""

    name = "round trip over named FIFOs, two processors"
    figures: ClassVar = LATENCIES
    operations = 100
    place = 1

    async def prepare(self) -> None:
        if self.place and pinning.processors() == 1:
            raise Unsuitable("there is only one processor to run on")
        self.directory = tempfile.TemporaryDirectory(prefix="bench-fifo-")
        near, far = (f"{self.directory.name}/{end}" for end in ("near", "far"))
        os.mkfifo(near)
        os.mkfifo(far)
        self.crew = Crew()
        await self.crew.start("fifo_echo", place=self.place).ask("answer", near=far, far=near)
        self.end = FifoEnd(near, far)

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
        if hasattr(self, "end"):
            self.crew.stop()
            self.end.close()
            self.directory.cleanup()


class FifoRoundTripOneProcessor(FifoRoundTrip):
    """The same with no interrupt between processors: the cost of the software."""

    name = "round trip over named FIFOs, one processor"
    place = 0


class FifoGroup(Workload):
    """A message to a process that sleeps, and as many futures as members in it and in ours."""

    figures: ClassVar = {
        "call": Figure("the write that wakes the other process", "ns"),
        "last": Figure("until the last future was woken", "ns"),
    }

    def __init__(self, members: int) -> None:
        self.members = members
        self.name = f"{members:,} bare futures woken in two processes"

    async def prepare(self) -> None:
        self.directory = tempfile.TemporaryDirectory(prefix="bench-fifo-")
        path = f"{self.directory.name}/group"
        os.mkfifo(path)
        self.crew = Crew()
        self.there = self.crew.start("fifo_members", place=1)
        await self.there.ask("gather_members", count=self.members // 2, near=path)
        self.far = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self.here = FifoMembers()
        await self.here.gather_members(self.members - self.members // 2)

    async def run(self, seconds: float) -> Outcome:
        pack = msgpack.Packer().pack
        calls: list[int] = []
        lasts: list[int] = []
        with collector_off():
            began = perf_counter()
            while not enough(len(calls), perf_counter() - began, seconds):
                await asyncio.gather(self.here.arm(), self.there.ask("arm"))
                await asyncio.sleep(PACE)  # the other process sleeps
                started = perf_counter_ns()
                packed = pack(message(len(calls)))
                os.write(self.far, packed)
                calls.append(perf_counter_ns() - started)
                self.here.hear(packed)
                ends = await asyncio.gather(self.here.complete(), self.there.ask("complete"))
                lasts.append(max(ends) - started)
        return Outcome({"call": statistics.median(calls), "last": statistics.median(lasts)})

    async def finish(self) -> None:
        if hasattr(self, "here"):
            await self.here.close()
            os.close(self.far)
        self.crew.stop()
        self.directory.cleanup()


class CRoundTrip(Workload):
    """A byte to another process and back, in C: what the system alone charges."""

    name = "round trip in C, two processors"
    figures: ClassVar = LATENCIES
    place = 1

    async def run(self, seconds: float) -> Outcome:  # noqa: ARG002 -- it counts
        if self.place and pinning.processors() == 1:
            raise Unsuitable("there is only one processor to run on")
        return Outcome(percentiles(round_trips_ns(self.place)))


class CRoundTripOneProcessor(CRoundTrip):
    """The same on one processor."""

    name = "round trip in C, one processor"
    place = 0


class CTurns(Workload):
    """Two processors that compute in turn: how much the timers and the host add to that."""

    name = "two processors that compute in turn, in C"
    figures: ClassVar = LATENCIES

    async def run(self, seconds: float) -> Outcome:  # noqa: ARG002 -- it counts
        if pinning.processors() == 1:
            raise Unsuitable("there is only one processor to run on")
        return Outcome(percentiles(turns_ns(1)))


FLOORS: dict[str, Callable[[], Workload]] = {
    "pack": Pack,
    "unpack": Unpack,
    "pack_unpack": PackUnpack,
    "empty_call": EmptyCall,
    "send_shaped_call": SendShapedCall,
    "future": Future,
    "reader_future": ReaderFuture,
    "fifo": FifoRoundTrip,
    "fifo_one_processor": FifoRoundTripOneProcessor,
    **{f"fifo_group_{size}": partial(FifoGroup, size) for size in GROUP_SIZES},
    "c": CRoundTrip,
    "c_one_processor": CRoundTripOneProcessor,
    "c_turns": CTurns,
}
"""Every floor by the key that the command line and the JSON use."""

BENEATH = {
    "send_receive": {"pack_unpack": 1, "empty_call": 2},
    "wake_receiver": {"pack_unpack": 1, "empty_call": 2, "future": 1},
    "round_trip": {"fifo": 1},
    "round_trip_one_processor": {"fifo_one_processor": 1},
    "churn": {"empty_call": 2},
}
"""Which floors, and how many of each, a workload stands on."""


def beneath(workload: str) -> dict[str, int]:
    """Say which floors, and how many of each, a workload cannot do without."""
    kind, _, size = workload.rpartition("_")
    if kind == "fan_out":
        return {f"fifo_group_{size}": 1}
    return BENEATH.get(workload) or BENEATH.get(kind) or {}
