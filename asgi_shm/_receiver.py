"""Lets coroutines of any number of event loops wait for channels of one attachment.

A coroutine that finds its channel empty puts a future into the channel's entry and has
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
import time
from collections import deque
from typing import TYPE_CHECKING, TypeAlias

from ._attachment import CHANGED, OTHERS, ROOM, STAY, TICK
from ._calls import Entry, Future, Waiting, Watch, forget, run, step_out
from ._calls import wake as _wake_some
from ._log import SeldomLogger
from ._lookout import Lookout
from ._patience import PAUSE, Patience
from ._presence import Watchers
from .errors import AsgiShmError, LayerClosed, LockTimeout

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._attachment import Attachment
    from ._calls import Place

__all__ = ["GroupWatcher", "Receiver"]

_Future: TypeAlias = "asyncio.Future[None]"


class _Entry(Entry):
    """A channel that coroutines of this process wait for.

    Natively a process waits for a channel or does not, however many coroutines do. So a
    coroutine that takes a message, is woken or goes may end the wait of another, in another
    thread. Whoever does that raises `missed` afterwards and then looks for futures to wake;
    whoever begins to wait reads `missed`, waits natively, appends its future, and reads
    `missed` again. One of the two sees the other, and no lock is needed.

    Most coroutines come back for the next message. Where it keeps none from anybody else the
    process goes on waiting natively meanwhile, and `quiet_since` is what `missed` was before it
    last found the channel empty and did so. A cookie raises `missed`, too: while the two are
    the same, whoever begins to wait need not look.
    """

    __slots__ = ()

    def __init__(self, channel: str, cookie: int) -> None:
        self.channel = channel
        self.cookie = cookie
        self.stay = 0  # STAY, once somebody came back for another message
        self.quiet_since = -1
        self.futures: list[Future] = []  # of the coroutines that wait
        self.inside: set[Future] = set()  # and of those that were woken and have not gone yet
        # Turns on their way to another loop, which may not run, or be closed before it does.
        self.handed_over: set[Future] = set()
        self.missed = 0
        self.dropped = False  # it is not in the receiver's table any more


class _Watch(Watch):
    """A loop that watches the doorbell. Only its own thread uses this."""

    __slots__ = ("again", "coming", "descriptor", "lookout", "stuck_since")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        # The bell will be armed: when those that were woken have run, or the look is over.
        self.arming = False
        self.lookout = Lookout()
        self.coming = False  # _let_run() is about to be called
        self.inside = 0  # coroutines of this loop that wait
        self.woken: deque[Future] = deque()  # whose tasks are about to run
        self.descriptor = -1
        self.tick: asyncio.TimerHandle | None = None
        # A lock was not had: look once more, since when it is so.
        self.again: asyncio.TimerHandle | None = None
        self.stuck_since: float | None = None


class GroupWatcher:
    """A coroutine that watches a group: a `Watcher`."""

    __slots__ = ("bucket", "future", "group", "stale")

    def __init__(self, group: str) -> None:
        self.group = group
        self.bucket: int | None = None
        self.stale = False
        self.future: _Future | None = None  # while it waits

    def wake(self, error: Exception | None = None) -> None:
        """In any thread."""
        future = self.future
        if future is not None:
            _settle_soon(future, error)


class Receiver(Waiting):
    """The waiting side of an attachment."""

    def __init__(self, attachment: Attachment, lock_timeout: float) -> None:
        """Take the attachment, and its news of forks and replaced segments.

        A receive that does not get a lock for `lock_timeout` seconds raises LockTimeout; one
        that waits already goes on waiting, and the log says why nothing comes.
        """
        self._attachment = attachment
        self._handles = attachment.handles
        self._lock_timeout = lock_timeout
        self._closed = False
        self._entries = {}
        self._cookies = itertools.count(1)
        self._stuck = SeldomLogger()
        self.watchers = Watchers(attachment)
        self._reset()
        attachment.on_fork = self._reset
        attachment.on_replaced = self._begin_anew

    def _reset(self) -> None:
        """Nobody waits: at first, and in a forked child, where no loop of the parent runs."""
        forget()
        # Over changes of the three tables. Reentrant: a finalizer may run while it is held.
        self._lock = threading.RLock()
        for entry in self._entries.values():  # a coroutine of the parent may yet end here
            entry.dropped = True
        # Entries stay for a while when nobody is inside: most come again. The tick drops those
        # that it finds in `_idle`; it looks at no others, since there may be thousands.
        self._entries: dict[str, _Entry] = {}
        self._idle: set[_Entry] = set()  # nobody was inside at some time since the last tick
        self._handing_over: set[_Entry] = set()  # with turns on their way to another loop
        self._by_cookie: dict[int, _Entry] = {}
        self._watches: dict[asyncio.AbstractEventLoop, _Watch] = {}
        self._senders: set[_Future] = set()  # that wait for room, in whatever channel
        self.watchers.reset()

    async def wait(self, channel: str) -> bytes:
        """Return the oldest body of a channel, as soon as there is one.

        Cancelled at any moment it has taken nothing.
        """
        loop = asyncio.get_running_loop()
        future = Future(loop)
        watch = self._watches.get(loop) or self._add_watch(loop)
        entry = self._entries.get(channel)
        if entry is not None:
            entry.inside.add(future)
            entry.stay = STAY
        if entry is None or entry.dropped:  # read after the add: see _drop_idle_entries()
            entry = self._enter(channel, future)
        watch.inside += 1
        place: Place = [entry, watch, future]
        try:
            return await self.go_on(place, rung=False)
        except BaseException:
            if place:
                self.leave(place)
            raise

    async def go_on(self, place: Place, *, rung: bool) -> bytes:
        """Wait in a place, which is empty with a body. With an exception its owner leaves it.

        `rung` tells whether the bell was rung since this loop has asked what is ready.
        """
        entry, watch, future = place
        patience = None
        while True:
            self._check_open()
            missed = entry.missed
            try:
                if watch.tick is None:
                    self._watch(watch)
                if entry.quiet_since == missed:
                    rung = rung or (not watch.arming and self._attachment.arm())
                else:
                    body, meanwhile = self._take(place)
                    if body is not None:
                        return body
                    rung = rung or meanwhile
            except LockTimeout as refused:
                patience = patience or Patience(self._lock_timeout)
                # Cancelled here: as below, and if it was woken it has the turn.
                await patience.pause(refused)
                continue
            patience = None
            if future.done():
                future = place[2] = self._renew(entry, future)
            entry.futures.append(future)
            if missed == entry.missed and not self._closed:
                if rung:
                    self._dispatch_soon(watch)
                    rung = False
                # Cancelled here, before or after it was woken: leave() passes the turn on.
                await future
            else:
                self._withdraw(entry, future)

    def _take(self, place: Place) -> tuple[bytes | None, bool]:
        """Take a body, and step out; or wait, and tell if the bell was rung meanwhile."""
        entry, watch, _ = place
        missed = entry.missed
        others = len(entry.inside) > 1
        body, more = self._attachment.take_or_await(
            entry.channel,
            entry.cookie,
            entry.stay | OTHERS if others else entry.stay,
        )
        if body is None:
            return None, more
        if more:
            entry.quiet_since = missed
        else:  # whoever came meanwhile, and knows it to be quiet, is wrong now
            entry.missed += 1
        if others != (len(entry.inside) > 1):
            self._correct(entry, watch.loop)
        step_out(self, place)
        return body, False

    async def wait_for_room(self, channel: str, capacity: int, seconds: float) -> None:
        """Return when a channel that holds `capacity` messages may have room for one more.

        Or after `seconds`. Others may be faster: the caller sends, and comes back if it is
        full again.
        """
        loop = asyncio.get_running_loop()
        future: _Future = loop.create_future()
        watch = self._watches.get(loop) or self._add_watch(loop)
        watch.inside += 1
        timer = None
        self._senders.add(future)  # before the native wait, so that nobody misses it
        try:
            self._check_open()
            if watch.tick is None:
                self._watch(watch)
            full, rung = self._attachment.await_room(channel, capacity)
            if full:
                if rung:
                    self._dispatch_soon(watch)
                timer = loop.call_later(seconds, _settle, future, None)
                # Cancelled here: all others that wait are told as well, so nothing is lost.
                await future
        except LockTimeout:  # the caller sends again, and gives up in time
            await asyncio.sleep(PAUSE)
        finally:
            if timer is not None:
                timer.cancel()
            watch.inside -= 1
            self._senders.discard(future)

    async def wait_for_change(self, watcher: GroupWatcher) -> None:
        """Return when the group of a watcher may have changed; at first, at once.

        Cancelled here, or not called again: who watches no more leaves `watchers`.
        """
        loop = asyncio.get_running_loop()
        watch = self._watches.get(loop) or self._add_watch(loop)
        watch.inside += 1
        patience = Patience(self._lock_timeout)
        try:
            while True:
                self._check_open()
                try:
                    if watch.tick is None:
                        self._watch(watch)
                    if watcher.bucket is None:
                        self.watchers.register(watcher)
                    watcher.future = loop.create_future()
                    if watcher.stale:  # read when it can be woken: see Watcher
                        watcher.stale = False
                        return
                    if self._attachment.arm():
                        self._dispatch_soon(watch)
                except LockTimeout as refused:
                    await patience.pause(refused)
                    continue
                patience = Patience(self._lock_timeout)
                if not self._closed:  # likewise
                    await watcher.future
        finally:
            watcher.future = None
            watch.inside -= 1

    def _wake_senders(self) -> None:
        for future in tuple(self._senders):
            _settle_soon(future)

    def _check_open(self) -> None:
        if self._closed:
            raise LayerClosed("this layer was closed while somebody was waiting")

    # -- who waits ----------------------------------------------------------------------

    def _enter(self, channel: str, future: Future) -> _Entry:
        with self._lock:
            entry = self._entries.get(channel)
            if entry is None:
                entry = _Entry(channel, next(self._cookies))
                self._by_cookie[entry.cookie] = entry
                self._entries[channel] = entry
            entry.inside.add(future)
        return entry

    def _add_watch(self, loop: asyncio.AbstractEventLoop) -> _Watch:
        watch = _Watch(loop)
        with self._lock:
            for other in tuple(self._watches):
                if other.is_closed():
                    self._watches.pop(other, None)
            self._watches[loop] = watch
        return watch

    def _renew(self, entry: _Entry, future: Future) -> Future:
        """A future serves once: have another for the next round."""
        renewed = Future(future.get_loop())
        entry.inside.add(renewed)
        entry.inside.discard(future)
        return renewed

    def _withdraw(self, entry: _Entry, future: Future) -> None:
        """Nobody awaits it any more."""
        with contextlib.suppress(ValueError):  # it was popped when it was woken
            entry.futures.remove(future)

    def leave(self, place: Place) -> None:
        """A coroutine has gone without a message; a turn it had goes on."""
        entry, _, future = place
        step_out(self, place)
        is_ours = self._entries.get(entry.channel) is entry  # and not of before a fork
        if self._closed or not is_ours:
            return
        self._withdraw(entry, future)
        if not entry.inside:
            self._unwait(entry)
            self._nudge(entry, None)
        elif future in entry.handed_over or (future.done() and not future.cancelled()):
            entry.handed_over.discard(future)
            self._wake(entry, None)

    def _correct(self, entry: _Entry, running: asyncio.AbstractEventLoop) -> None:
        """While a message was taken others came, or the last of them went."""
        if len(entry.inside) == 1:
            self._unwait(entry)
        self._nudge(entry, running)

    def _nudge(self, entry: _Entry, running: asyncio.AbstractEventLoop | None) -> None:
        """What this process said natively of the entry may be undone: have it said again."""
        entry.missed += 1
        if entry.futures:
            self._wake(entry, running)

    def _drop_idle_entries(self) -> None:
        quiet = []
        with self._lock:
            for _ in range(len(self._idle)):
                entry = self._idle.pop()  # others only add
                if entry.inside or entry.dropped:
                    continue
                entry.dropped = True
                if entry.inside:  # somebody has entered meanwhile, and perhaps not seen it
                    entry.dropped = False
                    continue
                del self._entries[entry.channel]
                del self._by_cookie[entry.cookie]
                if entry.quiet_since == entry.missed:
                    quiet.append(entry)
        for entry in quiet:
            self._unwait_again(entry)

    def _unwait(self, entry: _Entry) -> None:
        try:
            self._attachment.unwait(entry.channel)
        except LockTimeout:
            self._unwait_later(entry)
        except AsgiShmError:
            pass  # not the moment to complain: whoever uses the segment next is told

    def _unwait_later(self, entry: _Entry) -> None:
        """Once more after a pause, in any loop.

        If there is none nobody waits here any more, and a message that lies there is told to
        other processes by the sweep.
        """
        again = self._unwait_again
        for watch in tuple(self._watches.values()):
            with contextlib.suppress(RuntimeError):  # its loop is closed
                watch.loop.call_soon_threadsafe(watch.loop.call_later, PAUSE, again, entry)
                return

    def _unwait_again(self, entry: _Entry) -> None:
        """A lock was not had before. Who has begun to wait meanwhile has to do so anew."""
        self._unwait(entry)
        self._nudge(self._entries.get(entry.channel, entry), None)

    # -- waking -------------------------------------------------------------------------

    def _dispatch(self, watch: _Watch) -> None:
        """Wake one future for each channel that has a message.

        The tasks of those in `watch.woken` go on when the caller has them _let_run().
        """
        running = watch.loop
        try:
            cookies, refused = self._attachment.ready()
        except AsgiShmError as error:
            self._fail(error, watch)
            return
        if refused is not None:
            self._fail(refused, watch)
        else:
            watch.stuck_since = None
        watches = tuple(self._watches.values())
        others = 0
        for one in watches:
            others += one.inside
        several = len(cookies) > 1
        others -= _wake_some(self, cookies, watch)
        for cookie in cookies:  # that are left
            entry = self._by_cookie.get(cookie)
            if entry is not None:
                others -= self._wake(entry, running)
            elif cookie == ROOM:
                self._wake_senders()
            elif cookie >= CHANGED:
                self.watchers.tell(cookie - CHANGED)
            # Otherwise its last coroutine has left since, and unwait has passed the turn on.
        # The bell is disarmed now, and others may wait yet. One that was just woken most likely
        # arms it itself; for several it is done once, after them. In other threads somebody may
        # have begun to wait, and been counted by neither of us. But to arm it over what was
        # refused would be to come back at once: _on_again() comes later.
        if refused is None and (others > 0 or several or len(watches) > 1):
            watch.arming = True

    def _dispatch_soon(self, watch: _Watch) -> None:
        """Those that it wakes go on in the next round of the loop: a task may run now."""
        self._let_run_soon(watch)
        self._dispatch(watch)

    def _let_run_soon(self, watch: _Watch) -> None:
        if not watch.coming:
            watch.coming = True
            watch.loop.call_soon(self._let_run, watch)

    def _let_run(self, watch: _Watch, *, rung: bool = False) -> None:
        """Have the tasks of the woken futures go on, and arm the bell after them.

        Or look on, in the next rounds of the loop, and arm it then; but not where other loops
        rely on the bell, since this one may be stopped before its next round. Called by the
        loop itself. Whatever ends it, those that are left go on soon.
        """
        lookout, watches = watch.lookout, self._watches
        try:
            if not rung:
                watch.coming = False
            if rung or lookout.looks:
                self._dispatch(watch)
            if watch.woken and len(watches) == 1 and lookout.messages_came():
                watch.arming = True  # so nobody else does
            run(watch)
            # Other loops may have come since.
            if watch.arming and not watch.woken and (len(watches) > 1 or lookout.is_over()):
                self._arm(watch)
        finally:
            if watch.woken or watch.arming:
                self._let_run_soon(watch)

    def _arm(self, watch: _Watch) -> None:
        try:
            rung = not self._closed and self._attachment.arm()
        except AsgiShmError as error:
            watch.arming = False
            self._fail(error, watch)
            return
        watch.arming = False  # not before: a signal's handler may have ended it
        if rung:  # the loop has more to do than this: not at once
            self._dispatch_soon(watch)
        else:
            watch.stuck_since = None  # nothing lies behind a lock

    # The loop that runs in this thread is handed down: to ask for it takes a system call before
    # Python 3.12. None stands for not knowing; a future of that loop is woken in a detour then.

    def _wake(self, entry: _Entry, running: asyncio.AbstractEventLoop | None) -> bool:
        """Give the turn to the future that has waited longest in a loop that is open.

        Returns False if there is none; the turn has then gone on to another process.
        """
        while True:
            try:
                future = entry.futures.pop(0)
            except IndexError:
                # Who is inside was woken, and looks for itself, or waited in a loop that was
                # closed. Another process may have the turn meanwhile.
                self._unwait(entry)
                entry.missed += 1
                if entry.futures:
                    continue
                return False
            if future.done():
                continue
            loop = future.get_loop()
            if loop is running:
                future.set_result(None)
                return True
            entry.handed_over.add(future)
            self._handing_over.add(entry)
            try:
                loop.call_soon_threadsafe(self._hand_over, entry, future)
            except RuntimeError:  # closed: its coroutine will not come back
                entry.handed_over.discard(future)
                entry.inside.discard(future)
                self._idle.add(entry)
                continue
            return True

    def _take_back_turns(self, running: asyncio.AbstractEventLoop) -> None:
        """A turn that another loop has not taken up may be lost with it: wake one more.

        If it is taken up after all, somebody has looked in vain, and awaits again.
        """
        for entry in tuple(self._handing_over):
            self._handing_over.discard(entry)  # before the look: another thread may add it
            for future in tuple(entry.handed_over):
                if future.get_loop().is_closed():
                    entry.handed_over.discard(future)
                    self._wake(entry, running)
            if entry.handed_over:
                self._handing_over.add(entry)
                if entry.futures:
                    self._wake(entry, running)

    def _hand_over(self, entry: _Entry, future: Future) -> None:
        """In the future's own loop."""
        entry.handed_over.discard(future)
        if future.done():
            self._wake(entry, future.get_loop())
        else:
            future.set_result(None)

    def _wake_all(self, error: Exception | None = None) -> None:
        """Let all look again, or fail."""
        self._wake_senders()
        self.watchers.wake_all(error)
        with self._lock:
            entries = list(self._entries.values())
        for entry in entries:
            entry.missed += 1
            for _ in range(len(entry.futures)):
                try:
                    future = entry.futures.pop(0)
                except IndexError:  # woken meanwhile
                    break
                _settle_soon(future, error)

    def _fail(self, error: Exception, watch: _Watch) -> None:
        """The segment cannot be used: whoever waits for it is told.

        But not where a lock was not had: that passes, and is tried again.
        """
        if not isinstance(error, LockTimeout):
            self._wake_all(error)
            return
        current = self._watches.get(watch.loop)
        if current is None:
            return
        watch = current
        now = time.monotonic()
        if watch.stuck_since is None:
            watch.stuck_since = now
        if now - watch.stuck_since >= self._lock_timeout:
            self._stuck.warning("%s", error)
        if watch.again is None:
            watch.again = watch.loop.call_later(PAUSE, self._on_again, watch)

    def _on_again(self, watch: _Watch) -> None:
        watch.again = None
        self._on_bell(watch)

    # -- watching the bell --------------------------------------------------------------

    def _watch(self, watch: _Watch) -> None:
        """Have the coroutine's loop watch the bell and tick, if it does not yet."""
        if watch.descriptor < 0:
            watch.descriptor = self._attachment.bell()
            watch.loop.add_reader(watch.descriptor, self._on_bell, watch)
        if watch.tick is None:
            watch.tick = watch.loop.call_later(TICK, self._on_tick, watch)

    def _unwatch(self, watch: _Watch) -> None:
        forget()  # there may be no tick any more
        if watch.descriptor >= 0:
            watch.loop.remove_reader(watch.descriptor)
            watch.descriptor = -1
        for timer in (watch.tick, watch.again):
            if timer is not None:
                timer.cancel()
        watch.tick = watch.again = None
        with self._lock:
            if watch.inside == 0 and self._watches.get(watch.loop) is watch:
                del self._watches[watch.loop]

    def _on_bell(self, watch: _Watch) -> None:
        is_wanted = watch.inside > 0  # whoever goes on most likely comes back
        self._let_run(watch, rung=True)
        if not is_wanted and watch.inside == 0:
            self._unwatch(watch)

    def _on_tick(self, watch: _Watch) -> None:
        watch.tick = None
        forget()  # messages that the members of a group have got by now
        if watch.inside == 0:
            self._unwatch(watch)
            return
        watch.tick = watch.loop.call_later(TICK, self._on_tick, watch)
        # Mostly there is nothing to do, and after so long a sleep each call costs.
        if watch.woken:  # it was a signal's handler that ended the call that was to come
            watch.loop.call_soon(self._let_run, watch)
        if self._idle:
            self._drop_idle_entries()
        if self._handing_over:
            self._take_back_turns(watch.loop)
        if self._senders:
            self._wake_senders()  # what has expired may not have been dropped yet
        self.watchers.tidy()
        try:
            self._attachment.tick()
        except AsgiShmError as error:
            self._fail(error, watch)
        else:
            self._arm(watch)  # and look, if whoever had a message could not ring

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
        self.watchers.begin_anew()
        self._in_each_loop(self._watch_anew)
        self._wake_all()

    def _watch_anew(self, watch: _Watch) -> None:
        self._unwatch(watch)
        if watch.inside > 0 and not self._closed:
            self._watch(watch)

    def close(self) -> None:
        """Let those that wait raise LayerClosed. The attachment is closed after this."""
        self._closed = True
        forget()
        self._in_each_loop(self._unwatch)
        self._wake_all()


def _settle_soon(future: _Future | Future, error: Exception | None = None) -> None:
    """In any thread: wake the coroutine that waits for a future, in its own loop."""
    with contextlib.suppress(RuntimeError):  # which is closed
        future.get_loop().call_soon_threadsafe(_settle, future, error)


def _settle(future: _Future | Future, error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
