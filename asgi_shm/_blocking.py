"""Lets threads wait for channels of one attachment, in the kernel.

A thread that finds its channels empty enters itself for each of them, has the native module
count this process as waiting, and sleeps until the doorbell or its own event counter is
readable. Whichever thread the doorbell wakes asks for the channels that have a message, and
gives the turn of each to the thread that has waited for it longest. That one takes the message
itself; what it was given and does not take, because it took another, is interrupted or has no
more time, it passes on: to the next thread, or to another process.

A thread that watches a group sleeps likewise, and is woken when who is in it may have changed.

All that changes here changes under one lock of this process, which is never held while
somebody sleeps. Natively a process waits for a channel or does not, however many threads do.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, TypeVar

from ._attachment import CHANGED, ROOM, TICK
from ._names import encoded
from ._patience import PAUSE, Patience
from ._presence import GroupEvent, Roll, Watchers
from .errors import AsgiShmError, LayerClosed, LockTimeout

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._attachment import Attachment

__all__ = ["BlockingReceiver", "GroupWatcher"]

_Found = TypeVar("_Found")


class _Entry:
    """A channel that threads of this process wait for."""

    __slots__ = ("channel", "cookie", "name", "waiters")

    def __init__(self, channel: str, cookie: int) -> None:
        self.channel = channel
        self.name = encoded(channel, "channel")
        self.cookie = cookie
        self.waiters: deque[_Waiter] = deque()  # who has waited longest comes first


class _Waiter:
    """A thread that waits, for one channel or more."""

    __slots__ = ("entries", "event", "process", "turns", "watcher")

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self.process = os.getpid()
        self.event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.entries: list[_Entry] = []  # in whose `waiters` it is
        self.turns: list[_Entry] = []  # those of which it has been given the turn
        self.watcher: GroupWatcher | None = None  # in whose `waiters` it is

    def renew_in_child(self) -> None:
        """A signal's handler may have forked; its parent waits for what it waited for."""
        if self.process != os.getpid():
            os.close(self.event)
            self._begin()

    def wake(self) -> None:
        os.eventfd_write(self.event, 1)

    def rest(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.event)


class GroupWatcher:
    """Threads that watch a group: a `Watcher`."""

    __slots__ = ("bucket", "closed", "events", "group", "roll", "stale", "waiters")

    def __init__(self, group: str) -> None:
        self.group = group
        self.bucket: int | None = None
        self.stale = False
        self.closed = False
        self.roll = Roll()
        self.events: deque[GroupEvent] = deque()  # that were found and are not taken yet
        self.waiters: set[_Waiter] = set()

    def wake(self, error: Exception | None = None) -> None:  # noqa: ARG002 - each finds its own
        """Under the receiver's lock."""
        for waiter in tuple(self.waiters):
            if waiter.process == os.getpid():  # and not a thread of the parent's
                waiter.wake()


class BlockingReceiver:
    """The waiting side of an attachment, for threads."""

    def __init__(self, attachment: Attachment, lock_timeout: float) -> None:
        """Take the attachment, with its news of forks and replaced segments, and a limit.

        A wait for a lock of the segment is given up with LockTimeout after `lock_timeout`
        seconds.
        """
        self._attachment = attachment
        self._lock_timeout = lock_timeout
        self._closed = False
        self._cookies = itertools.count(1)
        # Its own lock is taken under this one's, in whatever thread; only forget() takes none.
        self.watchers = Watchers(attachment)
        self._reset()
        attachment.on_fork = self._reset
        attachment.on_replaced = self._begin_anew

    def _reset(self) -> None:
        """Nobody waits: at first, and in a forked child, where no other thread is."""
        self._lock = threading.RLock()  # a signal handler may receive, too
        self._entries: dict[str, _Entry] = {}
        self._by_cookie: dict[int, _Entry] = {}
        self._waiters: set[_Waiter] = set()
        self._senders: set[_Waiter] = set()  # those of them that wait for room
        # A lock was not had: there may be turns of which the bell does not tell, or which are
        # to be passed on.
        self._behind = False
        self._over: set[str] = set()  # channels that none waits for, which natively is not said
        self.watchers.reset()

    def wait(self, channels: Sequence[str], timeout: float | None) -> tuple[str, bytes] | None:
        """Return a body and its channel's full name as soon as there is one; None: too late.

        The channels are looked at in their order. `timeout` is in seconds; None: for ever.
        While it sleeps it has taken nothing, whatever ends it: time, close(), or what a
        signal's handler raises.
        """
        return self._wait(
            lambda waiter, rang: self._take_one(waiter, channels, rang=rang), timeout
        )

    def wait_for_event(self, watcher: GroupWatcher, timeout: float | None) -> GroupEvent | None:
        """Return the next event of a group as soon as there is one; None: too late, or closed.

        Whatever else ends it, what has changed is told by the next call.
        """
        try:
            return watcher.events.popleft()
        except IndexError:
            pass
        with contextlib.suppress(StopIteration):
            return self._wait(lambda waiter, _: self._next_event(waiter, watcher), timeout)
        return None

    def end_watch(self, watcher: GroupWatcher) -> None:
        """Tell those who watch that there are no more events."""
        with self._lock:
            watcher.closed = True
            watcher.events.clear()
            self.watchers.leave(watcher)
            watcher.wake()

    def _wait(
        self, look: Callable[[_Waiter, bool], _Found | None], timeout: float | None
    ) -> _Found | None:
        """Return what a look finds, as soon as it finds anything; None: too late.

        It gets the waiter that it may enter somewhere, and whether the bell rang.
        """
        end = None if timeout is None else time.monotonic() + timeout
        waiter = _Waiter()
        patience = Patience(self._lock_timeout)
        rang = False
        try:
            while True:
                left = TICK if end is None else min(TICK, end - time.monotonic())
                try:
                    found = look(waiter, rang)
                    if found is not None or left <= 0:
                        return found
                    patience = Patience(self._lock_timeout)
                    rang = self._sleep(waiter, left)
                except LockTimeout as refused:
                    patience.wait(refused)
        finally:
            self._leave(waiter)
            os.close(waiter.event)

    def wait_for_room(self, channel: str, capacity: int, seconds: float) -> None:
        """Return when a channel that holds `capacity` messages may have room for one more.

        Or earlier, and after `seconds` at the latest: the caller sends, and comes back if it is
        full. All who wait for room are told of it, so whatever ends this leaves nothing behind.
        """
        waiter = _Waiter()
        try:
            with self._lock:
                self._senders.add(waiter)
                self._waiters.add(waiter)
                self._check_open()
                full, rung = self._attachment.await_room(channel, capacity)
                if rung:
                    self._give_turns_out()
            if full and self._sleep(waiter, min(TICK, seconds)):
                with self._lock:
                    self._give_turns_out()
        finally:
            self._leave(waiter)
            os.close(waiter.event)

    def _check_open(self) -> None:
        if self._closed:
            raise LayerClosed("this layer was closed while somebody was waiting")

    # -- looking ------------------------------------------------------------------------

    def _come_in(self, waiter: _Waiter) -> None:
        waiter.renew_in_child()
        self._waiters.add(waiter)
        self._check_open()  # after the add: close() wakes whoever is there

    def _take_one(
        self, waiter: _Waiter, channels: Sequence[str], *, rang: bool
    ) -> tuple[str, bytes] | None:
        """Take from the first channel that has a message, or wait for all of them."""
        with self._lock:
            self._come_in(waiter)
            if rang or self._behind:
                self._give_turns_out()
            for channel in channels:
                entry = self._enter(waiter, channel)
                found, rung = self._attachment.take_or_await_named(
                    entry.name, entry.cookie, others=len(entry.waiters) > 1
                )
                if entry in waiter.turns:  # natively it waits again, or not at all
                    waiter.turns.remove(entry)
                if found is not None:
                    return found
                if rung:
                    self._give_turns_out()
            return None

    def _next_event(self, waiter: _Waiter, watcher: GroupWatcher) -> GroupEvent | None:
        """Take the next event of a group, or wait for a change. StopIteration: it is closed."""
        with self._lock:
            if watcher.closed:
                raise StopIteration
            self._come_in(waiter)
            waiter.watcher = watcher
            watcher.waiters.add(waiter)
            if watcher.bucket is None:
                self.watchers.register(watcher)
            self._give_turns_out()
            if watcher.stale and not watcher.events:
                self._find_events(watcher)
            return watcher.events.popleft() if watcher.events else None

    def _find_events(self, watcher: GroupWatcher) -> None:
        """See who is in the group. What changes meanwhile makes it stale again."""
        try:
            watcher.stale = False
            members = self._attachment.group_channels(watcher.group)
            missing = watcher.roll.missing(members)
            dead = {channel for channel in missing if self._attachment.is_gone(channel)}
            watcher.events.extend(watcher.roll.update(members, missing, dead))
        except BaseException:
            watcher.stale = True
            raise

    def _enter(self, waiter: _Waiter, channel: str) -> _Entry:
        entry = self._entries.get(channel)
        if entry is None:
            entry = _Entry(channel, next(self._cookies))
            self._entries[channel] = entry
            self._by_cookie[entry.cookie] = entry
            self._over.discard(channel)
        if entry not in waiter.entries:
            waiter.entries.append(entry)
            entry.waiters.append(waiter)
        return entry

    def _sleep(self, waiter: _Waiter, seconds: float) -> bool:
        """Sleep until there may be something. Returns whether the bell rang, or time is over.

        A signal's handler runs at once, and what it raises goes through.
        """
        bell = self._attachment.bell()
        poll = select.poll()
        poll.register(bell, select.POLLIN)
        poll.register(waiter.event, select.POLLIN)
        behind = self._behind
        if behind:
            seconds = min(seconds, PAUSE)
        events = [descriptor for descriptor, _ in poll.poll(seconds * 1000)]
        if waiter.event in events:
            waiter.rest()
        if not events and not behind:
            self._attachment.tick()
            with self._lock:
                self.watchers.tidy()
        return not events or bell in events

    # -- turns --------------------------------------------------------------------------

    def _give_turns_out(self) -> None:
        """Wake a thread for each channel that has a message, and arm the bell for the rest.

        What is behind a lock that is not had is given out later: whoever sleeps next does not
        sleep long.
        """
        self._behind = True
        while True:
            cookies, refused = self._attachment.ready()
            for cookie in cookies:
                if cookie == ROOM:
                    for sender in tuple(self._senders):
                        sender.wake()
                elif cookie >= CHANGED:
                    self.watchers.tell(cookie - CHANGED)
                entry = self._by_cookie.get(cookie)
                if entry is not None:
                    self._give_turn(entry)
            if refused is not None:
                return
            if not self._waiters or not self._attachment.arm():
                break
        self._behind = not self._end_waits()

    def _give_turn(self, entry: _Entry) -> None:
        """To the thread that has waited longest and has none of this channel yet."""
        for waiter in tuple(entry.waiters):
            if entry not in waiter.turns:
                waiter.turns.append(entry)
                waiter.wake()
                return

    def _unwait(self, entry: _Entry) -> None:
        del self._entries[entry.channel]
        del self._by_cookie[entry.cookie]
        self._over.add(entry.channel)
        self._behind = not self._end_waits() or self._behind

    def _end_waits(self) -> bool:
        """Say natively which waits are over; False if a lock was not had for all of them.

        If no thread comes by to say it again nobody waits here any more, and a message that
        lies there is told to other processes by the sweep.
        """
        for channel in tuple(self._over):
            try:
                self._attachment.unwait(channel)
            except LockTimeout:
                continue
            except AsgiShmError:
                pass  # not the moment to complain: whoever uses the segment next is told
            self._over.discard(channel)
        return not self._over

    def _leave(self, waiter: _Waiter) -> None:
        """The thread goes: the turns that it was given and has not taken go on."""
        with self._lock:
            if waiter.process != os.getpid():
                return  # see renew_in_child()
            self._waiters.discard(waiter)
            self._senders.discard(waiter)
            if waiter.watcher is not None:
                waiter.watcher.waiters.discard(waiter)
            for entry in waiter.entries:
                entry.waiters.remove(waiter)
                if not entry.waiters:
                    self._unwait(entry)
                elif entry in waiter.turns:
                    self._give_turn(entry)
            if self._behind and self._waiters:
                next(iter(self._waiters)).wake()

    def _begin_anew(self) -> None:
        """The segment was replaced: who waits or watches has to say so in the new one."""
        with self._lock:
            self.watchers.begin_anew()
            self._wake_all()

    def _wake_all(self) -> None:
        """Let every thread look again: the segment is another, or the layer is closed."""
        with self._lock:  # none goes meanwhile, and another file gets its event's number
            for waiter in tuple(self._waiters):
                waiter.wake()

    def close(self) -> None:
        """Let those that wait raise LayerClosed. The attachment is closed after this."""
        self._closed = True
        self._wake_all()
