"""Joining a group and leaving it."""

from __future__ import annotations

from benchmarks.layers import LayerSpec

from .base import GROUP, BatchedLayerWorkload


class Churn(BatchedLayerWorkload):
    """One channel joins a group and leaves it, beside ``members`` that stay."""

    operations = 100

    def __init__(self, spec: LayerSpec, members: int) -> None:
        super().__init__(spec)
        self.members = members
        self.name = f"group_add and group_discard beside {members:,} members"

    async def prepare(self) -> None:
        await super().prepare()
        self.channel, *others = await self.station.new_channels(1 + self.members)
        await self.station.join(GROUP, others)

    async def batch(self) -> None:
        layer, channel = self.station.layer, self.channel
        for _ in range(self.operations):
            self.number += 1
            await layer.group_add(GROUP, channel)
            await layer.group_discard(GROUP, channel)
