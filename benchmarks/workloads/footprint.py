"""What the layer itself takes: time to attach, memory in /dev/shm.

Memory is measured from without, by the blocks that the kernel has given to the objects
of a prefix; it comes in steps, so each figure is taken over thousands of the things.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.crew import Crew
from benchmarks.layers import OURS, LayerSpec, Unsuitable
from benchmarks.measure import Figure, Outcome, Workload
from benchmarks.messages import message

SHM = Path("/dev/shm")
ATTACHMENTS = 20
MESSAGES = 131_072
"""A power of two, as a queue's ring is: its cells count, empty ones need not."""

RECIPIENTS = 8_000
GROUP_MESSAGES = 64
MEMBERSHIPS = 50_000
NOT_SHM = "it keeps nothing in /dev/shm"


class Attach(Workload):
    """From a new layer in a process to the end of its first call; the segment exists."""

    name = "attaching to a segment"
    figures: ClassVar = {
        "first": Figure("the first layer of a process", "ns"),
        "next": Figure("a further one", "ns"),
    }

    def __init__(self, spec: LayerSpec) -> None:
        if spec.backend != OURS:
            raise Unsuitable(NOT_SHM)
        self.spec = spec.for_run()
        self.crew = Crew(self.spec)

    async def prepare(self) -> None:
        self.keeper: Any = self.spec.build()
        await self.keeper.send("bench.keeper", message(0))

    async def run(self, seconds: float) -> Outcome:  # noqa: ARG002 -- it counts
        companions = [self.crew.start("attacher", place=place) for place in (0, 1, 0)]
        firsts, nexts = [], []
        for companion in companions:
            first, *others = await companion.ask("attach", times=ATTACHMENTS)
            firsts.append(first)
            nexts += others
        figures = {"first": statistics.median(firsts), "next": statistics.median(nexts)}
        return Outcome(figures)

    async def finish(self) -> None:
        self.crew.stop()
        if hasattr(self, "keeper"):
            await self.keeper.close()
        self.spec.clean()


class Memory(Workload):
    """What a new segment takes, and each message, recipient and membership in it."""

    name = "memory in /dev/shm"
    figures: ClassVar = {
        "new": Figure("a new segment of default size", "B"),
        "message": Figure("a message, beyond its block", "B"),
        "recipient": Figure("a further recipient of it", "B"),
        "membership": Figure("a membership", "B"),
    }

    def __init__(self, spec: LayerSpec) -> None:
        if spec.backend != OURS:
            raise Unsuitable(NOT_SHM)
        self.specs: list[LayerSpec] = []
        self._spec = spec.for_run()

    async def run(self, seconds: float) -> Outcome:  # noqa: ARG002 -- it counts
        return Outcome({
            "new": await self._new(),
            "message": await self._message(),
            "recipient": await self._recipient(),
            "membership": await self._membership(),
        })  # fmt: skip

    async def finish(self) -> None:
        for spec in self.specs:
            spec.clean()

    async def _new(self) -> float:
        layer, taken = self._layer()
        await layer.group_discard("bench", "bench.none")
        used = taken()
        await layer.close()
        return used

    async def _message(self) -> float:
        """Beside what the body's block takes; the channel has all of them."""
        import msgpack

        layer, taken = self._layer(capacity=MESSAGES)
        await layer.send("bench.many", message(0))
        before = taken()
        for number in range(1, MESSAGES):
            await layer.send("bench.many", message(number))
        used = (taken() - before) / MESSAGES
        await layer.close()
        body = len(msgpack.packb(message(MESSAGES)))
        return used - max(64, 1 << (body - 1).bit_length())

    async def _recipient(self) -> float:
        layer, taken = self._layer()
        channels = [await layer.new_channel() for _ in range(RECIPIENTS)]
        for channel in channels:
            await layer.group_add("bench", channel)
        before = taken()
        for number in range(GROUP_MESSAGES):
            await layer.group_send("bench", message(number))
        await layer.receive(channels[0])  # settles what the sends have left to be done
        used = taken() - before
        await layer.close()
        return used / (GROUP_MESSAGES * RECIPIENTS)

    async def _membership(self) -> float:
        """Beside the channels, which are there for messages already."""
        layer, taken = self._layer()
        channels = [await layer.new_channel() for _ in range(MEMBERSHIPS)]
        for channel in channels:
            await layer.group_add("bench.first", channel)
        before = taken()
        for channel in channels:
            await layer.group_add("bench.second", channel)
        used = (taken() - before) / MEMBERSHIPS
        await layer.close()
        return used

    def _layer(self, **config: Any) -> tuple[Any, Callable[[], int]]:
        """Make a layer with a segment of its own, and what tells the memory of it."""
        prefix = f"{self._spec.config['prefix']}.{len(self.specs)}"
        spec = LayerSpec(self._spec.backend, {"prefix": prefix, **config})
        self.specs.append(spec)

        def taken() -> int:
            files = [file for file in SHM.iterdir() if prefix in file.name]
            return sum(file.stat().st_blocks * 512 for file in files)

        return spec.build(), taken
