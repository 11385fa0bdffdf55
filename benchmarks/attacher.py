"""The process that attaches to a segment which another has made."""

from __future__ import annotations

import asyncio
from time import perf_counter_ns
from typing import Any

from .layers import LayerSpec


class Attacher:
    """The role of a process that attaches."""

    def __init__(self, spec: LayerSpec) -> None:
        self.spec = spec
        self.layers: list[Any] = []

    async def attach(self, times: int) -> list[int]:
        """Make layers and a call with each; give the times in ns."""
        self.spec.build()  # the import is not what is measured
        took = []
        for _ in range(times):
            started = perf_counter_ns()
            layer = self.spec.build()
            await layer.group_discard("bench", "bench.none")
            took.append(perf_counter_ns() - started)
            self.layers.append(layer)
        return took

    async def close(self) -> None:
        """Let go of all."""
        await asyncio.gather(*(layer.close() for layer in self.layers))
