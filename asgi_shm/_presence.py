"""Who is in a group, and what has changed there: the events of `watch_group`.

The segment says that a group may have changed, and not how. So a watcher looks who is in it,
and compares with whom it knew. What comes and goes between two looks is not seen; that is also
what bounds what a slow watcher owes its consumer.

Natively a process watches a bucket of groups or does not, however many watchers do.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from .errors import AsgiShmError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ._attachment import Attachment

__all__ = ["GroupEvent", "Roll", "Watcher", "Watchers"]


@dataclass(frozen=True)
class GroupEvent:
    """A channel that joined or left a group."""

    kind: Literal["join", "leave", "death"]  # death: with the process that it belonged to
    channel: str
    count: int  # of the channels that are in the group after it
    first: bool  # a join: nobody was in the group before
    last: bool  # a leave or a death: nobody is in the group now


class Roll:
    """Whom a watcher knows to be in its group."""

    def __init__(self) -> None:
        self._known: dict[str, None] = {}  # the oldest first

    def missing(self, members: Iterable[str]) -> list[str]:
        """Return those that are known and not among `members`."""
        return list(self._known.keys() - set(members))

    def update(
        self, members: Iterable[str], missing: Iterable[str], dead: set[str]
    ) -> Iterator[GroupEvent]:
        """Yield what has changed. Joins come first: a group was empty only if it was seen so.

        What is not taken from the iterator has not been told, and is found by the next look.
        """
        known = self._known
        for channel in members:
            if channel not in known:
                known[channel] = None
                yield GroupEvent("join", channel, len(known), first=len(known) == 1, last=False)
        for channel in missing:
            del known[channel]
            kind: Literal["leave", "death"] = "death" if channel in dead else "leave"
            yield GroupEvent(kind, channel, len(known), first=False, last=not known)


class Watcher(Protocol):
    """One who watches a group.

    Whoever learns of a change sets `stale`, in any thread, and then calls `wake`; the watcher
    clears it before it looks, and reads it once more when it can be woken.
    """

    group: str
    bucket: int | None  # None: it has to register, at first or with another segment
    stale: bool

    def wake(self, error: Exception | None = None) -> None: ...


class Watchers:
    """All watchers of an attachment, by bucket."""

    def __init__(self, attachment: Attachment) -> None:
        self._attachment = attachment
        self._by_bucket: dict[int, set[Watcher]] = {}
        self._forgotten: deque[Watcher] = deque()
        self.reset()

    def reset(self) -> None:
        """Nobody watches: at first, and in a forked child."""
        # Reentrant: a native call may find that the segment was replaced, and begin anew.
        self._lock = threading.RLock()
        watchers = self._all()
        self._by_bucket = {}
        for watcher in watchers:  # a child may go on with its parent's
            watcher.bucket = None
            watcher.stale = True

    def register(self, watcher: Watcher) -> None:
        """Have a watcher told of changes from now on; it has to look once. LockTimeout."""
        with self._lock:
            bucket = self._attachment.watch(watcher.group)
            self._by_bucket.setdefault(bucket, set()).add(watcher)
            watcher.bucket = bucket
            watcher.stale = True

    def leave(self, watcher: Watcher) -> None:
        """Tell a watcher no more."""
        with self._lock:
            self._forgotten.append(watcher)
            self.tidy()

    def forget(self, watcher: Watcher) -> None:
        """Likewise, at the next tidy(): the garbage collector calls this at any moment."""
        self._forgotten.append(watcher)

    def tidy(self) -> None:
        """Stop watching natively what nobody watches. If a lock is not had, another time."""
        if not self._forgotten and not self._by_bucket:
            return
        with self._lock:
            while self._forgotten:
                watcher = self._forgotten.popleft()
                if watcher.bucket is not None:
                    self._by_bucket.get(watcher.bucket, set()).discard(watcher)
                    watcher.bucket = None
            for bucket in [bucket for bucket, some in self._by_bucket.items() if not some]:
                # Not the moment to complain: whoever uses the segment next is told.
                with contextlib.suppress(AsgiShmError):
                    self._attachment.unwatch(bucket)
                    self._by_bucket.pop(bucket, None)

    def tell(self, bucket: int) -> None:
        """Something has changed in a group of the bucket."""
        with self._lock:
            told = list(self._by_bucket.get(bucket, ()))
        for watcher in told:
            watcher.stale = True
            watcher.wake()

    def _all(self) -> list[Watcher]:
        return [one for some in self._by_bucket.values() for one in some]

    def wake_all(self, error: Exception | None = None) -> None:
        """Let all look again, or fail."""
        with self._lock:
            watchers = self._all()
        for watcher in watchers:
            watcher.stale = True
            watcher.wake(error)

    def begin_anew(self) -> None:
        """The segment was replaced: all have to register in the one that has its name now."""
        with self._lock:
            watchers = self._all()
            for watcher in watchers:
                watcher.bucket = None
                watcher.stale = True
            self._by_bucket.clear()  # last: a child that is forked meanwhile does the same
        for watcher in watchers:
            watcher.wake()
