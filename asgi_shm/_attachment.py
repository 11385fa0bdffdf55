"""A process's attachment to a segment: the module that calls the native operations.

But for the shortest way of a receive, which is native as a whole: csrc/python/waiting.h.

Names and bodies go in, bodies come out, codes become exceptions. The segment is opened at the
first call, made if it does not exist, and opened anew when it was removed under our feet.
Any thread may call anything; after a fork the child is a process of its own, of which the
native module takes care.
"""

from __future__ import annotations

import errno
import os
import threading
import time
import weakref
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from . import segment
from ._ashm import ffi, lib
from ._calls import Handles as _Handles
from ._calls import arm as _arm
from ._calls import group_send as _group_send
from ._calls import ready as _ready
from ._calls import send as _send
from ._calls import take as _take
from ._calls import wait as _wait
from ._codes import FULL, error
from ._log import SeldomLogger, logger
from ._names import checked, encoded, refusal
from ._patience import HASTE_NS, PAUSE
from .errors import LayerClosed, LockTimeout, SegmentCorrupt, SegmentPermission

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .config import Config

__all__ = ["CHANGED", "NEVER", "OTHERS", "ROOM", "STAY", "TICK", "Attachment"]

OTHERS: Final[int] = lib.ASHM_OTHERS
STAY: Final[int] = lib.ASHM_STAY
NEVER: Final[int] = lib.ASHM_NEVER
ROOM: Final[int] = lib.ASHM_ROOM
CHANGED: Final[int] = lib.ASHM_CHANGED

_EMPTY: Final = lib.ASHM_EMPTY
_BUSY: Final = lib.ASHM_BUSY
_NOT_OPEN: Final = (lib.ASHM_CLOSED, lib.ASHM_REPLACED)
_BUFFER: Final = lib.ASHM_BUFFER
_REPLACED: Final = lib.ASHM_REPLACED

# Whoever waits looks after the segment this often, in seconds: dead processes are noticed,
# expired messages dropped, a turn that was lost or a bell that was not rung made good. The dead
# are to be gone within a second, of which this leaves MAINTAIN_INTERVAL of csrc/maintain.h, and
# as much again for the machine. It wakes a processor, which is most of what it costs.
TICK = 0.8
# A segment may be removed again while it is being opened; not for ever.
OPEN_ATTEMPTS: Final = 10
# After so many times `lock_timeout` no thread is inside a handle that was retired.
RETIREMENT: Final = 3
# Bodies up to this size need one call.
BUFFER_SIZE: Final = 65536

# The C library opens and closes named semaphores under a lock of its own. A child that is
# forked while another thread has it would wait for that thread for ever; so none is forked
# then. Reentrant: the garbage collector may close a handle while another is opened.
_no_fork: Final = threading.RLock()


def _address(handle: Any) -> int:
    return int(ffi.cast("uintptr_t", handle))


class _Buffer:
    """Where the native module writes a message that it gives out."""

    __slots__ = ("data", "out", "size", "view")

    def __init__(self, size: int) -> None:
        self.size = size
        self.data = ffi.new("char[]", size)
        self.view = ffi.buffer(self.data)
        self.out = ffi.new("ashm_received *")


class Handles(_Handles):
    """The native handles of an attachment.

    A handle that is not used any more is retired: it leaves its segment at once, but another
    thread may have read it and not yet begun its call, so it is closed some time later, or when
    the attachment is garbage.
    """

    def __init__(self) -> None:
        self.current: Any = ffi.NULL
        self.address = 0  # of the current one
        self.retired: list[tuple[float, Any]] = []  # when, handle

    def use(self, handle: Any) -> None:
        self.current = handle
        self.address = _address(handle)

    def leave(self) -> bool:
        """Give the slot back; False if a lock was not had, and it may be tried again."""
        handle = self.current
        if handle:
            if lib.ashm_leave(handle) != 0:
                return False
            self.retire()
        return True

    def retire(self) -> None:
        """Use the handle no more. A slot that was not given back others have to reap."""
        handle = self.current
        self.use(ffi.NULL)
        if handle:
            lib.ashm_abandon(handle)
            self.retired.append((time.monotonic(), handle))

    def close_retired(self, min_age: float) -> None:
        limit = time.monotonic() - min_age
        with _no_fork:
            while self.retired and self.retired[0][0] <= limit:
                lib.ashm_close(self.retired.pop(0)[1])

    def close(self) -> None:
        """For the finalizer: no thread has the attachment any more."""
        self.leave()
        self.retire()
        self.close_retired(0)


class Attachment:
    """An open segment, as this process sees it.

    `on_fork` is called in the child of a fork, `on_replaced` when the segment was replaced by
    another: in both cases what was said natively of waiting receivers is gone. `on_tick` is
    called whenever somebody who waits looks after the segment.
    """

    def __init__(self, config: Config) -> None:
        """Take the layer's configuration. Nothing is opened yet, if it is not private.

        A private segment is: children that are forked before it is used are to share it.

        An operation that has waited `HASTE_NS` for locks raises LockTimeout. It has then done
        nothing that doing it once more would double.
        """
        self._config = config
        self.handles = Handles()
        # Not at exit: a daemon thread may be inside, and the kernel knows who is gone.
        weakref.finalize(self, self.handles.close).atexit = False
        self._unsent = SeldomLogger()
        self._clock_ns = 0
        self._closed = False
        self._lost = False  # the segment was replaced, and its successor is not open yet
        self._buffers: list[_Buffer] = []  # that no thread uses now
        self._opening = threading.Lock()
        self.on_fork: Callable[[], None] = _do_nothing
        self.on_replaced: Callable[[], None] = _do_nothing
        self.on_tick: Callable[[], None] = _do_nothing
        _attachments.add(self)
        if config.prefix is None:
            self._open()

    # -- opening and closing ------------------------------------------------------------

    def _open(self) -> Any:
        with self._opening:
            if self._closed:
                raise LayerClosed("this layer was closed; make another one")
            if not self.handles.current:
                self.handles.use(self._open_or_make())
            replaced, self._lost = self._lost, False
        if replaced:
            self.on_replaced()
        return self.handles.current

    def _open_or_make(self) -> Any:
        for _ in range(OPEN_ATTEMPTS):
            segment.check_owner(self._config)
            handle = ffi.new("ashm **")
            with _no_fork:
                code = self._native_open(handle)
            if code == 0:
                self._check_sizes(handle[0])
                return handle[0]
            if self._config.prefix is None or code not in (errno.ENOENT, _REPLACED):
                raise self._error(code)
            try:
                with _no_fork:
                    segment.make(self._config)
            except FileNotFoundError:  # removed while it was made
                continue
            except OSError as refusal:
                if isinstance(refusal, SegmentPermission) or refusal.errno is None:
                    raise
                raise self._error(refusal.errno) from refusal
        raise self._error(_REPLACED)

    def _native_open(self, handle: Any) -> int:
        config = self._config
        name = ffi.NULL
        if config.prefix is not None:
            name = ffi.new("char[]", segment.object_name(config.prefix).encode())
        options = ffi.new("ashm_options *")
        options.name = name
        options.message_memory = config.message_memory
        options.group_memory = config.group_memory
        options.max_message_size = config.max_message_size
        options.lock_wait_ns = HASTE_NS
        ffi.memmove(options.random, os.urandom(32), 32)
        code: int = lib.ashm_open(options, handle)
        if code == 0 and self._clock_ns:
            lib.ashm_set_clock(handle[0], self._clock_ns)
        return code

    def _check_sizes(self, handle: Any) -> None:
        """The segment that exists wins; whoever finds it with other sizes says so."""
        config = self._config
        sizes = ffi.new("uint64_t[2]")
        lib.ashm_sizes(handle, sizes)
        wanted = (config.message_memory, config.group_memory)
        found = (sizes[0], sizes[1])
        if wanted != found:
            logger.warning(
                "the segment of prefix %r exists with message_memory=%d and group_memory=%d; "
                "this process asks for %d and %d, which has no effect until the segment is "
                "made anew (stop its processes and call asgi_shm.unlink(%r))",
                config.prefix,
                *found,
                *wanted,
                config.prefix,
            )

    def _lose(self, old: Any) -> None:
        """The segment has lost its name: go on with the one that has it now, or a new one."""
        with self._opening:
            if self.handles.current != old:
                return  # another thread was faster
            if self._config.prefix is None:
                logger.warning(
                    "the program has closed the descriptor of a private segment "
                    "(prefix=None), as daemons do; what was in it is lost, and this process "
                    "goes on alone with a new one"
                )
            else:
                logger.warning(
                    "the segment of prefix %r was removed while in use; what was in it is "
                    "lost, and this process goes on with a new one (systemd: RemoveIPC=no)",
                    self._config.prefix,
                )
            self.handles.leave()
            self.handles.retire()
            self._lost = True

    def _forked(self) -> None:
        """In the child of a fork: no other thread is there, and no lock is held for us."""
        self._opening = threading.Lock()
        self._buffers = []
        self.on_fork()

    def close(self) -> None:
        """Give the slot back, with this process's channels and memberships.

        Waits for calls of other threads to end; later ones raise LayerClosed. A second close
        does nothing. LockTimeout: it is closed, but what it had in the segment is there yet;
        close it again, or `abandon` that.
        """
        with self._opening:
            self._closed = True
            if not self.handles.leave():
                raise self._busy()

    def abandon(self) -> None:
        """Leave it to the other processes to give the slot back."""
        with self._opening:
            self.handles.retire()

    def _call(self, function: Any, *arguments: Any) -> int:
        """Call a native function; once more if the segment was not open, or was replaced."""
        handle = self.handles.current
        code: int = function(handle, *arguments)
        if code in _NOT_OPEN:
            code = function(self._open_after(code, handle), *arguments)
        return code

    def _open_after(self, code: int, handle: Any) -> Any:
        """Return a handle to use instead of one whose segment is not open, or was replaced."""
        if code == _REPLACED:
            self._lose(handle)
        return self._open()

    def _insist(self, function: Any, *arguments: Any) -> None:
        """Call what looks at the whole segment, which takes its time, whoever waits."""
        limit = time.monotonic() + self._config.lock_timeout
        while (code := self._call(function, *arguments)) == _BUSY and time.monotonic() < limit:
            time.sleep(PAUSE)
        if code:
            raise self._error(code)

    # -- messages -----------------------------------------------------------------------

    # The first three are where the time of a message goes: each makes its native call at once,
    # without a frame in between, and leaves what is unusual to the methods after them.

    def send(self, channel: str, body: bytes, expiry_ns: int, capacity: int) -> None:
        """Append a body to a channel that holds `capacity` of them."""
        address = self.handles.address
        try:
            code = _send(address, channel, body, expiry_ns, capacity)
        except (TypeError, UnicodeEncodeError):
            raise refusal(channel, "channel") from None
        if code:
            self._send_anew(code, address, channel, body, expiry_ns, capacity)

    def take(self, channel: str) -> bytes | None:
        """Take the oldest body of a channel, or return None. Whoever waits for it waits on."""
        address = self.handles.address
        try:
            found = _take(address, channel)
        except (TypeError, UnicodeEncodeError):
            raise refusal(channel, "channel") from None
        if isinstance(found, int):
            found = self._once_more(found, address, _take, channel)
            if isinstance(found, int):
                raise self._error(found, channel)
        return found

    def take_or_await(
        self, channel: str, cookie: int, flags: int = 0
    ) -> tuple[bytes | None, bool]:
        """Take the oldest body of a channel, or count as waiting for it.

        The channel's name is one that `take` has been called with. `ready` will give `cookie`
        when a message is there. Returns None and whether the bell was rung meanwhile: `ready`
        is then to be called at once. Or the body, and whether this process goes on waiting for
        the channel, which is empty then. It does with OTHERS, which says that other coroutines
        of this process wait, and may with STAY: where it keeps no message from anybody else.
        """
        address = self.handles.address
        found = _wait(address, channel, flags, cookie)
        if isinstance(found, int):
            found = self._once_more(found, address, _wait, channel, cookie, flags)
            if isinstance(found, int):
                raise self._error(found, channel)
        return found

    def _send_anew(  # noqa: PLR0917
        self, code: int, address: int, channel: str, body: bytes, expiry_ns: int, capacity: int
    ) -> None:
        """Send did not succeed at the first attempt: say why, or make the second."""
        code = self._once_more(code, address, _send, channel, body, expiry_ns, capacity)
        if code:
            raise self._error(code, channel, size=len(body), capacity=capacity)

    def _once_more(self, code: int, address: int, call: Any, *arguments: Any) -> Any:
        """Return `code`; or call again, if the segment was not open or was replaced."""
        if code not in _NOT_OPEN:
            return code
        handle = self._open_after(code, ffi.cast("ashm *", address))
        return call(_address(handle), *arguments)

    def take_named(self, channel: str) -> tuple[str, bytes] | None:
        """As `take`, with the full name of the channel that the body was in."""
        return self._receive_named(encoded(channel, "channel"), 0, 0)[0]

    def take_or_await_named(
        self, name: bytes, cookie: int, *, others: bool
    ) -> tuple[tuple[str, bytes] | None, bool]:
        """As `take_or_await`, with the full name of the channel that the body was in."""
        flags: int = lib.ASHM_WAIT | OTHERS if others else lib.ASHM_WAIT
        return self._receive_named(name, flags, cookie)

    def _receive_named(
        self, name: bytes, flags: int, cookie: int
    ) -> tuple[tuple[str, bytes] | None, bool]:
        try:
            buffer = self._buffers.pop()
        except IndexError:
            buffer = _Buffer(BUFFER_SIZE)
        while True:
            out = buffer.out
            code = self._call(
                lib.ashm_receive, name, len(name), flags, cookie, buffer.data, buffer.size, out
            )
            if code != _BUFFER:
                break
            buffer = _Buffer(out.length)
        found = None
        if code == 0:
            full = ffi.buffer(out.name, out.name_length)[:] if name[-1:] == b"!" else name
            found = (self._text(full), buffer.view[: out.length])
        rung = bool(code == _EMPTY and flags and out.more)
        if buffer.size == BUFFER_SIZE:
            self._buffers.append(buffer)
        if code not in (0, _EMPTY):
            raise self._error(code, name.decode())
        return found, rung

    def await_room(self, channel: str, capacity: int) -> tuple[bool, bool]:
        """Count as waiting for room in a channel if it holds `capacity` bodies or more.

        `ready` will give ROOM when it may have some: all who wait for room, in whatever
        channel, are then to try again. Returns whether it is full, and if so whether the bell
        was rung meanwhile.
        """
        name = encoded(channel, "channel")
        rung = ffi.new("int *")
        code = self._call(lib.ashm_await_room, name, len(name), capacity, rung)
        if code not in (0, lib.ASHM_FULL):
            raise self._error(code, channel)
        return code != 0, bool(rung[0])

    def unwait(self, channel: str) -> None:
        """Stop waiting for a channel; if this process had the turn it goes on to another."""
        name = channel.encode()
        code = self._call(lib.ashm_unwait, name, len(name))
        if code:
            raise self._error(code, channel)

    # -- the doorbell -------------------------------------------------------------------

    def bell(self) -> int:
        """Return the descriptor that becomes readable when `ready` has something."""
        descriptor = ffi.new("int *")
        code = self._call(lib.ashm_bell, descriptor)
        if code:
            raise self._error(code)
        return int(descriptor[0])

    def ready(self) -> tuple[list[int], LockTimeout | None]:
        """Disarm the bell and return the cookies of channels that have a message.

        With a LockTimeout these may not be all, and `ready` is to be called again, later.
        """
        found: list[int] = []
        address = self.handles.address
        code = _ready(address, found)
        if code == 0:
            return found, None
        code = self._once_more(code, address, _ready, found)
        if code == _BUSY:
            return found, self._busy()
        if code:
            raise self._error(code)
        return found, None

    def arm(self) -> bool:
        """Arm the bell; True if something came meanwhile: call `ready` instead of waiting."""
        address = self.handles.address
        rung = _arm(address)
        if not isinstance(rung, bool):
            rung = self._once_more(rung, address, _arm)
            if not isinstance(rung, bool):
                raise self._error(rung)
        return rung

    # -- groups -------------------------------------------------------------------------

    def group_add(self, group: str, channel: str, expiry_ns: int, capacity: int) -> None:
        """Add a channel to a group, or begin its membership's time anew."""
        g, c = encoded(group, "group"), encoded(channel, "channel")
        code = self._call(lib.ashm_group_add, g, len(g), c, len(c), expiry_ns, capacity)
        if code:
            raise self._error(code, channel, group=group)

    def group_discard(self, group: str, channel: str) -> None:
        """Remove a channel from a group, if it is in it."""
        g, c = encoded(group, "group"), encoded(channel, "channel")
        code = self._call(lib.ashm_group_discard, g, len(g), c, len(c))
        if code:
            raise self._error(code, channel, group=group)

    def group_send(self, group: str, body: bytes, expiry_ns: int) -> None:
        """Send a body to the members of a group; without memory it is dropped and logged.

        LockTimeout: some members may have got it; `group_send_but` sends to the others.
        """
        address = self.handles.address
        try:
            code = _group_send(address, group, body, expiry_ns)
        except (TypeError, UnicodeEncodeError):
            raise refusal(group, "group") from None
        if code:
            if isinstance(code, int):
                code = self._once_more(code, address, _group_send, group, body, expiry_ns)
            if isinstance(code, bytes):
                reached = self.new_reached()
                ffi.memmove(reached, code, len(code))
                raise self._busy(reached)
            self._check_group_send(code, group, body)

    def group_send_but(  # noqa: PLR0917
        self,
        group: str,
        body: bytes,
        expiry_ns: int,
        exclude: bytes,
        report: Any,
        reached: Any = None,
    ) -> None:
        """As `group_send`, but not to the channels in `exclude`, which are `packed`.

        To `report`, a `new_report` or None, it is added what became of the message. The
        LockTimeout of an earlier attempt has in `reached` whom that one has reached.
        """
        g = encoded(group, "group")
        reached = reached or self.new_reached()
        code = self._call(
            lib.ashm_group_send_but,
            g,
            len(g),
            body,
            len(body),
            expiry_ns,
            exclude,
            len(exclude),
            reached,
            report or ffi.NULL,
        )
        if code == _BUSY:
            raise self._busy(reached)
        self._check_group_send(code, group, body)

    def _check_group_send(self, code: int, group: str, body: bytes) -> None:
        if code in FULL:
            # "It cannot raise ChannelFull": the segment counts it, and the log says it.
            self._unsent.warning(
                "a message to group %r was dropped: %s", group, self._error(code)
            )
        elif code:
            raise self._error(code, group=group, size=len(body))

    @staticmethod
    def packed(channels: Iterable[str]) -> bytes:
        """Return names as `group_send` takes them. Raises InvalidName."""
        names = [checked(channel, "channel") for channel in channels]
        return b"".join(bytes([len(name)]) + name for name in names)

    @staticmethod
    def new_report() -> Any:
        """Return an `ashm_delivery`, all zero."""
        return ffi.new("ashm_delivery *")

    @staticmethod
    def new_reached() -> Any:
        """Return an `ashm_reached`: nobody."""
        return ffi.new("ashm_reached *")

    def discard_all(self, channel: str) -> None:
        """Remove a channel from every group."""
        name = encoded(channel, "channel")
        code = self._call(lib.ashm_discard_all, name, len(name))
        if code:
            raise self._error(code, channel)

    def group_channels(self, group: str) -> list[str]:
        """Return the channels in a group."""
        names: list[str] = []
        name = encoded(group, "group")
        room = ffi.new("size_t *", BUFFER_SIZE)
        buffer = ffi.new("char[]", BUFFER_SIZE)
        cursor, count = ffi.new("uint64_t *"), ffi.new("size_t *")
        while cursor[0] != NEVER:
            code = self._call(
                lib.ashm_group_members, name, len(name), cursor, buffer, room, count
            )
            if code == _BUFFER:
                buffer = ffi.new("char[]", room[0])
            elif code:
                raise self._error(code, group=group)
            else:
                names += map(self._text, _names_in(ffi.buffer(buffer), count[0]))
        return names

    def group_count(self, group: str) -> int:
        """Return how many channels are in a group."""
        found = 0
        name = encoded(group, "group")
        cursor, room, count = ffi.new("uint64_t *"), ffi.new("size_t *"), ffi.new("size_t *")
        while cursor[0] != NEVER:
            code = self._call(
                lib.ashm_group_members, name, len(name), cursor, ffi.NULL, room, count
            )
            if code:
                raise self._error(code, group=group)
            found += count[0]
        return found

    def watch(self, group: str) -> int:
        """Be told of changes to a group: return its bucket.

        `ready` gives CHANGED | bucket when a channel may have joined or left a group in it.
        """
        name = encoded(group, "group")
        bucket = ffi.new("uint32_t *")
        code = self._call(lib.ashm_watch, name, len(name), bucket)
        if code:
            raise self._error(code, group=group)
        return int(bucket[0])

    def unwatch(self, bucket: int) -> None:
        """Be told no more of changes to the groups in a bucket."""
        code = self._call(lib.ashm_unwatch, bucket)
        if code:
            raise self._error(code)

    def is_gone(self, channel: str) -> bool:
        """Tell whether a channel belongs to a process that is not attached any more."""
        name = encoded(channel, "channel")
        gone = ffi.new("int *")
        code = self._call(lib.ashm_is_gone, name, len(name), gone)
        if code:
            raise self._error(code, channel)
        return bool(gone[0])

    def ask_channel(self, channel: str) -> tuple[int, int, int, float]:
        """Return the unread messages of a channel, those sent, those refused; the oldest's age.

        The age is in seconds.
        """
        name = encoded(channel, "channel")
        found = ffi.new("ashm_channel *")
        code = self._call(lib.ashm_ask_channel, name, len(name), found)
        if code:
            raise self._error(code, channel)
        return found.pending, found.sent, found.full, found.age / 1e9

    # -- the whole ----------------------------------------------------------------------

    def new_channel(self, prefix: str, random: str) -> str:
        """Return a name with this process in it, for a channel of its own."""
        text = ffi.new("char[]", lib.ASHM_CLIENT_LENGTH)
        code = self._call(lib.ashm_client, text)
        if code:
            raise self._error(code)
        encoded(prefix, "channel")
        name = f"{prefix}.{ffi.buffer(text)[:].decode()}!{random}"
        checked(name, "channel")
        return name

    def flush(self) -> None:
        """Drop every message and membership."""
        code = self._call(lib.ashm_flush)
        if code:
            raise self._error(code)

    def tick(self) -> None:
        """Look after the segment: sweep, reap, notice that it was replaced."""
        if self.handles.retired:
            with self._opening:
                self.handles.close_retired(RETIREMENT * self._config.lock_timeout)
        code = self._call(lib.ashm_tick)
        if code:
            raise self._error(code)
        self.on_tick()

    def name(self) -> str:
        """Return what ashm_observe finds the segment by; of a private one, in this process."""
        return str(ffi.string(lib.ashm_name(self._open())).decode())

    def losses(self) -> SimpleNamespace:
        """Return ashm_losses: how many messages nobody got."""
        losses = ffi.new("ashm_losses *")
        code = self._call(lib.ashm_get_losses, losses)
        if code:
            raise self._error(code)
        return _figures(losses)

    def sweep(self) -> None:
        """Drop everything that has expired, at once."""
        self._insist(lib.ashm_sweep)

    def verify(self) -> None:
        """Check every invariant of the segment; SegmentCorrupt says which does not hold."""
        report = ffi.new("char[]", 256)
        try:
            self._insist(lib.ashm_verify, report, 256)
        except SegmentCorrupt:
            raise SegmentCorrupt(ffi.string(report).decode(errors="replace")) from None

    def info(self) -> SimpleNamespace:
        """Return the figures of ashm_info, by their names there."""
        info = ffi.new("ashm_info *")
        self._insist(lib.ashm_get_info, info)
        return _figures(info)

    def ask_all(self) -> SimpleNamespace:
        """As `info`, but like any operation it does not wait for long."""
        info = ffi.new("ashm_info *")
        code = self._call(lib.ashm_get_info, info)
        if code:
            raise self._error(code)
        return _figures(info)

    def set_clock(self, now_ns: int) -> None:
        """For tests: stand at `now_ns` on the segment's clock; 0: run again."""
        self._clock_ns = now_ns
        lib.ashm_set_clock(self._open(), now_ns)

    # -- errors -------------------------------------------------------------------------

    def _error(self, code: int, channel: str | None = None, **circumstances: Any) -> Exception:
        if code == lib.ASHM_BUSY:
            return self._busy()
        return error(code, self._config, channel=channel, **circumstances)

    def _text(self, name: bytes) -> str:
        """Return a name that stands in the segment; SegmentCorrupt if it can be none."""
        try:
            return name.decode("ascii")
        except UnicodeDecodeError:
            raise self._error(lib.ASHM_CORRUPT) from None

    def _busy(self, reached: Any = None) -> LockTimeout:
        pid, lock = ffi.new("int *"), ffi.new("char **")
        lib.ashm_blame(self.handles.current, pid, lock)
        who = f"process {pid[0]}" if pid[0] else "another process"
        what = f"the {ffi.string(lock[0]).decode()} lock" if lock[0] else "a lock"
        error = LockTimeout(
            f"{who} holds {what} of prefix {self._config.prefix!r} and does not go on; it is "
            "most likely stopped. Continue it (kill -CONT), or end it"
        )
        error.reached = reached
        return error


def _figures(struct: Any) -> SimpleNamespace:
    names = [name for name, _ in ffi.typeof(struct).item.fields]
    return SimpleNamespace(**{name: getattr(struct, name) for name in names})


def _names_in(packed: Any, count: int) -> Iterator[bytes]:
    """Each name is a byte with its length, and that many more."""
    at = 0
    for _ in range(count):
        end = at + 1 + packed[at][0]
        yield packed[at + 1 : end]
        at = end


# -- forks ------------------------------------------------------------------------------

_attachments: Final[weakref.WeakSet[Attachment]] = weakref.WeakSet()


def _do_nothing() -> None:
    pass


def _after_fork() -> None:
    for attachment in list(_attachments):
        attachment._forked()  # noqa: SLF001 - of this module


os.register_at_fork(after_in_child=_after_fork)
# Registered later, called earlier before a fork, and in the child after the above.
os.register_at_fork(
    before=_no_fork.acquire, after_in_parent=_no_fork.release, after_in_child=_no_fork.release
)
