"""Every exception that asgi_shm raises, and what each of them asks the reader to do.

::

    ChannelFull             the channel holds `capacity` unread messages
    └─ MemoryFull           a section of the segment, or /dev/shm, is full
    AsgiShmError
    ├─ MemoryFull
    ├─ MessageTooLarge      beyond `max_message_size`
    ├─ SerializationError   a value that no message can hold
    ├─ ConfigError          an option that is unknown or out of range
    ├─ InvalidName          a channel or group name that is not allowed
    ├─ NotOwner             receive on a channel of another process
    ├─ LayerClosed          use after close()
    └─ SegmentError         the segment cannot be used
       ├─ SegmentNotFound
       ├─ SegmentCorrupt
       ├─ SegmentLayoutMismatch
       ├─ SegmentForeign
       ├─ SegmentReplaced
       ├─ SegmentPermission
       ├─ NoFreeSlot
       └─ LockTimeout

Where Channels is installed, `ChannelFull` is its own class and `MessageTooLarge` derives from
its namesake there, so that code which catches those catches these.
"""

from __future__ import annotations

from reprlib import Repr
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:

    class ChannelFull(Exception):
        """The channel holds as many unread messages as its capacity allows.

        What was to be sent was not. Read faster, drop the message, try again later, or raise
        `capacity` or `channel_capacity`.
        """

    class _TooLarge(Exception):
        pass

else:
    try:
        from channels.exceptions import ChannelFull
        from channels.exceptions import MessageTooLarge as _TooLarge
    except ImportError:

        class ChannelFull(Exception):
            """The channel holds as many unread messages as its capacity allows."""

        class _TooLarge(Exception):
            pass


__all__ = [
    "AsgiShmError",
    "ChannelFull",
    "ConfigError",
    "InvalidName",
    "LayerClosed",
    "LockTimeout",
    "MemoryFull",
    "MessageTooLarge",
    "NoFreeSlot",
    "NotOwner",
    "SegmentCorrupt",
    "SegmentError",
    "SegmentForeign",
    "SegmentLayoutMismatch",
    "SegmentNotFound",
    "SegmentPermission",
    "SegmentReplaced",
    "SerializationError",
]


class AsgiShmError(Exception):
    """The base of every exception of this package, but for Channels' `ChannelFull`."""


class MemoryFull(ChannelFull, AsgiShmError):
    """No memory is left for a message, a channel or a membership.

    The message says what is full and what raises its limit: `message_memory`, `group_memory`,
    or the size of /dev/shm (`--shm-size` of a container). The layer works on: memory comes
    back as messages are read or expire.
    """


class MessageTooLarge(AsgiShmError, _TooLarge, ValueError):
    """A serialized message is larger than `max_message_size`. Send less, or raise it."""


class SerializationError(AsgiShmError, TypeError):
    """A message holds something that the channel layer specification does not allow in one.

    Convert that value before sending. Nothing was sent.
    """

    def __init__(self, path: str, problem: str) -> None:
        """Take where the value stands, like ``message['user']['when']``, and what is wrong."""
        super().__init__(path, problem)
        self.path = path
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


class ConfigError(AsgiShmError, ValueError):
    """An option in CONFIG is unknown, of the wrong type, or out of range."""

    def __init__(self, option: str, value: object, allowed: str) -> None:
        """Take the option's name, the value that was given, and what is allowed instead."""
        super().__init__(option, value, allowed)
        self.option = option
        self.value = value
        self.allowed = allowed

    def __str__(self) -> str:
        return f"{self.option}={_SHORT.repr(self.value)} is not allowed: {self.allowed}"


class InvalidName(AsgiShmError, TypeError):
    """A channel or group name has a wrong type, length or character; the message says which."""


class NotOwner(AsgiShmError, RuntimeError):
    """`receive` on a channel that another process got from `new_channel`.

    Only the process that made such a channel may read it; any process may send to it.
    """


class LayerClosed(AsgiShmError, RuntimeError):
    """The layer was closed. Make another one."""


class SegmentError(AsgiShmError):
    """The segment cannot be used; the subclasses say why, and what to do."""


class SegmentNotFound(SegmentError, LookupError):
    """There is nothing to look into: no process has used that prefix on this machine yet."""


class SegmentCorrupt(SegmentError):
    """An invariant of the segment does not hold: somebody else wrote into it, or a bug did.

    Stop the processes that use the prefix, call `asgi_shm.unlink(prefix)`, and start them.
    """


class SegmentLayoutMismatch(SegmentError):
    """The segment was formatted by a build of asgi_shm that is incompatible with this one.

    Use another prefix, or stop the other processes and call `asgi_shm.unlink(prefix)`.
    """


class SegmentForeign(SegmentError):
    """An object that is no segment of ours stands under the segment's name. It is left alone.

    Use another prefix, or remove the object if nothing else needs it.
    """


class SegmentReplaced(SegmentError):
    """The segment's name was removed, or leads to another object now."""


class SegmentPermission(SegmentError, PermissionError):
    """The segment belongs to another user, and its permissions keep this process out.

    Run as that user, or give both users a common group through `mode` and `group`.
    """


class NoFreeSlot(SegmentError):
    """As many processes as a segment can hold use it already. Stop some, or split by prefix."""


class LockTimeout(SegmentError, TimeoutError):
    """A living process holds a lock and does not go on, most likely because it is stopped.

    The message names it. Continue it (SIGCONT) or end it: its unfinished work is then undone.
    """

    # Of a group send: whom it has reached, and what sends to the others.
    reached: Any = None
    rest: Any = None


_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = 80
