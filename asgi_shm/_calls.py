"""The native calls that every message makes, without cffi in between: csrc/python/calls.c.

The functions of ashm.h take the address of a handle, and return its codes, 0 among them, where
they have nothing better:

- `send(handle, channel, body, expiry_ns, capacity)`
- `group_send(handle, group, body, expiry_ns)`; where a lock was not had, as bytes, the
  `ashm_reached` to go on with
- `take(handle, channel)`: a body, or None if there is none
- `wait(handle, channel, flags, cookie)`, which sets ASHM_WAIT: a body and whether this process
  goes on waiting for the channel, which is empty then; or None and whether the bell was rung
- `ready(handle, cookies)`, which appends to the list
- `arm(handle)`: whether something came meanwhile

`check(body)` returns a code of body.h.

TypeError, OverflowError, UnicodeEncodeError: the arguments are not what they should be.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from typing import Any, Final

from . import _ashm

__all__ = ["arm", "check", "group_send", "ready", "send", "take", "wait"]


def _load() -> Any:
    """Return the module of that name that is in the same object file as cffi's."""
    spec: Any = spec_from_file_location("asgi_shm._ashm.calls", _ashm.__file__)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_calls: Final = _load()

send: Final[Callable[[int, str, bytes, int, int], int]] = _calls.send
group_send: Final[Callable[[int, str, bytes, int], bytes | int]] = _calls.group_send
take: Final[Callable[[int, str], bytes | int | None]] = _calls.take
wait: Final[Callable[[int, str, int, int], tuple[bytes | None, bool] | int]] = _calls.wait
ready: Final[Callable[[int, list[int]], int]] = _calls.ready
arm: Final[Callable[[int], bool | int]] = _calls.arm
check: Final[Callable[[bytes], int]] = _calls.check
