"""A process that waits uses no measurable CPU: nobody polls."""

from __future__ import annotations

import asyncio
import resource
import time
from typing import Any

SECONDS = 3.0


async def wait(layer: Any, say: Any, receivers: int) -> tuple[float, int]:
    """Wait in so many receivers; the CPU seconds and the wake-ups that this took."""
    channels = ["normal", *[await layer.new_channel() for _ in range(receivers - 1)]]
    tasks = [asyncio.create_task(layer.receive(channel)) for channel in channels]
    await asyncio.sleep(0.5)
    cpu, woken = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
    await asyncio.sleep(SECONDS)
    used = time.process_time() - cpu
    woken = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - woken
    assert not any(task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return used, woken


def test_a_thousand_receivers_that_wait_use_no_cpu(make_peer):
    peers = [make_peer(ticks=True), make_peer(ticks=True)]
    for peer in peers:
        peer.begin(wait, 1000)
    for peer in peers:
        used, woken = peer.hear()
        # Two per cent of a core, and ten wake-ups a second: what polls uses more.
        assert used < 0.02 * SECONDS
        assert woken < 10 * SECONDS
