"""Lets threads wait for channels of one attachment, in the kernel.

A thread that finds its channels empty enters itself for each of them, has the native module
count this process as waiting, and sleeps until the doorbell or its own event counter is
readable. Whichever thread the doorbell wakes asks for the channels that have a message, and
gives the turn of each to the thread that has waited for it longest. That one takes the message
itself; what it was given and does not take, because it took another, is interrupted or has no
more time, it passes on: to the next thread, or to another process.

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
from typing import TYPE_CHECKING

from ._attachment import ROOM
from ._names import encoded
from ._patience import PAUSE, Patience
from .errors import AsgiShmError, LayerClosed, LockTimeout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._attachment import Attachment

__all__ = ["BlockingReceiver"]

# A thread that waits looks after the segment this often, in seconds, and for its channels: a
# turn that was lost with a thread, or a bell that was not rung, is made good.
TICK = 0.5


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

    __slots__ = ("entries", "event", "process", "turns")

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self.process = os.getpid()
        self.event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.entries: list[_Entry] = []  # in whose `waiters` it is
        self.turns: list[_Entry] = []  # those of which it has been given the turn

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
        self._reset()
        attachment.on_fork = self._reset
        attachment.on_replaced = self._wake_all

    def _reset(self) -> None:
        """Nobody waits: at first, and in a forked child, where no other thread is."""
        self._lock = threading.RLock()  # a signal handler may receive, too
        self._entries: dict[str, _Entry] = {}
        self._by_cookie: dict[int, _Entry] = {}
        self._waiters: set[_Waiter] = set()
        self._senders: set[_Waiter] = set()  # those of them that wait for room
        # A lock was not had: there may be turns of which the bell does not tell.
        self._behind = False

    def wait(self, channels: Sequence[str], timeout: float | None) -> tuple[str, bytes] | None:
        """Return a body and its channel's full name as soon as there is one; None: too late.

        The channels are looked at in their order. `timeout` is in seconds; None: for ever.
        While it sleeps it has taken nothing, whatever ends it: time, close(), or what a
        signal's handler raises.
        """
        end = None if timeout is None else time.monotonic() + timeout
        waiter = _Waiter()
        patience = Patience(self._lock_timeout)
        rang = False
        try:
            while True:
                left = TICK if end is None else min(TICK, end - time.monotonic())
                try:
                    found = self._look(waiter, channels, rang=rang)
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

    def _look(
        self, waiter: _Waiter, channels: Sequence[str], *, rang: bool
    ) -> tuple[str, bytes] | None:
        """Take from the first channel that has a message, or wait for all of them."""
        with self._lock:
            waiter.renew_in_child()
            self._waiters.add(waiter)
            self._check_open()  # after the add: close() wakes whoever is there
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

    def _enter(self, waiter: _Waiter, channel: str) -> _Entry:
        entry = self._entries.get(channel)
        if entry is None:
            entry = _Entry(channel, next(self._cookies))
            self._entries[channel] = entry
            self._by_cookie[entry.cookie] = entry
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
                entry = self._by_cookie.get(cookie)
                if entry is not None:
                    self._give_turn(entry)
            if refused is not None:
                return
            if not self._waiters or not self._attachment.arm():
                break
        self._behind = False

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
        # Not the moment to complain: whoever uses the segment next is told.
        with contextlib.suppress(AsgiShmError):
            self._attachment.unwait(entry.channel)

    def _leave(self, waiter: _Waiter) -> None:
        """The thread goes: the turns that it was given and has not taken go on."""
        with self._lock:
            if waiter.process != os.getpid():
                return  # see renew_in_child()
            self._waiters.discard(waiter)
            self._senders.discard(waiter)
            for entry in waiter.entries:
                entry.waiters.remove(waiter)
                if not entry.waiters:
                    self._unwait(entry)
                elif entry in waiter.turns:
                    self._give_turn(entry)
            if self._behind and self._waiters:
                next(iter(self._waiters)).wake()

    def _wake_all(self) -> None:
        """Let every thread look again: the segment is another, or the layer is closed."""
        with self._lock:  # none goes meanwhile, and another file gets its event's number
            for waiter in tuple(self._waiters):
                waiter.wake()

    def close(self) -> None:
        """Let those that wait raise LayerClosed. The attachment is closed after this."""
        self._closed = True
        self._wake_all()
