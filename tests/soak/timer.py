"""A timer of the kernel's that kills its process: wherever that is, and microseconds from now.

The signal is SIGKILL itself, so nothing of the process's stands between it and the end. A child
of a fork has no timer, since POSIX timers are not inherited.
"""

from __future__ import annotations

import ctypes
import signal
import time

_libc = ctypes.CDLL(None, use_errno=True)

SIGEV_SIGNAL = 0


class _SigEvent(ctypes.Structure):
    _fields_ = (
        ("value", ctypes.c_void_p),
        ("signal", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("rest", ctypes.c_char * 48),
    )


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", ctypes.c_long * 2), ("value", ctypes.c_long * 2))


class KillTimer:
    """Of the process that makes it."""

    def __init__(self) -> None:
        self._timer = ctypes.c_void_p()
        event = _SigEvent(signal=signal.SIGKILL, notify=SIGEV_SIGNAL)
        _check(
            _libc.timer_create(
                time.CLOCK_MONOTONIC, ctypes.byref(event), ctypes.byref(self._timer)
            )
        )

    def set(self, seconds: float) -> None:
        """Kill this process so far from now; 0: do not."""
        ns = round(seconds * 1e9)
        spec = _TimerSpec(value=(ns // 10**9, ns % 10**9))
        _check(_libc.timer_settime(self._timer, 0, ctypes.byref(spec), None))


def _check(code: int) -> None:
    if code != 0:
        raise OSError(ctypes.get_errno(), "a timer of the kernel's")
