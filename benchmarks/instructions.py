"""Count instructions, which the state of the machine does not change: needs valgrind.

``python -m benchmarks.instructions`` runs each case twice under callgrind, in few and in many
rounds: what more rounds add, divided by the messages in them, is what a message costs, the
interpreter and all libraries included, and the kernel not.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeAlias

from msgpack import packb, unpackb

from asgi_shm import ShmChannelLayer, unlink

from .messages import message

MEMBERS = 300
FEW, MANY = 3, 9
"""Rounds."""

ALONE = 300
"""Messages of a round of those that send to themselves."""

GROUP = "group"

Case: TypeAlias = Callable[[int], Coroutine[Any, Any, None]]
"""Runs so many rounds."""


class Countdown:
    """Is done when as many messages have come as were expected."""

    def __init__(self) -> None:
        self.left = 0
        self.done: asyncio.Future[None] | None = None

    def expect(self, count: int) -> asyncio.Future[None]:
        self.left = count
        self.done = asyncio.get_running_loop().create_future()
        return self.done

    def one(self) -> None:
        self.left -= 1
        if self.left == 0 and self.done is not None:
            self.done.set_result(None)


async def futures(rounds: int) -> None:
    """Bare futures of asyncio, with a task each, which unpacks a message."""
    loop = asyncio.get_running_loop()
    body = packb(message(1))
    waiting: list[asyncio.Future[None]] = [loop.create_future() for _ in range(MEMBERS)]
    countdown = Countdown()

    async def receive(index: int) -> object:
        await waiting[index]
        waiting[index] = loop.create_future()
        return unpackb(body)

    async def member(index: int) -> None:
        while True:
            await receive(index)
            countdown.one()

    tasks = [asyncio.ensure_future(member(index)) for index in range(MEMBERS)]
    await asyncio.sleep(0)
    for _ in range(rounds):
        done = countdown.expect(MEMBERS)
        for future in tuple(waiting):
            future.set_result(None)
        await done
    for task in tasks:
        task.cancel()


async def members(layer: ShmChannelLayer, rounds: int, each: int) -> None:
    """Members of a group that wait, and get ``each`` messages one after the other."""
    channels = [await layer.new_channel() for _ in range(MEMBERS)]
    countdown = Countdown()

    async def member(channel: str) -> None:
        while True:
            await layer.receive(channel)
            countdown.one()

    for channel in channels:
        await layer.group_add(GROUP, channel)
    tasks = [asyncio.ensure_future(member(channel)) for channel in channels]
    await asyncio.sleep(0.1)
    for number in range(rounds):
        done = countdown.expect(MEMBERS * each)
        for _ in range(each):
            await layer.group_send(GROUP, message(number))
        await done
        await asyncio.sleep(0)  # the last ones wait again
    for task in tasks:
        task.cancel()


async def alone(layer: ShmChannelLayer, rounds: int) -> None:
    """One coroutine sends, and receives what is there."""
    channel = await layer.new_channel()
    for number in range(rounds * ALONE):
        await layer.send(channel, message(number))
        await layer.receive(channel)


def layered(
    case: Callable[[ShmChannelLayer, int], Awaitable[None]],
) -> Case:
    """Give the case a layer with a segment of its own."""

    async def run(rounds: int) -> None:
        prefix = f"instructions-{os.getpid()}"
        layer = ShmChannelLayer(prefix=prefix)
        try:
            await case(layer, rounds)
        finally:
            await layer.close()
            unlink(prefix)

    return run


CASES: dict[str, tuple[str, int, Case]] = {
    "futures": (
        "a bare future, its task, and the message unpacked",
        MEMBERS,
        futures,
    ),
    "members": (
        "a group's message to a member that waits",
        MEMBERS,
        layered(lambda layer, rounds: members(layer, rounds, 1)),
    ),
    "pairs": (
        "the same, two at a time",
        MEMBERS * 2,
        layered(lambda layer, rounds: members(layer, rounds, 2)),
    ),
    "burst": (
        "the same, a hundred at a time",
        MEMBERS * 100,
        layered(lambda layer, rounds: members(layer, rounds, 100)),
    ),
    "alone": ("a send, and the receive of what is there", ALONE, layered(alone)),
}
"""What it is, messages of a round, and what runs it."""


def run(case: str, rounds: int) -> None:
    """In the process that is counted."""
    gc.disable()
    asyncio.run(CASES[case][2](rounds))


def count(case: str, rounds: int) -> int:
    """Return the instructions of a run."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    command += [sys.executable, "-m", "benchmarks.instructions", case, str(rounds)]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    told = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True
    ).stderr
    (collected,) = re.findall(r"Collected : (\d+)", told)
    return int(collected)


def main() -> None:
    """Print a table of all cases, or run one."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.instructions", description=__doc__
    )
    parser.add_argument("case", nargs="?", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("rounds", nargs="?", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        run(arguments.case, arguments.rounds)
        return
    if not shutil.which("valgrind"):
        sys.exit("valgrind is not installed: apt-get install valgrind")
    print("| what | instructions for each message |\n| --- | ---: |")
    for case, (what, messages, _) in CASES.items():
        cost = (count(case, MANY) - count(case, FEW)) / (MANY - FEW) / messages
        print(f"| {what} | {cost:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
