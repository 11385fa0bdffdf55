"""Looks into a segment from outside: processes, channels, groups, messages, memory, locks.

An `Observer` opens the segment for reading alone. It claims no slot, takes no lock and takes
no message, so it disturbs nobody, may be of a user who may not write to the segment (see
`mode`), and works while processes are stopped or killed. Each thing it tells was so when it
was read; but it reads one after another while the segment is in use, so two figures need not
be of one instant. Who takes part in a segment asks its layer instead.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from . import segment
from ._ashm import ffi, lib
from ._codes import error
from ._names import encoded
from .config import Config
from .errors import AsgiShmError, SegmentNotFound
from .serializers import unpack

if TYPE_CHECKING:
    from typing_extensions import Self

    from ._attachment import Attachment

__all__ = [
    "COUNTERS",
    "Channel",
    "Counter",
    "Group",
    "Lock",
    "Member",
    "Memory",
    "Message",
    "Observer",
    "Process",
    "Totals",
]

# Records that one native call gives.
_PART: Final = 256
# Messages up to this size need one call.
_BUFFER_SIZE: Final = 65536


class Counter(NamedTuple):
    """Something that is counted from when the segment was made, and never falls."""

    name: str
    unit: str
    help: str


@dataclass(frozen=True, slots=True)
class Process:
    """A process that is attached to the segment."""

    slot: int
    pid: int  # as its own pid namespace has it
    command: str  # the beginning of its command line
    alive: bool  # False: it ended without close(), and nobody has cleared up after it yet
    age: float  # seconds since it attached
    waiting: int  # channels it waits for
    pending: int  # unread messages in its own channels
    broadcasts: int  # group messages not yet given to the members among its channels
    counters: dict[str, int]  # what it has counted itself: names of COUNTERS


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel that holds messages, is in a group, or was used a moment ago."""

    name: str
    slot: int | None  # of the one process that may receive on it; None: any may
    pending: int  # unread messages
    capacity: int
    waiting: int  # processes that wait for it
    sent: int  # messages put into it, and
    full: int  # messages it had no room for, since it was last unused
    age: float  # seconds that the oldest unread message has waited


@dataclass(frozen=True, slots=True)
class Group:
    """A group with members."""

    name: str
    members: int
    full: int  # messages that members had no room for
    slots: tuple[int | None, ...]  # whose channels are in it; None: channels of no process


@dataclass(frozen=True, slots=True)
class Member:
    """A channel in a group."""

    group: str
    channel: str
    slot: int | None
    expiry: float | None  # seconds until the membership ends; None: it does not


@dataclass(frozen=True, slots=True)
class Message:
    """An unread message, which stays where it is."""

    size: int  # bytes, serialized
    age: float  # seconds since it was sent
    expiry: float | None  # seconds until it expires; None: it does not
    body: bytes = field(repr=False)

    @property
    def content(self) -> dict[str, Any]:
        """The message. Raises SegmentCorrupt if the body is none."""
        return unpack(self.body)


@dataclass(frozen=True, slots=True)
class Memory:
    """A part of the segment's memory, in bytes."""

    size: int
    used: int


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock that is held at this moment."""

    what: str  # "memory", "commons" or "mailbox"
    slot: int | None  # of the process whose mailbox it is
    holder: int  # slot of who holds it
    pid: int
    waited: bool  # somebody waits for it


@dataclass(frozen=True, slots=True)
class Totals:
    """The figures of the whole segment."""

    messages_memory: Memory
    groups_memory: Memory
    size: int  # bytes of the whole, if all of it were in use
    reserved: int  # bytes that the file system has given for it
    processes: int
    channels: int
    groups: int  # one is counted once for each process that has members of it
    members: int
    pending: int  # unread messages
    counters: dict[str, int]  # by the names of COUNTERS


def _counters() -> Iterator[Counter]:
    count = ffi.new("size_t *")
    table = lib.ashm_counters(count)
    for i in range(count[0]):
        row = table[i]
        yield Counter(*(ffi.string(text).decode() for text in (row.name, row.unit, row.help)))


# Every counter, in the order of the native table.
COUNTERS: Final[tuple[Counter, ...]] = tuple(_counters())

_OF_PROCESSES: Final = frozenset(name for name, _ in ffi.typeof("ashm_seen_process").fields) & {
    counter.name for counter in COUNTERS
}


class Observer:
    """Sees what is in the segment of a prefix. Use it in a ``with`` statement, or close it.

    For one thread at a time. A segment that is removed and made anew meanwhile is not the one
    that it sees: `is_current` tells.

    Raises SegmentNotFound if no process has used the prefix yet; SegmentPermission if this
    user may not read the segment; SegmentLayoutMismatch, SegmentForeign, SegmentCorrupt.
    """

    def __init__(self, prefix: str = "asgi") -> None:
        """Open the segment of a prefix for reading."""
        path = segment.object_path(prefix)
        self._look_into(Config.from_options(prefix=prefix), segment.object_name(prefix), path)

    def _look_into(self, config: Config, name: str, path: Path) -> None:
        self.prefix = str(config.prefix)
        self._config = config
        self._path = path
        observer = ffi.new("ashm_observer **")
        code = lib.ashm_observe(name.encode(), observer)
        if code == errno.ENOENT:
            raise SegmentNotFound(
                f"there is no segment of prefix {self.prefix!r}: no process has used it yet"
            )
        if code:
            raise self._error(code)
        self._native: Any = observer[0]
        self._identity = self._stat()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(prefix={self.prefix!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Forget the segment. A second close does nothing."""
        native, self._native = self._native, None
        if native is not None:
            lib.ashm_observe_end(native)

    def is_current(self) -> bool:
        """Tell whether the prefix still leads to this segment."""
        return self._identity is not None and self._stat() == self._identity

    def processes(self) -> list[Process]:
        """Return the processes that are attached, by their slots."""
        seen = ffi.new("ashm_seen_process *")
        found = []
        for slot in range(lib.ASHM_SLOTS):
            code = lib.ashm_see_process(self._open(), slot, seen)
            if code == 0:
                found.append(_process(slot, seen))
            elif code != lib.ASHM_EMPTY:
                raise self._error(code)
        return found

    def channels(self) -> Iterator[Channel]:
        """Give every channel, in no order."""
        for seen in self._list(lib.ashm_see_channels, "ashm_seen_channel"):
            yield Channel(
                name=_text(seen.name),
                slot=_slot(seen.slot),
                pending=seen.pending,
                capacity=seen.capacity,
                waiting=seen.waiting,
                sent=seen.sent,
                full=seen.full,
                age=seen.age / 1e9,
            )

    def groups(self, limit: int | None = None) -> list[Group]:
        """Return every group that has members, by name.

        A group is found once for each process with members of it; `limit` ends the search when
        it has found so much, and of what it then returns the figures may be too low.
        """
        parts: dict[str, Group] = {}
        for seen in islice(self._list(lib.ashm_see_groups, "ashm_seen_group"), limit):
            name = _text(seen.name)
            group = parts.get(name, Group(name, 0, 0, ()))
            parts[name] = Group(
                name,
                group.members + seen.members,
                group.full + seen.full,
                (*group.slots, _slot(seen.slot)),
            )
        return sorted(parts.values(), key=lambda group: group.name)

    def members(self, group: str | None = None) -> Iterator[Member]:
        """Give every member of a group, or of all, in no order."""
        for seen in self._list(lib.ashm_see_members, "ashm_seen_member"):
            name = _text(seen.group)
            if group is None or name == group:
                yield Member(name, _text(seen.channel), _slot(seen.slot), _expiry(seen.expiry))

    def messages(self, channel: str) -> Iterator[Message]:
        """Give the unread messages of a channel, the oldest first. None is taken."""
        name = encoded(channel, "channel")
        cursor = ffi.new("uint64_t *")
        seen = ffi.new("ashm_seen_message *")
        size = _BUFFER_SIZE
        buffer = ffi.new("char[]", size)
        while True:
            code = lib.ashm_see_message(
                self._open(), name, len(name), cursor, buffer, size, seen
            )
            if code == lib.ASHM_BUFFER:
                size = seen.length
                buffer = ffi.new("char[]", size)
            elif code == 0:
                body = ffi.buffer(buffer, seen.length)[:]
                yield Message(seen.length, seen.age / 1e9, _expiry(seen.expiry), body)
            elif code == lib.ASHM_EMPTY:
                return
            else:
                raise self._error(code, channel)

    def locks(self) -> list[Lock]:
        """Return the locks that are held at this moment: most times none."""
        size = lib.ASHM_SLOTS + 16
        seen = ffi.new("ashm_seen_lock[]", size)
        count = ffi.new("size_t *")
        code = lib.ashm_see_locks(self._open(), seen, size, count)
        if code:
            raise self._error(code)
        return [
            Lock(
                ffi.string(lock.what).decode(),
                _slot(lock.slot),
                lock.holder,
                lock.pid,
                bool(lock.waited),
            )
            for lock in seen[0 : count[0]]
        ]

    def totals(self) -> Totals:
        """Return the figures of the whole segment."""
        info = ffi.new("ashm_info *")
        code = lib.ashm_see_info(self._open(), info)
        if code:
            raise self._error(code)
        status = self._path.stat() if self.is_current() else None
        return Totals(
            messages_memory=Memory(info.message_memory, info.message_used),
            groups_memory=Memory(info.group_memory, info.group_used),
            size=info.segment_size,
            reserved=0 if status is None else status.st_blocks * 512,
            processes=info.attached,
            channels=info.channels,
            groups=info.groups,
            members=info.memberships,
            pending=info.messages,
            counters={counter.name: getattr(info, counter.name) for counter in COUNTERS},
        )

    def _list(self, function: Any, kind: str) -> Iterator[Any]:
        seen = ffi.new(f"{kind}[]", _PART)
        cursor = ffi.new("uint64_t *")
        count = ffi.new("size_t *")
        while cursor[0] != lib.ASHM_NEVER:
            code = function(self._open(), cursor, seen, _PART, count)
            if code:
                raise self._error(code)
            for i in range(count[0]):
                yield seen[i]

    def _open(self) -> Any:
        if self._native is None:
            raise AsgiShmError("this observer was closed; make another one")
        return self._native

    def _stat(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self._path)  # noqa: PTH116 - beside the others of its kind
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _error(self, code: int, channel: str | None = None) -> Exception:
        return error(code, self._config, channel=channel)


class Insider(Observer):
    """Sees what is in the segment of a layer of this process, which may be a private one."""

    def __init__(self, attachment: Attachment, config: Config) -> None:
        """Open the segment of an attachment for reading, too."""
        name = attachment.name()
        path = Path(name) if config.prefix is None else segment.object_path(config.prefix)
        self._look_into(config, name, path)


def _process(slot: int, seen: Any) -> Process:
    return Process(
        slot=slot,
        pid=seen.pid,
        command=ffi.string(seen.command).decode(errors="replace"),
        alive=bool(seen.alive),
        age=seen.age / 1e9,
        waiting=seen.waiting,
        pending=seen.pending,
        broadcasts=seen.broadcasts,
        counters={name: getattr(seen, name) for name in sorted(_OF_PROCESSES)},
    )


def _slot(slot: int) -> int | None:
    return None if slot == lib.ASHM_SLOTS else slot


def _expiry(nanoseconds: int) -> float | None:
    return None if nanoseconds == lib.ASHM_NEVER else nanoseconds / 1e9


def _text(characters: Any) -> str:
    text: bytes = ffi.string(characters)
    return text.decode("ascii")
