"""A process that uses a damaged segment in every way."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import selectors
import signal
import time
import traceback
from typing import TYPE_CHECKING, Any

from asgi_shm import AsgiShmError, ChannelFull, ShmChannelLayer, SyncShmChannelLayer
from asgi_shm.inspect import Observer
from tests.corrupt.image import FAMILY, GROUPS, NORMAL, OPTIONS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

# Bounds a hang; nothing measures it.
TIMEOUT = 60.0
# A word that says that a living process has a lock is waited for.
LOCK_TIMEOUT = 0.02
MEMORY = 1 << 31


async def attempt(awaitable: Awaitable[Any]) -> None:
    """The package's errors are what a damaged segment may give."""
    with contextlib.suppress(AsgiShmError, ChannelFull):
        await awaitable


async def receive_all(layer: ShmChannelLayer, channels: list[str]) -> None:
    """What is there; whoever waits is cancelled after a moment."""
    tasks = [asyncio.ensure_future(attempt(layer.receive(channel))) for channel in channels]
    await asyncio.wait(tasks, timeout=0.005)
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome


async def use(layer: ShmChannelLayer, own: list[str]) -> None:
    """Every operation, on names that are in the segment and on new ones."""
    with contextlib.suppress(AsgiShmError, ChannelFull):
        own = [*own, await layer.new_channel()]
    for channel in [*NORMAL, *FAMILY, *own, "new"]:
        await attempt(layer.send(channel, {"type": "more", "data": b"z" * 2500}))
        await attempt(layer.group_add(GROUPS[0], channel))
    for group in [*GROUPS, "new"]:
        await attempt(layer.group_send(group, {"type": "more"}))
        await attempt(layer.group_send(group, {"type": "more"}, exclude=own, report=True))
        await attempt(layer.group_discard(group, "member.1"))
        await attempt(layer.group_channels(group))
        await attempt(layer.group_count(group))
    for channel in [*NORMAL[:2], *own]:
        await attempt(layer.channel_statistics(channel))
        await attempt(layer.discard_all(channel))
    await attempt(layer.global_statistics())
    with SyncShmChannelLayer(prefix=layer.config.prefix, lock_timeout=LOCK_TIMEOUT) as other:
        for group in GROUPS[:2]:
            with contextlib.suppress(AsgiShmError), other.watch_group(group) as watch:
                watch.get(timeout=0)
        with contextlib.suppress(AsgiShmError):
            other.receive(["family!"])
    for _ in range(3):
        await receive_all(layer, [*NORMAL, "family!", *FAMILY, *own, "empty.1", "new"])
    attachment = layer._attachment
    for look in (attachment.info, attachment.verify, attachment.sweep, attachment.tick):
        with contextlib.suppress(AsgiShmError):
            look()
    observe(layer.config.prefix)
    await attempt(layer.flush())
    await attempt(layer.send("last", {"type": "more"}))


def observe(prefix: str) -> None:
    """See everything, as those do who only look."""
    try:
        observer = Observer(prefix)
    except AsgiShmError:
        return
    with observer:
        observer.processes()
        observer.groups()
        observer.locks()
        observer.totals()
        list(observer.members())
        for channel in [seen.name for seen in observer.channels()] + NORMAL:
            for message in observer.messages(channel):
                with contextlib.suppress(AsgiShmError):
                    _ = message.content


def use_all(prefix: str, own: list[str], damage: Callable[[], None] | None) -> None:
    layer = ShmChannelLayer(prefix=prefix, lock_timeout=LOCK_TIMEOUT, **OPTIONS)
    if damage is not None:  # under the feet of a process that is attached
        with contextlib.suppress(AsgiShmError, ChannelFull):
            asyncio.run(layer.send("before", {"type": "some"}))
        damage()
    asyncio.run(use(layer, own))
    asyncio.run(layer.close())


def bear(prefix: str, own: list[str], damage: Callable[[], None] | None = None) -> str:
    """Do that in another process; say what went wrong, or nothing."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(ours)
        be_victim(prefix, own, damage, theirs)
    os.close(theirs)
    try:
        return watch(pid, ours)
    finally:
        os.close(ours)


def be_victim(
    prefix: str, own: list[str], damage: Callable[[], None] | None, pipe: int
) -> None:
    try:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        use_all(prefix, own, damage)
    except BaseException:
        os.write(pipe, traceback.format_exc().encode())
    finally:
        os._exit(0)


def watch(pid: int, pipe: int) -> str:
    """Wait for the process; its end closes the pipe."""
    text = b""
    until = time.monotonic() + TIMEOUT
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            if not selector.select(until - time.monotonic()):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                return "it hangs"
            part = os.read(pipe, 65536)
            if not part:
                break
            text += part
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return f"it ended by {signal.Signals(os.WTERMSIG(status)).name}"
    return text.decode()
