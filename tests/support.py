"""What the Python tests share: fresh prefixes, a fake clock, looking without waiting."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from asgi_shm import ChannelFull, GroupEvent
from asgi_shm.inspect import Observer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine

Message = dict[str, Any]
T = TypeVar("T")

# Bounds a wait for something that is certain to happen, so that a bug fails a
# test instead of hanging it. Nothing measures it.
TIMEOUT = 30.0

# For asgi_shm._receiver.TICK: what is waited for then comes through the doorbell or never. A
# wake-up that is lost would otherwise be made good by the next tick, and no test would see it.
NO_TICK = 86400.0

SHM = Path("/dev/shm")


class Layer(Protocol):
    """What the channel layer specification asks of a layer, and Channels of its tests."""

    async def send(self, channel: str, message: Message) -> None: ...
    async def receive(self, channel: str) -> Message: ...
    async def new_channel(self, prefix: str = ...) -> str: ...
    async def group_add(self, group: str, channel: str) -> None: ...
    async def group_discard(self, group: str, channel: str) -> None: ...
    async def group_send(self, group: str, message: Message) -> None: ...
    async def flush(self) -> None: ...
    async def close(self) -> None: ...


def fresh_prefix() -> str:
    """A prefix that no other test and no other run of the tests uses."""
    return f"test-{os.getpid()}-{secrets.token_hex(4)}"


def leftovers(prefix: str) -> list[str]:
    """The IPC objects of a prefix."""
    return sorted(
        path.name for path in SHM.iterdir() if path.name.partition(":")[0].endswith(prefix)
    )


async def soon(awaitable: Awaitable[T]) -> T:
    """The result of something that is certain to happen; fails rather than hangs."""
    return await asyncio.wait_for(awaitable, TIMEOUT)


def run_alone(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never waits, without any event loop."""
    try:
        coroutine.send(None)
    except StopIteration as result:
        return cast("T", result.value)
    coroutine.close()
    raise AssertionError("it waits")


async def receive_nowait(layer: Layer, channel: str) -> Message | None:
    """The message that stands first in a channel, or None if there is none.

    A layer gives a message that is there without going through the event loop.
    """
    receiver = asyncio.ensure_future(layer.receive(channel))
    await asyncio.sleep(0)
    if not receiver.done():
        receiver.cancel()
    try:
        return await receiver
    except asyncio.CancelledError:
        return None


async def drain(layer: Layer, channel: str) -> list[Message]:
    """Every message that stands in a channel, oldest first."""
    messages = []
    while (message := await receive_nowait(layer, channel)) is not None:
        messages.append(message)
    return messages


async def fill(layer: Layer, channel: str, message: Message | None = None) -> int:
    """Send until the channel is full; how many messages it took."""
    for number in range(1_000_000):
        try:
            await layer.send(channel, message or {"number": number})
        except ChannelFull:  # noqa: PERF203 -- the last round
            return number
    raise AssertionError("there is no end to it")


def join(channel: str, count: int) -> GroupEvent:
    """What a watcher is told when a channel joins, and the group then has so many."""
    return GroupEvent("join", channel, count, first=count == 1, last=False)


def leave(channel: str, count: int, kind: Any = "leave") -> GroupEvent:
    return GroupEvent(kind, channel, count, first=False, last=count == 0)


class Clock:
    """A clock that stands still until it is told, for every layer that follows it."""

    # Years ahead of the machine, since a segment's clock never goes back.
    START_NS = 10**17

    def __init__(self) -> None:
        self._now_ns = self.START_NS
        self._attachments: list[Any] = []

    def follow(self, layer: Any) -> None:
        """Run a layer of ours on this clock."""
        self._attachments.append(layer._attachment)
        layer._attachment.set_clock(self._now_ns)

    def forget(self, layer: Any) -> None:
        self._attachments.remove(layer._attachment)

    def time(self) -> float:
        """The seconds that have gone by, as time.time() gives them."""
        return 1e9 + (self._now_ns - self.START_NS) / 1e9

    def advance(self, seconds: float) -> None:
        self._now_ns += round(seconds * 1e9)
        for attachment in self._attachments:
            attachment.set_clock(self._now_ns)


def stop(pid: int, prefix: str, *, holding: str | None = None) -> None:
    """Stop a process where it holds this lock of the segment; without one, where it holds none.

    It would be a matter of chance otherwise whether all others wait for it.
    """
    end = time.monotonic() + TIMEOUT
    with Observer(prefix) as segment:
        while True:
            os.kill(pid, signal.SIGSTOP)
            while not is_stopped(pid):
                assert time.monotonic() < end, f"process {pid} does not stop"
                time.sleep(0.0001)
            held = {lock.what for lock in segment.locks() if lock.pid == pid}
            if holding in held or not (held or holding):
                return
            os.kill(pid, signal.SIGCONT)
            assert time.monotonic() < end, f"process {pid} is never seen to hold {holding}"
            time.sleep(0.001)  # in which it comes a little further


def is_stopped(pid: int) -> bool:
    threads = Path(f"/proc/{pid}/task").iterdir()
    return all(
        (thread / "stat").read_text().rpartition(")")[2].split()[0] == "T" for thread in threads
    )
