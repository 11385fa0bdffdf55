"""The native calls that every message makes, without cffi in between: csrc/python/calls.c.

The functions of ashm.h take the address of a handle, and return its codes, 0 among them, where
they have nothing better:

- `send(handle, channel, body, expiry_ns, capacity)`
- `group_send(handle, group, body, expiry_ns)`; where a lock was not had, as bytes, the
  `ashm_reached` to go on with
- `take(handle, channel)`: a body, which is a bytearray if it is large, or None if there is none
- `wait(handle, channel, flags, cookie)`, which sets ASHM_WAIT: a body and whether this process
  goes on waiting for the channel, which is empty then; or None and whether the bell was rung
- `ready(handle, cookies)`, which appends to the list
- `arm(handle)`: whether something came meanwhile

`check(body)` returns a code of body.h.

`pack(message)` and `unpack(body)` are those of serializers.py, which tells
`serialize_with(packer, unpackb, pack_otherwise, unpack_otherwise)` how.

`forget()`: csrc/python/copies.h.

`Entry`, `Watch` and `Waiting` are bases of the classes of _receiver.py, and `Handles` of what
has its handle. These are the shortest ways through it, which csrc/python/waiting.h describes:

- `stand(waiting, channel, place)`: the message received; or a code; or, of an empty channel,
  None, where `place` has what to await, or has nothing; or whether the bell was rung meanwhile,
  where `place` has what to go on with
- `turn(waiting, place)`: the message received, and the place is empty; or whether the bell was
  rung, if known
- `step_out(waiting, place)`: nobody waits in the place, which is empty
- `wake(waiting, cookies, watch)`, which takes cookies off the list: how many
- `run(watch)`: the tasks of those that were woken so go on

A coroutine that waits for a channel awaits a `Future`: csrc/python/future.h.

TypeError, OverflowError, UnicodeEncodeError: the arguments are not what they should be.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from . import _ashm

if TYPE_CHECKING:
    import asyncio
    from collections import deque
    from collections.abc import Generator
    from contextvars import Context

__all__ = [
    "Entry",
    "Future",
    "Handles",
    "Waiting",
    "Watch",
    "arm",
    "check",
    "forget",
    "group_send",
    "pack",
    "ready",
    "run",
    "send",
    "serialize_with",
    "stand",
    "step_out",
    "take",
    "turn",
    "unpack",
    "wait",
    "wake",
]


def _load() -> Any:
    """Return the module of that name that is in the same object file as cffi's."""
    spec: Any = spec_from_file_location("asgi_shm._ashm.calls", _ashm.__file__)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_calls: Final = _load()

if TYPE_CHECKING:

    class Future:
        def __init__(self, loop: asyncio.AbstractEventLoop) -> None: ...
        def __await__(self) -> Generator[Any, None, None]: ...
        def get_loop(self) -> asyncio.AbstractEventLoop: ...
        def add_done_callback(
            self, callback: Callable[[Any], object], /, *, context: Context
        ) -> None: ...
        def cancel(self, msg: object = None) -> bool: ...
        def done(self) -> bool: ...
        def cancelled(self) -> bool: ...
        def result(self) -> None: ...
        def set_result(self, result: None, /) -> None: ...
        def set_exception(self, error: BaseException, /) -> None: ...

    Message: TypeAlias = dict[str, Any]
    Buffer: TypeAlias = bytes | bytearray | memoryview
    Place: TypeAlias = list[Any]  # where a coroutine waits: entry, watch, future; or empty

    class Entry:
        channel: str
        futures: list[Future]
        inside: set[Future]
        handed_over: set[Future]
        cookie: int
        missed: int
        quiet_since: int
        stay: int
        dropped: bool

    class Watch:
        loop: asyncio.AbstractEventLoop
        tick: asyncio.TimerHandle | None
        woken: deque[Future]
        inside: int
        arming: bool

    class Handles:
        address: int

    class Waiting:
        _handles: Handles
        _entries: dict[str, Any]
        _by_cookie: dict[int, Any]
        _watches: dict[asyncio.AbstractEventLoop, Any]
        _idle: set[Any]
        _closed: bool

else:
    Entry: Final = _calls.Entry
    Future: Final = _calls.Future
    Watch: Final = _calls.Watch
    Handles: Final = _calls.Handles
    Waiting: Final = _calls.Waiting

send: Final[Callable[[int, str, bytes, int, int], int]] = _calls.send
group_send: Final[Callable[[int, str, bytes, int], bytes | int]] = _calls.group_send
take: Final[Callable[[int, str], bytes | int | None]] = _calls.take
wait: Final[Callable[[int, str, int, int], tuple[bytes | None, bool] | int]] = _calls.wait
ready: Final[Callable[[int, list[int]], int]] = _calls.ready
arm: Final[Callable[[int], bool | int]] = _calls.arm
check: Final[Callable[[bytes], int]] = _calls.check
serialize_with: Final[
    Callable[
        [
            type,
            Callable[[Buffer], Any],
            Callable[[Message, bytes | Exception], bytes],
            Callable[[object], Message],
        ],
        None,
    ]
] = _calls.serialize_with
pack: Final[Callable[[Message], bytes]] = _calls.pack
unpack: Final[Callable[[Buffer], Message]] = _calls.unpack
forget: Final[Callable[[], None]] = _calls.forget
stand: Final[Callable[[Waiting, str, Place], Message | int | bool | None]] = _calls.stand
turn: Final[Callable[[Waiting, Place], Message | bool | None]] = _calls.turn
step_out: Final[Callable[[Waiting, Place], None]] = _calls.step_out
wake: Final[Callable[[Waiting, list[int], Watch], int]] = _calls.wake
run: Final[Callable[[Watch], None]] = _calls.run
