"""The synchronous layer, and the process that answers through it."""

from __future__ import annotations

import asyncio
from typing import Any

from .layers import OURS, LayerSpec, Unsuitable


def sync_layer(spec: LayerSpec) -> Any:
    """Make the synchronous layer that stands beside a layer of ours."""
    import asgi_shm

    if spec.backend != OURS:
        raise Unsuitable("it has no synchronous form")
    return asgi_shm.SyncShmChannelLayer(**spec.config)


class SyncEcho:
    """Sends back what it receives, in a thread that waits."""

    def __init__(self, spec: LayerSpec) -> None:
        self._layer = sync_layer(spec)
        self._near = self._layer.new_channel()

    async def listen(self) -> str:
        """Say on which channel."""
        near: str = self._near
        return near

    async def answer(self, far: str) -> None:
        """Begin to answer on ``far``."""
        self._thread = asyncio.get_running_loop().run_in_executor(None, self._echo, far)

    async def close(self) -> None:
        """Stop: a receive that waits ends with an error."""
        self._layer.close()
        await asyncio.gather(self._thread, return_exceptions=True)

    def _echo(self, far: str) -> None:
        while True:
            _, received = self._layer.receive([self._near], block=True)
            self._layer.send(far, received)
