"""python -m tests.soak.reaping: how long after a kill what the process had is gone.

One process survives, and nobody else has the segment open: it only waits to receive, or it
sends now and then. What shows the end is the name of the killed process's bell, which goes last
but for the mark that its slot is free.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import re
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

from asgi_shm import ShmChannelLayer, unlink
from asgi_shm._attachment import TICK
from tests.support import SHM, TIMEOUT, fresh_prefix, leftovers

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

say = print

PAUSE = 0.0005


async def wait(layer: Any) -> None:
    await layer.receive("survivor")


async def work(layer: Any) -> None:
    while True:
        await layer.send("survivor", {"type": "test"})
        await layer.receive("survivor")
        await asyncio.sleep(0.01)


async def live(layer: Any) -> None:
    """Have what a process may have, and wait."""
    channel = await layer.new_channel()
    for number in range(20):
        await layer.send(channel, {"number": number, "body": b"x" * 1000})
        await layer.group_add(f"group.{number}", channel)
    await layer.receive("nothing")


def start(prefix: str, life: Callable[[Any], Coroutine[Any, Any, None]]) -> int:
    pid = os.fork()
    if pid == 0:
        asyncio.run(life(ShmChannelLayer(prefix=prefix)))
        os._exit(1)  # it lives until it is killed
    return pid


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def bells(prefix: str) -> set[str]:
    # Not under the name that each is made under, which ends with one number more.
    return {name for name in leftovers(prefix) if re.search(r":bell\.\w+\.\d+$", name)}


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + TIMEOUT
    while not condition():
        time.sleep(PAUSE)
        if time.monotonic() > end:
            raise TimeoutError


def measure(prefix: str, rng: random.Random) -> float:
    """The seconds from a kill until all is gone."""
    before = bells(prefix)
    victim = start(prefix, live)
    until(lambda: bells(prefix) != before)
    (bell,) = bells(prefix) - before
    # At any time between two ticks of the survivor's.
    time.sleep(rng.uniform(0.02, 0.02 + TICK))
    began = time.monotonic()
    kill(victim)
    until(lambda: not (SHM / bell).exists())
    return time.monotonic() - began


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak.reaping")
    parser.add_argument("--kills", type=int, default=100)
    parsed = parser.parse_args()
    rng = random.Random(1)
    for life in (wait, work):
        prefix = fresh_prefix()
        survivor = start(prefix, life)
        try:
            until(lambda prefix=prefix: leftovers(prefix))
            if life is wait:
                until(lambda prefix=prefix: bells(prefix))
            times = sorted(measure(prefix, rng) * 1000 for _ in range(parsed.kills))
        finally:
            kill(survivor)
            unlink(prefix)
        middle, most = times[len(times) // 2], times[len(times) * 99 // 100 - 1]
        say(
            f"the survivor {life.__name__}s: {parsed.kills} kills, median {middle:.0f} ms, "
            f"99 % within {most:.0f} ms, all within {times[-1]:.0f} ms",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
