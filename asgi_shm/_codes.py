"""Turns the codes of native operations into exceptions that say what to do."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

from ._ashm import lib
from ._names import explain
from .errors import (
    ChannelFull,
    InvalidName,
    LayerClosed,
    MemoryFull,
    MessageTooLarge,
    NoFreeSlot,
    NotOwner,
    SegmentCorrupt,
    SegmentError,
    SegmentForeign,
    SegmentLayoutMismatch,
    SegmentPermission,
    SegmentReplaced,
)

if TYPE_CHECKING:
    from .config import Config

__all__ = ["FULL", "error"]

# Memory that is used up: what to do.
FULL: Final = {
    lib.ASHM_MESSAGES_FULL: (
        "the memory for messages is full; read them faster, or raise message_memory"
    ),
    lib.ASHM_TABLES_FULL: (
        "the memory for channels, groups and memberships is full; raise group_memory"
    ),
    lib.ASHM_SHM_FULL: (
        "/dev/shm is full before the segment has its size; "  # noqa: S108 - no file of ours
        "give it more room (a container: "
        "--shm-size), or lower message_memory and group_memory"
    ),
}

_SEGMENT: Final[dict[int, tuple[type[SegmentError], str]]] = {
    lib.ASHM_NO_SLOT: (
        NoFreeSlot,
        (
            f"{lib.ASHM_SLOTS} processes use the segment, and there is no room for more; stop "
            "some, or split them by prefix"
        ),
    ),
    lib.ASHM_CORRUPT: (
        SegmentCorrupt,
        (
            "the segment is damaged; stop its processes and call asgi_shm.unlink() with the "
            "prefix"
        ),
    ),
    lib.ASHM_LAYOUT: (
        SegmentLayoutMismatch,
        (
            "the segment was made by an incompatible build of asgi_shm; stop its processes and "
            "call asgi_shm.unlink() with the prefix, or choose another prefix"
        ),
    ),
    lib.ASHM_FOREIGN: (
        SegmentForeign,
        (
            "the shared-memory object of that name is no segment of asgi_shm; remove it if "
            "nothing needs it, or choose another prefix"
        ),
    ),
    lib.ASHM_REPLACED: (
        SegmentReplaced,
        "the segment is removed again and again while this process opens it",
    ),
}

_PRIVATE_FULL: Final = (
    "the system has no memory for the private segment; give it more (a container: its memory "
    "limit), or lower message_memory and group_memory"
)

_SYSTEM: Final = {
    # Named objects that are not there are made.
    errno.ENOENT: (
        "a private segment is reached through /proc, which this process does not see; mount "
        "it, or give the layer a prefix"
    ),
    errno.EMFILE: (
        "this process has no file descriptor left; allow it more (ulimit -n; systemd: "
        "LimitNOFILE), or find what leaves files open"
    ),
    errno.ENFILE: "the system has no file descriptor left (sysctl fs.file-max)",
    errno.ENOMEM: (
        "the system gives this process no memory to map the segment; allow it more (ulimit -v; "
        "systemd: LimitAS), or lower message_memory and group_memory"
    ),
}


def error(
    code: int,
    config: Config,
    *,
    channel: str | None = None,
    group: str | None = None,
    size: int = 0,
    capacity: int = 0,
) -> Exception:
    """Return the exception for a code, with what the caller knows of the circumstances."""
    where = f"prefix {config.prefix!r}"
    if code == errno.ENOSPC:
        code = lib.ASHM_SHM_FULL
    if code == lib.ASHM_FULL:
        return ChannelFull(
            f"channel {channel!r} is full: it holds its capacity of {capacity} unread "
            "messages. Read it faster, or raise capacity or channel_capacity"
        )
    if code == lib.ASHM_TOO_LARGE:
        return MessageTooLarge(
            f"the message has {size} bytes when serialized, and max_message_size allows "
            f"{config.max_message_size}"
        )
    if code == lib.ASHM_BAD_NAME:
        return _bad_name(channel, group)
    if code == lib.ASHM_NOT_OWNER:
        return NotOwner(
            f"channel {channel!r} was made by another process, or by one that is gone; only "
            "the process that got it from new_channel may receive on it"
        )
    if code == lib.ASHM_CLOSED:
        return LayerClosed("this layer was closed; make another one")
    if code == lib.ASHM_SHM_FULL and config.prefix is None:
        return MemoryFull(f"{where}: {_PRIVATE_FULL}")
    if code in FULL:
        return MemoryFull(f"{where}: {FULL[code]}")
    if code in _SEGMENT:
        kind, text = _SEGMENT[code]
        return kind(f"{where}: {text}")
    return _system_error(code, where)


def _bad_name(channel: str | None, group: str | None) -> InvalidName:
    problem = explain(group, "group") if group is not None else ""
    if not problem and channel is not None:
        problem = explain(channel, "channel")
    return InvalidName(problem or f"{channel or group!r} is not allowed as a name")


def _system_error(code: int, where: str) -> SegmentError:
    if code in (errno.EACCES, errno.EPERM):
        return SegmentPermission(
            f"{where}: this process may not use the segment of that prefix: "
            f"{os.strerror(code)}. Run it as the user who made the segment, or give both the "
            "same CONFIG with mode 0o660 and a common group"
        )
    if code in _SYSTEM:
        return SegmentError(f"{where}: {_SYSTEM[code]}")
    if code > 0:
        return SegmentError(f"{where}: {os.strerror(code)} (errno {code})")
    return SegmentError(f"{where}: unexpected code {code}")
