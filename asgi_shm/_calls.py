"""The native calls that every message makes, without cffi in between: csrc/python/calls.c.

`send(handle, channel, body, expiry_ns, capacity)` returns a code of ashm.h, 0 among them.
`receive(handle, channel, flags, cookie)` returns a body; None if there is none; or a code, and
0 if the bell was rung while an empty channel was awaited. `check(body)` returns one of body.h.
The first two take the address of a handle. TypeError, OverflowError, UnicodeEncodeError: the
arguments are not what they should be.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from typing import Any, Final

from . import _ashm

__all__ = ["check", "receive", "send"]


def _load() -> Any:
    """Return the module of that name that is in the same object file as cffi's."""
    spec: Any = spec_from_file_location("asgi_shm._ashm.calls", _ashm.__file__)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_calls: Final = _load()

send: Final[Callable[[int, str, bytes, int, int], int]] = _calls.send
receive: Final[Callable[[int, str, int, int], bytes | int | None]] = _calls.receive
check: Final[Callable[[bytes], int]] = _calls.check
