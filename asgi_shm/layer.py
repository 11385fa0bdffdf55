"""ShmChannelLayer: the Channels API for asyncio over an attachment to a segment.

It follows the channel layer specification of Channels 4; "spec" below names its sections.
"""

from __future__ import annotations

import contextlib
import secrets
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

from ._attachment import NEVER, Attachment
from ._patience import HASTE_NS, Patience
from ._receiver import Receiver
from .capacity import CapacityRules
from .config import Config
from .errors import ChannelFull, LockTimeout, MessageTooLarge
from .serializers import pack, unpack

if TYPE_CHECKING:
    from collections.abc import Callable

    class BaseChannelLayer:
        """What Channels' class of this name is to a type checker: nothing to rely on."""

else:
    try:
        from channels.layers import BaseChannelLayer
    except ImportError:
        BaseChannelLayer = object

__all__ = ["ShmChannelLayer"]

# Of random bytes in the name of a new channel: 12 characters.
_RANDOM_BYTES = 9
# Seconds that a close tries to give back what the process has before others have to.
_CLOSE_LIMIT: Final = 1.0

_Result = TypeVar("_Result")


class ShmChannelLayer(BaseChannelLayer):
    """A channel layer in POSIX shared memory, for the processes of one machine.

    Its options are the entries of ``CONFIG``: see `asgi_shm.config.Config`. Making a layer
    opens nothing; the segment is made or opened at the first call.

    Any coroutine may run in any event loop and thread, and in a process that was forked since.
    Only `receive` waits for other processes' work. Where a process was stopped inside an
    operation every call may wait for it, up to `lock_timeout`, and then raises LockTimeout; the
    event loop runs on meanwhile.

    Raises ConfigError for an option that is unknown or out of range.
    """

    extensions: ClassVar[list[str]] = ["groups", "flush"]
    ChannelFull = ChannelFull
    MessageTooLarge = MessageTooLarge

    def __init__(self, **options: Any) -> None:
        """Take the options; none is required."""
        self.config = config = Config.from_options(**options)
        self.expiry: float = config.expiry
        self.group_expiry: float | None = config.group_expiry
        self.capacity: int = config.capacity
        self.channel_capacity = list(config.channel_capacity)
        self.get_capacity = CapacityRules(config.capacity, config.channel_capacity).capacity_for
        self._expiry_ns = _nanoseconds(config.expiry)
        self._group_expiry_ns = (
            NEVER if config.group_expiry is None else _nanoseconds(config.group_expiry)
        )
        self._attachment = Attachment(config, HASTE_NS)
        self._receiver = Receiver(self._attachment, config.lock_timeout)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(prefix={self.config.prefix!r})"

    async def _again(self, refused: LockTimeout, call: Callable[[], _Result]) -> _Result:
        """Make a call once more that did not get a lock, until it does or it is too late."""
        return await Patience(self.config.lock_timeout).call(refused, call)

    async def send(self, channel: str, message: dict[str, Any]) -> None:
        """Append `message` to `channel`. Does not wait for room.

        A message to a channel of a process that is gone is dropped. Raises ChannelFull if the
        channel holds its capacity of unread messages, or (MemoryFull) if no memory is left;
        MessageTooLarge; SerializationError if the message holds what the specification does not
        allow; InvalidName. In all these cases nothing was sent.

        Spec: "Specification Details", "Messages", "Capacity".
        """
        body = pack(message)
        capacity = self.get_capacity(channel)
        try:
            self._attachment.send(channel, body, self._expiry_ns, capacity)
        except LockTimeout as refused:
            send = partial(self._attachment.send, channel, body, self._expiry_ns, capacity)
            await self._again(refused, send)

    async def receive(self, channel: str) -> dict[str, Any]:
        """Return the oldest message of `channel`, waiting until there is one.

        A name that ends at its ``!`` stands for all channels that begin with it. A call that is
        cancelled, at any moment, has taken no message. Raises NotOwner on a channel that
        another process got from `new_channel`; InvalidName; LayerClosed.

        Spec: "Specification Details", "Channels".
        """
        try:
            body = self._attachment.take(channel)
        except LockTimeout as refused:
            body = await self._again(refused, partial(self._attachment.take, channel))
        if body is None:
            body = await self._receiver.wait(channel)
        return unpack(body)

    async def new_channel(self, prefix: str = "specific") -> str:
        """Return the name of a new channel that only this process may receive on.

        Raises InvalidName if `prefix` cannot begin a channel name.

        Spec: "Specification Details", "Channels".
        """
        make = partial(
            self._attachment.new_channel, prefix, secrets.token_urlsafe(_RANDOM_BYTES)
        )
        try:
            return make()
        except LockTimeout as refused:
            return await self._again(refused, make)

    async def group_add(self, group: str, channel: str) -> None:
        """Add `channel` to `group`; if it is in it, its `group_expiry` begins anew.

        Raises InvalidName; MemoryFull.

        Spec: "Groups", "Persistence".
        """
        capacity = self.get_capacity(channel)
        add = partial(
            self._attachment.group_add, group, channel, self._group_expiry_ns, capacity
        )
        try:
            add()
        except LockTimeout as refused:
            await self._again(refused, add)

    async def group_discard(self, group: str, channel: str) -> None:
        """Remove `channel` from `group`, if it is in it. Raises InvalidName.

        Spec: "Groups".
        """
        try:
            self._attachment.group_discard(group, channel)
        except LockTimeout as refused:
            discard = partial(self._attachment.group_discard, group, channel)
            await self._again(refused, discard)

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        """Send `message` to the channels that are in `group` now.

        A member that is full misses the message; if no memory is left, all do, and a warning
        is logged. Raises MessageTooLarge; SerializationError; InvalidName; or LockTimeout, and
        then some members may have got it.

        Spec: "Groups", "Capacity".
        """
        body = pack(message)
        try:
            self._attachment.group_send(group, body, self._expiry_ns)
        except LockTimeout as refused:
            send = partial(
                self._attachment.group_send, group, body, self._expiry_ns, refused.reached
            )
            await self._again(refused, send)

    async def flush(self) -> None:
        """Drop every message and every membership, of all processes. Receivers wait on.

        Spec: "Extensions", "Specification Details".
        """
        try:
            self._attachment.flush()
        except LockTimeout as refused:
            await self._again(refused, self._attachment.flush)

    async def close(self) -> None:
        """Detach from the segment; this process's own channels go. A second close does nothing.

        Receives that wait raise LayerClosed, as does every later use. What other processes have
        in the segment stays, and so does the segment.
        """
        self._receiver.close()
        try:
            self._attachment.close()
        except LockTimeout as refused:
            with contextlib.suppress(LockTimeout):
                await Patience(_CLOSE_LIMIT).call(refused, self._attachment.close)
        finally:
            self._attachment.abandon()


def _nanoseconds(seconds: float) -> int:
    return max(1, round(seconds * 1_000_000_000))
