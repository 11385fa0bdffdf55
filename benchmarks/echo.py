"""The second process of a two-process workload: it sends back what it receives."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any

from .fifo import FifoEnd
from .layers import LayerSpec
from .loops import new_loop

if TYPE_CHECKING:
    from collections.abc import Coroutine


async def echo_layer(backend: str, config: dict[str, Any]) -> None:
    """Answer on the caller's channel whatever arrives on one of ours."""
    layer = LayerSpec(backend, config).build()
    near = await layer.new_channel()
    far = _introduce(near)
    try:
        while True:
            await layer.send(far, await layer.receive(near))
    finally:
        await layer.close()


async def echo_fifo(near: str) -> None:
    """Answer on the caller's FIFO whatever arrives on ours; no layer at all."""
    far = _introduce(near)
    end = FifoEnd(near, far)
    try:
        while True:
            end.send(await end.receive())
    finally:
        end.close()


def _introduce(near: str) -> str:
    """Say where this process listens, and read where it shall answer."""
    far = sys.stdin.readline().strip()
    print(near, flush=True)
    return far


async def _until_abandoned(echo: Coroutine[Any, Any, None]) -> None:
    """Run ``echo`` until the other process closes our standard input."""
    task = asyncio.ensure_future(echo)
    loop = asyncio.get_running_loop()
    await asyncio.sleep(0)
    loop.add_reader(sys.stdin.fileno(), task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        pass
    finally:
        loop.remove_reader(sys.stdin.fileno())


def main(order: str) -> None:
    """Do what the JSON list ``order`` says: [loop, kind, arguments...]."""
    loop_name, kind, *arguments = json.loads(order)
    echo = echo_layer if kind == "layer" else echo_fifo
    loop = new_loop(loop_name)
    asyncio.set_event_loop(loop)
    loop.run_until_complete(_until_abandoned(echo(*arguments)))
    loop.close()


if __name__ == "__main__":
    main(sys.argv[1])
