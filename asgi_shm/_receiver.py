"""Lets coroutines of any number of event loops wait for channels of one attachment.

A coroutine that finds its channel empty puts a bare future into the channel's entry and has
the native module count this process as waiting. The process has one doorbell; every loop that
has waiting coroutines watches it. Whichever loop finds it rung asks for the channels that have
a message, and wakes one future of each, in whatever loop that is. The woken coroutine then
takes the message itself. So one that is cancelled has taken nothing, and a loop that is closed
takes nothing with it: the turn goes on to the next future, or to another process.

Each await below says what state it leaves when it is cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from collections import deque
from typing import TYPE_CHECKING

from .errors import AsgiShmError, LayerClosed

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._attachment import Attachment

__all__ = ["Receiver"]

# While a coroutine waits its loop looks after the segment this often, in seconds: dead
# processes are noticed, expired messages dropped, a bell that was not rung made good.
TICK = 0.5


class _Entry:
    """A channel that coroutines of this process wait for."""

    __slots__ = ("channel", "cookie", "futures", "inside", "name")

    def __init__(self, channel: str, cookie: int) -> None:
        self.channel = channel
        self.name = channel.encode()
        self.cookie = cookie
        self.inside = 0  # coroutines that wait, or were woken and have not gone yet
        self.futures: deque[asyncio.Future[None]] = deque()  # of those that wait


class _Watch:
    """A loop that watches the doorbell."""

    __slots__ = ("descriptor", "inside", "loop", "tick")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.inside = 0  # coroutines of this loop that wait
        self.descriptor = -1
        self.tick: asyncio.TimerHandle | None = None


class Receiver:
    """The waiting side of an attachment."""

    def __init__(self, attachment: Attachment) -> None:
        """Take the attachment, and its news of forks and replaced segments."""
        self._attachment = attachment
        self._closed = False
        self._cookies = itertools.count(1)
        self._reset()
        attachment.on_fork = self._reset
        attachment.on_replaced = self._begin_anew

    def _reset(self) -> None:
        """Nobody waits: at first, and in a forked child, where no loop of the parent runs."""
        # Over all of the below, and over what is said natively of an entry. Reentrant, since a
        # coroutine may be finalized by the garbage collector at any point.
        self._lock = threading.RLock()
        # Entries stay for a while when nobody is inside: most come again. The tick drops them.
        self._entries: dict[str, _Entry] = {}
        self._by_cookie: dict[int, _Entry] = {}
        self._watches: dict[asyncio.AbstractEventLoop, _Watch] = {}
        self._waiting = 0  # futures in all entries

    async def wait(self, channel: str) -> bytes:
        """Return the oldest body of a channel, as soon as there is one.

        Cancelled at any moment it has taken nothing.
        """
        loop = asyncio.get_running_loop()
        entry, watch = self._enter(channel, loop)
        future = None
        body = None
        try:
            while True:
                body, future, rung = self._take_or_await(entry, loop)
                if body is not None:
                    return body
                if watch.tick is None:
                    self._watch(watch)
                if rung:
                    self._dispatch()
                # Cancelled here, before or after it was woken: _leave() passes the turn on.
                await future
                if self._closed:
                    raise LayerClosed("this layer was closed while a receive was waiting")
        finally:
            self._leave(entry, watch, future, served=body is not None)

    # -- who waits ----------------------------------------------------------------------

    def _enter(self, channel: str, loop: asyncio.AbstractEventLoop) -> tuple[_Entry, _Watch]:
        with self._lock:
            entry = self._entries.get(channel)
            if entry is None:
                entry = _Entry(channel, next(self._cookies))
                self._entries[channel] = entry
                self._by_cookie[entry.cookie] = entry
            watch = self._watches.get(loop)
            if watch is None:
                watch = self._watches[loop] = _Watch(loop)
            entry.inside += 1
            watch.inside += 1
        return entry, watch

    def _take_or_await(
        self, entry: _Entry, loop: asyncio.AbstractEventLoop
    ) -> tuple[bytes | None, asyncio.Future[None], bool]:
        future = loop.create_future()
        # Under the lock: who wakes finds the future, or comes before the wait begins.
        with self._lock:
            body, rung = self._attachment.take_or_await(
                entry.name, entry.cookie, others=entry.inside > 1
            )
            if body is None:
                entry.futures.append(future)
                self._waiting += 1
        return body, future, rung

    def _leave(
        self,
        entry: _Entry,
        watch: _Watch,
        future: asyncio.Future[None] | None,
        *,
        served: bool,
    ) -> None:
        """A coroutine goes, with a message or without; a turn it had goes on."""
        with self._lock:
            watch.inside -= 1
            entry.inside -= 1
            if served:
                return
            if future is not None and future in entry.futures:
                entry.futures.remove(future)
                self._waiting -= 1
            if self._closed:
                return
            if entry.inside == 0:
                self._unwait(entry)
            elif future is not None and future.done() and not future.cancelled():
                self._wake(entry)

    def _unwait(self, entry: _Entry) -> None:
        # Not the moment to complain: whoever uses the segment next is told.
        with contextlib.suppress(AsgiShmError):
            self._attachment.unwait(entry.channel)

    def _drop_idle_entries(self) -> None:
        with self._lock:
            for entry in list(self._entries.values()):
                if entry.inside == 0:
                    del self._entries[entry.channel]
                    del self._by_cookie[entry.cookie]

    # -- waking -------------------------------------------------------------------------

    def _dispatch(self) -> None:
        """Wake one future for each channel that has a message."""
        try:
            cookies = self._attachment.ready()
        except AsgiShmError as error:
            self._fail(error)
            return
        for cookie in cookies:
            entry = self._by_cookie.get(cookie)
            # None: its last coroutine has left since, and unwait has passed the turn on.
            if entry is not None:
                self._wake(entry)
        # The bell is disarmed now, and others may wait yet. Those that were just woken most
        # likely arm it themselves, so this comes after them.
        if self._waiting:
            loop = asyncio._get_running_loop()  # noqa: SLF001 - None where none runs
            if loop is None:
                self._arm()
            else:
                loop.call_soon(self._arm)

    def _arm(self) -> None:
        if self._waiting and not self._closed and self._attachment.arm():
            self._dispatch()

    def _wake(self, entry: _Entry) -> None:
        """Give the turn to the future that has waited longest in a loop that is open."""
        running = asyncio._get_running_loop()  # noqa: SLF001 - as above
        while True:
            with self._lock:
                if not entry.futures:
                    # Who is inside has been woken, and looks for itself, or waited in a loop
                    # that was closed. Another process may have the turn meanwhile.
                    self._unwait(entry)
                    return
                future = entry.futures.popleft()
                self._waiting -= 1
            if future.done():
                continue
            loop = future.get_loop()
            if loop is running:
                future.set_result(None)
                return
            try:
                loop.call_soon_threadsafe(self._hand_over, entry, future)
            except RuntimeError:  # closed
                continue
            return

    def _hand_over(self, entry: _Entry, future: asyncio.Future[None]) -> None:
        """In the future's own loop."""
        if future.done():
            self._wake(entry)
        else:
            future.set_result(None)

    def _wake_all(self, error: Exception | None = None) -> None:
        """Let all look again, or fail."""
        with self._lock:
            futures = [future for entry in self._entries.values() for future in entry.futures]
            for entry in self._entries.values():
                entry.futures.clear()
            self._waiting = 0
        for future in futures:
            with contextlib.suppress(RuntimeError):  # its loop is closed
                future.get_loop().call_soon_threadsafe(_settle, future, error)

    def _fail(self, error: Exception) -> None:
        """The segment cannot be used: whoever waits for it is told."""
        self._wake_all(error)

    # -- watching the bell --------------------------------------------------------------

    def _watch(self, watch: _Watch) -> None:
        """Have the coroutine's loop watch the bell and tick, if it does not yet."""
        if watch.descriptor < 0:
            watch.descriptor = self._attachment.bell()
            watch.loop.add_reader(watch.descriptor, self._on_bell, watch)
        if watch.tick is None:
            watch.tick = watch.loop.call_later(TICK, self._on_tick, watch)

    def _unwatch(self, watch: _Watch) -> None:
        if watch.descriptor >= 0:
            watch.loop.remove_reader(watch.descriptor)
            watch.descriptor = -1
        if watch.tick is not None:
            watch.tick.cancel()
            watch.tick = None
        with self._lock:
            if watch.inside == 0 and self._watches.get(watch.loop) is watch:
                del self._watches[watch.loop]

    def _on_bell(self, watch: _Watch) -> None:
        self._dispatch()
        if watch.inside == 0:
            self._unwatch(watch)

    def _on_tick(self, watch: _Watch) -> None:
        watch.tick = None
        if watch.inside == 0:
            self._unwatch(watch)
            return
        watch.tick = watch.loop.call_later(TICK, self._on_tick, watch)
        self._drop_idle_entries()
        try:
            self._attachment.tick()
        except AsgiShmError as error:
            self._fail(error)
        else:
            self._dispatch()

    # -- the end of things --------------------------------------------------------------

    def _in_each_loop(self, call: Callable[[_Watch], None]) -> None:
        running = asyncio._get_running_loop()  # noqa: SLF001 - as above
        with self._lock:
            watches = list(self._watches.values())
        for watch in watches:
            if watch.loop is running:
                call(watch)
                continue
            try:
                watch.loop.call_soon_threadsafe(call, watch)
            except RuntimeError:  # closed
                with self._lock:
                    self._watches.pop(watch.loop, None)

    def _begin_anew(self) -> None:
        """The segment was replaced: the bell is another, and everybody has to wait anew."""
        self._in_each_loop(self._watch_anew)
        self._wake_all()

    def _watch_anew(self, watch: _Watch) -> None:
        self._unwatch(watch)
        if watch.inside > 0 and not self._closed:
            self._watch(watch)

    def close(self) -> None:
        """Let those that wait raise LayerClosed. The attachment is closed after this."""
        self._closed = True
        self._in_each_loop(self._unwatch)
        self._wake_all()


def _settle(future: asyncio.Future[None], error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
