"""SyncShmChannelLayer: the blocking API, for scripts, cron jobs, task queues and threads.

It is the API that asgi_ipc had, over the same segment as the asynchronous layer: what one
sends the other receives. There is no event loop anywhere in it. "spec" below is the channel
layer specification, and where that knows asynchronous layers alone, the one of ASGI drafts
for Channels 1.
"""

from __future__ import annotations

import contextlib
import itertools
import string
import time
from collections.abc import Iterable
from functools import partial
from random import SystemRandom
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ._base import CLOSE_LIMIT, Delivery, LayerBase, check_timeout, delivery_of, random_part
from ._blocking import BlockingReceiver
from ._names import checked, encoded, refusal
from ._patience import Patience
from ._watching import GroupWatch
from .errors import ChannelFull, InvalidName, LockTimeout, MemoryFull
from .serializers import pack, unpack

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["IPCChannelLayer", "SyncShmChannelLayer"]

# Letters at the end of a name that is made after a pattern.
_LETTERS: Final = 12

_random: Final = SystemRandom()
_Result = TypeVar("_Result")


class SyncShmChannelLayer(LayerBase):
    """A channel layer in POSIX shared memory without an event loop.

    Its options are those of `ShmChannelLayer`: see `asgi_shm.config.Config`. Making a layer
    opens nothing; the segment is made or opened at the first call, but a private one
    (``prefix=None``) with the layer. Any thread may call anything, several may wait in
    `receive` at once, and a child of a fork uses it as its own. In a ``with`` statement it is
    closed at the end.

    Only `receive` and `send` wait, if they are told to. Where a process was stopped inside an
    operation every call may wait for it, up to `lock_timeout`, and then raises LockTimeout.

    Raises ConfigError for an option that is unknown or out of range; MemoryFull or SegmentError
    if a private segment cannot be made.
    """

    def __init__(self, **options: Any) -> None:
        """Take the options; none is required."""
        super().__init__(**options)
        self._receiver = BlockingReceiver(self._attachment, self.config.lock_timeout)
        self._turn = itertools.count()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _call(self, function: Callable[..., _Result], *arguments: Any) -> _Result:
        """Call, and again as long as a lock is not had and `lock_timeout` is not over."""
        try:
            return function(*arguments)
        except LockTimeout as refused:
            return self._again(refused, partial(function, *arguments))

    def _again(self, refused: LockTimeout, call: Callable[[], _Result]) -> _Result:
        return Patience(self.config.lock_timeout).insist(refused, call)

    # -- messages -----------------------------------------------------------------------

    def send(
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

        Spec: "send".
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
                self._send_when_there_is_room(send, channel, capacity, timeout)
            elif isinstance(refused, LockTimeout):
                self._again(refused, send)
            else:
                raise

    def _send_when_there_is_room(
        self, send: Callable[[], None], channel: str, capacity: int, seconds: float
    ) -> None:
        end = time.monotonic() + seconds
        while True:
            try:
                return self._call(send)
            except MemoryFull:  # noqa: PERF203 - it comes round seldom
                raise
            except ChannelFull:
                left = end - time.monotonic()
                if left <= 0:
                    raise
                self._call(self._receiver.wait_for_room, channel, capacity, left)

    def receive(
        self,
        channels: Iterable[str],
        block: bool = False,  # noqa: FBT001, FBT002 - asgi_ipc's signature
        timeout: float | None = None,
    ) -> tuple[str, dict[str, Any]] | tuple[None, None]:
        """Return the oldest message of one of the channels, and the channel's name.

        If there is none, return ``(None, None)``; with `block` wait for one, in the kernel,
        for `timeout` seconds or for ever. A name that ends at its ``!`` stands for all channels
        that begin with it; the one that the message was in is returned. Each call begins with
        another channel, so a busy one does not keep the others waiting.

        A signal's handler runs while it waits, and what it raises (KeyboardInterrupt) ends
        the wait. Raises NotOwner for a channel that another process got from `new_channel`;
        InvalidName; LayerClosed if another thread closes the layer.

        Spec: "receive".
        """
        if isinstance(channels, str):
            raise InvalidName(f"receive takes a list of channel names, not {channels!r} alone")
        names = list(channels)
        if not names:
            return None, None
        if timeout is not None:
            check_timeout(timeout)
            if not block:
                raise ValueError("a timeout makes sense with block=True alone")
        if (first := next(self._turn) % len(names)) != 0:
            names = names[first:] + names[:first]
        end = None if timeout is None else time.monotonic() + timeout
        for name in names:
            found = self._take(name)
            if found is not None:
                break
        else:
            if not block:
                return None, None
            left = None if end is None else max(0.0, end - time.monotonic())
            found = self._receiver.wait(names, left)
            if found is None:
                return None, None
        return found[0], unpack(found[1])

    def _take(self, name: str) -> tuple[str, bytes] | None:
        """Take from a channel, or from those of a prefix, without waiting for a message."""
        try:
            if name[-1:] == "!":
                return self._attachment.take_named(name)
            body = self._attachment.take(name)
        except LockTimeout as refused:
            return self._again(refused, partial(self._attachment.take_named, name))
        except InvalidName:
            raise
        except TypeError:  # it is no string
            raise refusal(name, "channel") from None
        return None if body is None else (name, body)

    def new_channel(self, pattern: str = "specific") -> str:
        """Return the name of a new channel.

        A `pattern` that ends with ``!`` or ``?`` is completed by random letters, and any
        process may receive on it (by the part up to the ``!``, too). Otherwise the name is as
        `ShmChannelLayer.new_channel` makes it, of a channel that only this process may receive
        on. Raises InvalidName if `pattern` cannot begin a channel name.

        Spec: "new_channel".
        """
        if encoded(pattern, "channel")[-1:] in {b"!", b"?"}:
            name = pattern + "".join(_random.choices(string.ascii_letters, k=_LETTERS))
            checked(name, "channel")
            return name
        return self._call(self._attachment.new_channel, pattern, random_part())

    # -- groups -------------------------------------------------------------------------

    def group_add(self, group: str, channel: str) -> None:
        """Add `channel` to `group`; if it is in it, its `group_expiry` begins anew.

        Raises InvalidName; MemoryFull.

        Spec: "group_add".
        """
        self._call(
            self._attachment.group_add,
            group,
            channel,
            self._group_expiry_ns,
            self.get_capacity(channel),
        )

    def group_discard(self, group: str, channel: str) -> None:
        """Remove `channel` from `group`, if it is in it. Raises InvalidName.

        Spec: "group_discard".
        """
        self._call(self._attachment.group_discard, group, channel)

    def discard_all(self, channel: str) -> None:
        """Remove `channel` from every group that it is in. Raises InvalidName."""
        self._call(self._attachment.discard_all, channel)

    def group_send(
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

        Spec: "send_group".
        """
        figures = self._attachment.new_report() if report else None
        try:
            self._group_send(group, message, expiry, exclude, figures)
        except LockTimeout as refused:
            self._again(refused, refused.rest)
        return delivery_of(figures)

    # As it was called before Channels 2.
    send_group = group_send

    def group_channels(self, group: str) -> list[str]:
        """Return the channels that are in `group` now, in no order. Raises InvalidName.

        Spec: "group_channels".
        """
        return self._call(self._attachment.group_channels, group)

    def group_count(self, group: str) -> int:
        """Return how many channels are in `group` now. Raises InvalidName."""
        return self._call(self._attachment.group_count, group)

    def watch_group(self, group: str) -> GroupWatch:
        """Return an iterator of the joins, leaves and deaths of members of `group`.

        Its events are those of `ShmChannelLayer.watch_group`, and what is said of them there
        holds here: it begins with a join for each channel that is in the group already, a
        consumer that is slow sees the difference in one, and it has no end. The thread waits
        in the kernel; a signal's handler runs meanwhile, and what it raises (KeyboardInterrupt)
        ends the wait. `GroupWatch.get` waits for a limited time.

        Raises InvalidName; the iterator raises LayerClosed and LockTimeout.
        """
        checked(group, "group")
        return GroupWatch(self._receiver, group)

    # -- figures ------------------------------------------------------------------------

    def channel_size(self, channel: str) -> int:
        """Return how many unread messages `channel` holds. Raises InvalidName."""
        return int(self.channel_statistics(channel)["messages_pending"])

    def channel_statistics(self, channel: str) -> dict[str, float]:
        """Return what is known of `channel`, as `ShmChannelLayer.channel_statistics` does.

        Raises InvalidName.

        Spec: "Statistics".
        """
        return self._call(self._channel_statistics, channel)

    def global_statistics(self) -> dict[str, float]:
        """Return what is known of the whole, as `ShmChannelLayer.global_statistics` does."""
        return self._call(self._global_statistics)

    # -- the whole ----------------------------------------------------------------------

    def flush(self) -> None:
        """Drop every message and every membership, of all processes. Receivers wait on.

        Spec: "flush".
        """
        self._call(self._attachment.flush)

    def close(self) -> None:
        """Detach from the segment; this process's own channels go. A second close does nothing.

        Threads that wait in `receive` raise LayerClosed, as does every later use. What other
        processes have in the segment stays, and so does the segment.
        """
        self._receiver.close()
        try:
            self._attachment.close()
        except LockTimeout as refused:
            with contextlib.suppress(LockTimeout):
                Patience(CLOSE_LIMIT).insist(refused, self._attachment.close)
        finally:
            self._attachment.abandon()


# The name that code for asgi_ipc knows.
IPCChannelLayer = SyncShmChannelLayer
