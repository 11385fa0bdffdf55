"""How long what a killed or stopped process leaves behind is in the way.

    python -m tests.measure [--times N]

Prints a line for each figure, in milliseconds: median, 99th percentile, longest.

No test asserts these: they depend on the machine and on what else it does.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from asgi_shm import LockTimeout, ShmChannelLayer, _attachment, unlink
from tests.multiprocess.peer import Peer
from tests.multiprocess.test_stopped import Stopped
from tests.support import fresh_prefix

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

MESSAGE = {"type": "test"}


async def lock_of_a_killed_process(prefix: str) -> float:
    """From the kill of a lock's owner to the end of a send that waits for the lock."""
    layer = ShmChannelLayer(prefix=prefix)
    await layer.new_channel()
    stopped = Stopped(Peer(prefix))
    sending = asyncio.ensure_future(layer.send("channel", MESSAGE))
    await asyncio.sleep(0.03)
    assert not sending.done()
    began = time.monotonic()
    await asyncio.get_running_loop().run_in_executor(None, stopped.kill)
    await sending
    took = time.monotonic() - began
    await layer.close()
    return took


async def loop_held_up_by_a_stopped_process(prefix: str) -> float:
    """The longest that one of 20 callers, refused for a second, keeps its event loop.

    Not counted is how long the thread was ready to run and had no processor.
    """
    layer = ShmChannelLayer(prefix=prefix, lock_timeout=1)
    await layer.new_channel()
    stopped = Stopped(Peer(prefix))
    longest = 0.0
    send = _attachment._send

    def timed(*arguments: Any) -> int:
        nonlocal longest
        waited = without_processor()
        began = time.monotonic()
        code: int = send(*arguments)
        took = time.monotonic() - began
        longest = max(longest, took - (without_processor() - waited))
        return code

    with patch.object(_attachment, "_send", timed):
        refused = await asyncio.gather(
            *(layer.send(f"channel.{number}", MESSAGE) for number in range(20)),
            return_exceptions=True,
        )
    assert all(isinstance(error, LockTimeout) for error in refused)
    stopped.kill()
    await layer.close()
    return longest


def without_processor() -> float:
    """Seconds that this thread has been ready to run and did not."""
    return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9


async def join(layer: Any, say: Any) -> None:
    for _ in range(100):
        channel = await layer.new_channel()
        await layer.group_add("group", channel)
        await layer.send(channel, MESSAGE)
    say("ready")
    await asyncio.sleep(3600)


async def all_of_a_killed_process(prefix: str) -> float:
    """From its kill until another, that only waits in a receive, has reaped all it had."""
    layer = ShmChannelLayer(prefix=prefix)
    waiting = asyncio.ensure_future(layer.receive("channel"))
    await asyncio.sleep(0)
    peer = Peer(prefix)
    peer.begin(join)
    assert peer.hear() == "ready"
    await asyncio.sleep(0.1)
    began = time.monotonic()
    peer.kill()
    while layer._attachment.info().channels > 1:  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0.001)
    took = time.monotonic() - began
    waiting.cancel()
    await layer.close()
    return took


MEASUREMENTS: list[Callable[[str], Awaitable[float]]] = [
    lock_of_a_killed_process,
    loop_held_up_by_a_stopped_process,
    all_of_a_killed_process,
]


def measure(what: Callable[[str], Awaitable[float]], times: int) -> list[float]:
    taken = []
    for _ in range(times):
        prefix = fresh_prefix()
        taken.append(asyncio.run(what(prefix)) * 1000)  # type: ignore[arg-type]
        unlink(prefix)
    return sorted(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description="measure what the dead and the stopped leave")
    parser.add_argument("--times", type=int, default=100)
    times = parser.parse_args().times
    for what in MEASUREMENTS:
        taken = measure(what, times)
        middle, late = taken[len(taken) // 2], taken[int(len(taken) * 0.99)]
        print(  # noqa: T201
            f"{what.__name__}: {middle:.1f} {late:.1f} {taken[-1]:.1f} ms of {times}"
        )


if __name__ == "__main__":
    main()
