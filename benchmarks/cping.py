"""Compiles and runs `cping.c`."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from . import pinning
from .layers import Unsuitable

_SOURCE = Path(__file__).with_name("cping.c")
_PROGRAM = Path(__file__).with_name(".build") / "cping"
_TRIPS = 5_000


def round_trips_ns(place: int) -> list[int]:
    """Time round trips to a process at ``place``. Raises Unsuitable for want of a compiler."""
    if not _PROGRAM.exists() or _PROGRAM.stat().st_mtime < _SOURCE.stat().st_mtime:
        _compile()
    processors = [str(pinning.processor(one)) for one in (0, place)]
    done = subprocess.run(
        [str(_PROGRAM), *processors, str(_TRIPS)], capture_output=True, text=True, check=True
    )
    return list(map(int, done.stdout.split()))


def _compile() -> None:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise Unsuitable("there is no C compiler here")
    _PROGRAM.parent.mkdir(exist_ok=True)
    half_made = _PROGRAM.with_suffix(".new")
    subprocess.run([compiler, "-O2", "-o", str(half_made), str(_SOURCE)], check=True)
    half_made.replace(_PROGRAM)
