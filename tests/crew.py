"""Receivers that come, go and are cancelled, in any number of loops: what they take is told.

After a burst of sends all is quiet but for receivers that wait. So a wake-up that is lost
leaves a message that nobody takes, and a message that is doubled is told twice.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from collections.abc import Callable


class Hand:
    """Waits for each of some channels, and churns when asked to; belongs to one loop."""

    def __init__(
        self, layer: Any, channels: list[str], tell: Callable[[int], None], rng: random.Random
    ) -> None:
        self.layer = layer
        self.channels = channels
        self.tell = tell
        self.rng = rng
        self.keepers: dict[str, asyncio.Task[None]] = {}

    def begin(self) -> None:
        for channel in self.channels:
            self.keepers[channel] = asyncio.ensure_future(self._keep(channel))

    async def end(self) -> None:
        for keeper in self.keepers.values():
            keeper.cancel()
        await asyncio.wait(self.keepers.values())

    async def churn(self, rounds: int) -> None:
        """Let receives come and be cancelled, at moments that chance chooses."""
        for _ in range(rounds):
            channel = self.rng.choice(self.channels)
            passing = asyncio.ensure_future(self.layer.receive(channel))
            for _ in range(self.rng.randrange(4)):
                await asyncio.sleep(0)
            passing.cancel()
            if self.rng.random() < 0.2:
                await self._relieve(channel)
            with contextlib.suppress(asyncio.CancelledError):
                self.tell((await passing)["number"])

    async def _keep(self, channel: str) -> None:
        while True:
            self.tell((await self.layer.receive(channel))["number"])

    async def _relieve(self, channel: str) -> None:
        keeper = self.keepers[channel]
        self.keepers[channel] = asyncio.ensure_future(self._keep(channel))
        keeper.cancel()
        await asyncio.wait([keeper])
