"""ShmChannelLayer: the Channels API for asyncio over an attachment to a segment.

It follows the channel layer specification of Channels 4; "spec" below names its sections.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ._base import CLOSE_LIMIT, Delivery, LayerBase, check_timeout, delivery_of, random_part
from ._calls import stand, turn
from ._names import checked
from ._patience import Patience
from ._presence import GroupEvent, Roll
from ._receiver import GroupWatcher, Receiver
from .errors import ChannelFull, LockTimeout, MemoryFull
from .serializers import pack, unpack

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable

    from ._calls import Place

    class BaseChannelLayer:
        """What Channels' class of this name is to a type checker: nothing to rely on."""

else:
    try:
        from channels.layers import BaseChannelLayer
    except ImportError:
        BaseChannelLayer = object

__all__ = ["ShmChannelLayer"]


_Result = TypeVar("_Result")


class ShmChannelLayer(LayerBase, BaseChannelLayer):
    """A channel layer in POSIX shared memory, for the processes of one machine.

    Its options are the entries of ``CONFIG``: see `asgi_shm.config.Config`. Making a layer
    opens nothing; the segment is made or opened at the first call. A private one
    (``prefix=None``) is made with the layer, so that children which are forked then share it.

    Any coroutine may run in any event loop and thread, and in a process that was forked since.
    Only `receive` waits for other processes' work, and `send` if it is told to. Where a process
    was stopped inside an operation every call may wait for it, up to `lock_timeout`, and then
    raises LockTimeout; the event loop runs on meanwhile.

    Raises ConfigError for an option that is unknown or out of range; MemoryFull or SegmentError
    if a private segment cannot be made.
    """

    def __init__(self, **options: Any) -> None:
        """Take the options; none is required."""
        super().__init__(**options)
        self._receiver = Receiver(self._attachment, self.config.lock_timeout)

    async def _again(self, refused: LockTimeout, call: Callable[[], _Result]) -> _Result:
        """Make a call once more that did not get a lock, until it does or it is too late."""
        return await Patience(self.config.lock_timeout).call(refused, call)

    async def _call(self, function: Callable[..., _Result], *arguments: Any) -> _Result:
        try:
            return function(*arguments)
        except LockTimeout as refused:
            return await self._again(refused, partial(function, *arguments))

    async def send(
        self,
        channel: str,
        message: dict[str, Any],
        *,
        expiry: float | None = None,
        timeout: float | None = None,
    ) -> None:
        """Append `message` to `channel`.

        It lives for `expiry` seconds, or as the layer's option says. A full channel is
        ChannelFull at once, or with a `timeout` if it has no room for so many seconds: who
        waits for room is woken when there may be some, and it goes to whoever is first.
        A message to a channel of a process that is gone is dropped. Raises ChannelFull if the
        channel holds its capacity of unread messages, or, without waiting, MemoryFull (which is
        one) if no memory is left; MessageTooLarge; SerializationError if the message holds what
        the specification does not allow; InvalidName. In all these cases nothing was sent.

        Spec: "Specification Details", "Messages", "Capacity".
        """
        if timeout is not None:
            check_timeout(timeout)
        body = pack(message)
        capacity = self.get_capacity(channel)
        expiry_ns = self._expiry_ns if expiry is None else self._expiry_of(expiry)
        if self._drop_rate and self._drops():
            self._attachment.packed([channel])  # what is wrong with a name is said all the same
            return
        try:
            self._attachment.send(channel, body, expiry_ns, capacity)
        except (LockTimeout, ChannelFull) as refused:
            send = partial(self._attachment.send, channel, body, expiry_ns, capacity)
            if timeout is not None and not isinstance(refused, MemoryFull):
                await self._send_when_there_is_room(send, channel, capacity, timeout)
            elif isinstance(refused, LockTimeout):
                await self._again(refused, send)
            else:
                raise

    async def _send_when_there_is_room(
        self, send: Callable[[], None], channel: str, capacity: int, seconds: float
    ) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while True:
            try:
                await self._call(send)
            except MemoryFull:  # noqa: PERF203 - it comes round seldom
                raise
            except ChannelFull:
                left = end - loop.time()
                if left <= 0:
                    raise
                # Cancelled here: nothing was sent.
                await self._receiver.wait_for_room(channel, capacity, left)
            else:
                return

    async def receive(self, channel: str) -> dict[str, Any]:
        """Return the oldest message of `channel`, waiting until there is one.

        A name that ends at its ``!`` stands for all channels that begin with it. A call that is
        cancelled, at any moment, has taken no message. Raises NotOwner on a channel that
        another process got from `new_channel`; InvalidName; LayerClosed.

        Spec: "Specification Details", "Channels".
        """
        # In one piece, since a frame of Python's is a thirtieth of what a message to a waiting
        # coroutine costs; `_receiver` tells what is done here, where it does the same.
        receiver = self._receiver
        place: Place = []
        try:
            message = stand(receiver, channel, place)
            if place:
                if message is None:
                    await place[2]
                    message = turn(receiver, place)
                if message is None or isinstance(message, bool):
                    message = unpack(await receiver.go_on(place, rung=message is True))
        except BaseException:  # of a signal's handler, too, wherever it came from
            if place:
                receiver.leave(place)
            raise
        if type(message) is dict:
            return message
        body = None
        if message is not None:  # refused: this says why, or tries again
            body = await self._call(self._attachment.take, channel)
        if body is None:
            body = await receiver.wait(channel)
        return unpack(body)

    async def new_channel(self, prefix: str = "specific") -> str:
        """Return the name of a new channel that only this process may receive on.

        Raises InvalidName if `prefix` cannot begin a channel name.

        Spec: "Specification Details", "Channels".
        """
        return await self._call(self._attachment.new_channel, prefix, random_part())

    async def group_add(self, group: str, channel: str) -> None:
        """Add `channel` to `group`; if it is in it, its `group_expiry` begins anew.

        Raises InvalidName; MemoryFull.

        Spec: "Groups", "Persistence".
        """
        capacity = self.get_capacity(channel)
        expiry_ns = self._group_expiry_ns
        try:
            self._attachment.group_add(group, channel, expiry_ns, capacity)
        except LockTimeout as refused:
            add = partial(self._attachment.group_add, group, channel, expiry_ns, capacity)
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

    async def group_send(
        self,
        group: str,
        message: dict[str, Any],
        *,
        expiry: float | None = None,
        exclude: Iterable[str] = (),
        report: bool = False,
    ) -> Delivery | None:
        """Send `message` to the channels that are in `group` now, but for those in `exclude`.

        It lives for `expiry` seconds, or as the layer's option says. A member that is full
        misses the message; if no memory is left, all do, and a warning is logged. With
        `report` the message is delivered at once, and how many got and how many missed it is
        returned: a group_send without is cheaper, since each process delivers to its own
        channels. Raises MessageTooLarge; SerializationError; InvalidName; ConfigError; or
        LockTimeout, and then some members may have got it.

        Spec: "Groups", "Capacity".
        """
        figures = self._attachment.new_report() if report else None
        try:
            self._group_send(group, message, expiry, exclude, figures)
        except LockTimeout as refused:
            await self._again(refused, refused.rest)
        return delivery_of(figures)

    async def discard_all(self, channel: str) -> None:
        """Remove `channel` from every group that it is in. Raises InvalidName."""
        await self._call(self._attachment.discard_all, channel)

    async def group_channels(self, group: str) -> list[str]:
        """Return the channels that are in `group` now, in no order. Raises InvalidName."""
        return await self._call(self._attachment.group_channels, group)

    async def group_count(self, group: str) -> int:
        """Return how many channels are in `group` now. Raises InvalidName."""
        return await self._call(self._attachment.group_count, group)

    def watch_group(self, group: str) -> AsyncGenerator[GroupEvent, None]:
        """Return an iterator of the joins, leaves and deaths of members of `group`.

        They may be of any process. It begins with a join for each channel that is in the group
        already, and then waits for what comes; it has no end. A death is a leave of a channel
        that belonged to a process which is gone by then, killed or closed: one that was killed
        is found within a second. `first` marks a join to a group that was empty, `last` a leave
        that left it so.

        It compares who is in the group with who was when it looked last, and it looks when the
        group has changed and the next event is asked for. So nothing piles up for a consumer
        that is slow, which sees the difference in one: a channel that joined and left between
        two looks is not seen, nor is one that left and came back, and joins come before leaves,
        in no other order. The processes' members are looked at one process after another, not
        at one instant; when all is quiet the events add up to what `group_channels` returns.

        Cancelled, or closed with ``aclose()`` (``contextlib.aclosing`` does), it leaves nothing
        behind. Where the segment is replaced the members that were lost leave. Raises
        InvalidName; the iterator raises LayerClosed and LockTimeout.
        """
        checked(group, "group")
        return self._watch_group(group)

    async def _watch_group(self, group: str) -> AsyncGenerator[GroupEvent, None]:
        roll = Roll()
        watcher = GroupWatcher(group)
        try:
            while True:
                await self._receiver.wait_for_change(watcher)
                members = await self.group_channels(group)
                missing = roll.missing(members)
                dead = {
                    channel
                    for channel in missing
                    if await self._call(self._attachment.is_gone, channel)
                }
                for event in roll.update(members, missing, dead):
                    yield event
        finally:
            self._receiver.watchers.leave(watcher)

    async def channel_size(self, channel: str) -> int:
        """Return how many unread messages `channel` holds. Raises InvalidName."""
        statistics = await self.channel_statistics(channel)
        return int(statistics["messages_pending"])

    async def channel_statistics(self, channel: str) -> dict[str, float]:
        """Return what is known of `channel`, in all processes. Raises InvalidName.

        ``messages_count``: messages put into it; ``messages_pending``: unread ones;
        ``messages_max_age``: seconds that the oldest of these has waited;
        ``channel_full_count``: messages it was too full for. The two counts begin anew when
        nobody has used the channel for a while.

        Spec: "Statistics" of the ASGI drafts for channel layers.
        """
        return await self._call(self._channel_statistics, channel)

    async def global_statistics(self) -> dict[str, float]:
        """Return ``messages_count``, ``messages_pending``, ``channel_full_count`` of all.

        The two counts are from when the segment was made. It looks at every channel.
        """
        return await self._call(self._global_statistics)

    async def flush(self) -> None:
        """Drop every message and every membership, of all processes. Receivers wait on.

        Spec: "Extensions", "Specification Details".
        """
        await self._call(self._attachment.flush)

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
                await Patience(CLOSE_LIMIT).call(refused, self._attachment.close)
        finally:
            self._attachment.abandon()
