"""The end of an interpreter whose threads are inside the layer, and of children forked then."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import TIMEOUT, run_alone

if TYPE_CHECKING:
    from collections.abc import Callable

# What the programs begin with: threads that are inside the core nearly all the time, in each of
# its operations. `under_way()` returns when each has come round a few times.
BUSY = """
import asyncio, os, sys, threading, time
from asgi_shm import ShmChannelLayer

layer = ShmChannelLayer(prefix=sys.argv[1], capacity=10)
rounds = {}


def often(*operations):
    async def come_round():
        while True:
            for operation in operations:
                try:
                    await operation()
                except layer.ChannelFull:
                    pass
            rounds[work] += 1

    def work():
        asyncio.run(come_round())

    rounds[work] = 0
    return work


async def wait():
    own = await layer.new_channel()
    await layer.group_add("group", own)
    while True:
        await layer.receive(own)
        rounds[waiter] += 1


async def wait_for_ever():
    rounds[patient] += 100
    await asyncio.gather(*(layer.receive(f"nothing.{n}") for n in range(3)))


def waiter():
    asyncio.run(wait())


def patient():
    asyncio.run(wait_for_ever())


async def look_after():
    await layer._call(layer._attachment.tick)  # more threads than lanes: it may have to wait
    layer._attachment.verify()


async def members():
    await layer.group_add("others", "channel")
    await layer.group_discard("others", "channel")


WORK = [
    waiter,
    patient,
    often(lambda: layer.send("channel", {"body": b"x" * 3000})),
    often(lambda: layer.group_send("group", {"body": b"x" * 30000}), members),
    often(lambda: layer.send("room", {}), lambda: layer.receive("room")),
    often(look_after, lambda: layer.new_channel()),
]
rounds[waiter] = rounds[patient] = 0
for work in WORK:
    threading.Thread(target=work, daemon=True).start()


def under_way():
    while min(rounds.values()) < 10:
        time.sleep(0.001)


"""

ENDS = {
    "its last line": "under_way()",
    "sys.exit": "under_way(); sys.exit()",
    "the end of a loop": "asyncio.run(asyncio.to_thread(under_way))",
}

FORKS = """
import warnings

warnings.simplefilter("ignore", DeprecationWarning)  # of forks where there are threads


async def ping():
    own = await layer.new_channel()
    await layer.group_add(f"child.{os.getpid()}", own)
    receiver = asyncio.ensure_future(layer.receive(own))
    await asyncio.sleep(0)
    await layer.group_send(f"child.{os.getpid()}", {"type": "ping"})
    assert await receiver == {"type": "ping"}


def child(number):
    if number % 3 == 0:
        asyncio.run(look_after())
    asyncio.run(ping())
    if number % 3 == 1:
        asyncio.run(layer.close())
    sys.exit()  # and not os._exit(): the interpreter is taken down


children = set()
for number in range(60):
    under_way() if number == 0 else None
    pid = os.fork()
    if pid == 0:
        child(number)
    children.add(pid)
    if len(children) == 8:
        pid, status = os.wait()
        children.remove(pid)
        assert status == 0, status
for pid in children:
    assert os.waitpid(pid, 0)[1] == 0
"""


def run_to_its_end(program: str, prefix: str) -> None:
    """It must end in time, with success and without a word."""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", BUSY + program, prefix],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=2 * TIMEOUT,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
def test_daemon_threads_that_are_inside_at_exit(layer, prefix, until, end):
    run_alone(layer.new_channel())
    for _ in range(3):
        run_to_its_end(end, prefix)
    everybody_has_gone(layer, until)


def test_forks_while_daemon_threads_are_inside(layer, prefix, until):
    """The children exit as programs do, and so does the parent in the end."""
    run_alone(layer.new_channel())
    run_to_its_end(FORKS, prefix)
    everybody_has_gone(layer, until)


def everybody_has_gone(layer, until: Callable[[Callable[[], object]], None]) -> None:
    until(lambda: layer._attachment.tick() or layer._attachment.info().attached == 1)
    layer._attachment.verify()
