"""What is done with a layer, once for every layer and every way of running it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter_ns

from .companion import Companion
from .layers import ChannelLayer, LayerSpec, Unsuitable
from .measure import Workload
from .messages import message

GROUP = "bench"


class LayerWorkload(Workload):
    """A workload over one layer, which it builds and closes."""

    def __init__(self, spec: LayerSpec) -> None:
        super().__init__()
        self.spec = spec.for_run()
        self.layer: ChannelLayer

    async def prepare(self) -> None:
        """Build the layer, in the loop that will use it."""
        self.layer = self.spec.build()

    async def finish(self) -> None:
        """Leave nothing behind on the machine."""
        if not hasattr(self, "layer"):
            return
        try:
            await self.layer.flush()
            await self.layer.close()
        finally:
            self.spec.clean()

    async def new_channels(self, count: int) -> list[str]:
        """Make ``count`` channel names of this process."""
        return [await self.layer.new_channel() for _ in range(count)]


class SendReceive(LayerWorkload):
    """Send a message and receive it in the same process; it is there already."""

    name = "send+receive, one process"
    operations = 1_000

    async def prepare(self) -> None:
        await super().prepare()
        self.channel = await self.layer.new_channel()

    async def batch(self) -> None:
        layer, channel = self.layer, self.channel
        for number in range(self.operations):
            await layer.send(channel, message(number))
            received = await layer.receive(channel)
            if received["number"] != number:
                self.doubled += 1


class WakeReceiver(LayerWorkload):
    """Two coroutines of one process send to and fro; each waits for its message."""

    name = "send to a waiting receiver, one process"
    operations = 1_000

    async def prepare(self) -> None:
        await super().prepare()
        self.near, self.far = await self.new_channels(2)

    async def batch(self) -> None:
        layer, near, far = self.layer, self.near, self.far

        async def answer() -> None:
            for _ in range(self.operations // 2):
                await layer.send(near, await layer.receive(far))

        other = asyncio.ensure_future(answer())
        for number in range(self.operations // 2):
            await layer.send(far, message(number))
            received = await layer.receive(near)
            if received["number"] != number:
                self.doubled += 1
        await other


class RoundTrip(LayerWorkload):
    """A message to another process, whose answer is awaited; each one is timed."""

    name = "round trip, two processes on two processors"
    operations = 500
    same_processor = False

    async def prepare(self) -> None:
        if reason := self.spec.traits.one_process:
            raise Unsuitable(reason)
        await super().prepare()
        self.near = await self.layer.new_channel()
        self.companion = Companion.start(
            "layer", self.spec.backend, self.spec.config, same_processor=self.same_processor
        )
        self.far = self.companion.exchange(self.near)
        self.number = 0

    async def batch(self) -> None:
        layer, near, far = self.layer, self.near, self.far
        for _ in range(self.operations):
            self.number += 1
            started = perf_counter_ns()
            await layer.send(far, message(self.number))
            while (await layer.receive(near))["number"] != self.number:
                self.doubled += 1
            self.latencies_ns.append(perf_counter_ns() - started)

    async def finish(self) -> None:
        if hasattr(self, "companion"):
            self.companion.stop()
        await super().finish()


class RoundTripOneProcessor(RoundTrip):
    """The same with no interrupt between processors: the cost of the software."""

    name = "round trip, two processes on one processor"
    same_processor = True


class GroupSend(LayerWorkload):
    """The call of group_send itself; nobody waits, and every member has room.

    Each batch begins from an emptied layer with the members added anew, so that
    no queue is ever full, and with one call that is not timed: adding thousands of
    members leaves the processor's caches as no site does.
    """

    warm_up_batches = 2

    def __init__(self, spec: LayerSpec, members: int) -> None:
        super().__init__(spec)
        self.members = members
        self.name = f"group_send call, {members:,} members"
        self.number = 0

    async def prepare(self) -> None:
        await super().prepare()
        self.channels = await self.new_channels(self.members)

    async def before(self) -> None:
        await self.layer.flush()
        for channel in self.channels:
            await self.layer.group_add(GROUP, channel)
        await self.layer.group_send(GROUP, message(self.number))

    async def batch(self) -> None:
        self.number += 1
        await self.layer.group_send(GROUP, message(self.number))


class GroupDelivery(LayerWorkload):
    """From group_send until the last of the waiting members has its message.

    Every member is a coroutine that waits in receive(), in the sender's process.
    """

    warm_up_batches = 2
    stall_seconds = 30.0

    def __init__(self, spec: LayerSpec, members: int) -> None:
        super().__init__(spec)
        self.members = members
        self.name = f"group delivery to the last of {members:,} members"
        self.number = 0
        self.missing = 0
        self.tasks: list[asyncio.Future[None]] = []

    async def prepare(self) -> None:
        limit = self.spec.traits.largest_fan_out
        if limit is not None and self.members > limit:
            raise Unsuitable(self.spec.traits.fan_out_reason)
        await super().prepare()
        channels = await self.new_channels(self.members)
        for channel in channels:
            await self.layer.group_add(GROUP, channel)
        self.tasks = [asyncio.ensure_future(self._member(channel)) for channel in channels]

    async def before(self) -> None:
        # Every member that has just received must be back in receive(): each
        # needs one turn of the loop, and so must the layer's own call-backs.
        for _ in range(3):
            await asyncio.sleep(0)
        self.number += 1
        self.missing = self.members
        self.complete = asyncio.get_running_loop().create_future()

    async def batch(self) -> None:
        await self.layer.group_send(GROUP, message(self.number))
        await self.complete

    async def finish(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await super().finish()

    async def _member(self, channel: str) -> None:
        layer = self.layer
        while True:
            received = await layer.receive(channel)
            if received["number"] != self.number:
                self.doubled += 1
                continue
            self.missing -= 1
            if self.missing == 0:
                self.complete.set_result(None)


class GroupChurn(LayerWorkload):
    """One channel joins a group and leaves it, beside ``members`` that stay."""

    operations = 1_000

    def __init__(self, spec: LayerSpec, members: int) -> None:
        super().__init__(spec)
        self.members = members
        self.name = f"group_add+group_discard beside {members:,} members"

    async def prepare(self) -> None:
        await super().prepare()
        self.channel, *others = await self.new_channels(1 + self.members)
        for channel in others:
            await self.layer.group_add(GROUP, channel)

    async def batch(self) -> None:
        layer, channel = self.layer, self.channel
        for _ in range(self.operations):
            await layer.group_add(GROUP, channel)
            await layer.group_discard(GROUP, channel)


def _sized(kind: type[GroupSend | GroupDelivery | GroupChurn], members: int) -> Maker:
    return lambda spec: kind(spec, members)


Maker = Callable[[LayerSpec], LayerWorkload]

GROUP_SIZES = (10, 100, 1_000, 10_000)
CHURN_SIZES = (0, 10_000)

WORKLOADS: dict[str, Maker] = {
    "send_receive": SendReceive,
    "wake_receiver": WakeReceiver,
    "round_trip": RoundTrip,
    "round_trip_one_processor": RoundTripOneProcessor,
    **{f"group_send_{size}": _sized(GroupSend, size) for size in GROUP_SIZES},
    **{f"group_delivery_{size}": _sized(GroupDelivery, size) for size in GROUP_SIZES},
    **{f"group_churn_{size}": _sized(GroupChurn, size) for size in CHURN_SIZES},
}
"""Every workload by the key that the command line and the JSON use."""
