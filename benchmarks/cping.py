"""Compiles and runs `cping.c` and `cturns.c`."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from . import pinning
from .layers import Unsuitable

_HERE = Path(__file__).parent
_TRIPS = 5_000
_TURN_NS = 15_000
"""How long each of two computes in a round trip: about as long as one with messages takes."""


def round_trips_ns(place: int) -> list[int]:
    """Time round trips to a process at ``place``. Raises Unsuitable for want of a compiler."""
    return _run("cping", place, _TRIPS)


def turns_ns(place: int) -> list[int]:
    """Time round trips to a process that looks for its turn. Raises Unsuitable, as above."""
    return _run("cturns", place, 4 * _TRIPS, _TURN_NS)


def _run(name: str, place: int, *arguments: int) -> list[int]:
    source, program = _HERE / f"{name}.c", _HERE / ".build" / name
    newest = max(one.stat().st_mtime for one in (source, _HERE / "processor.h"))
    if not program.exists() or program.stat().st_mtime < newest:
        _compile(source, program)
    processors = [pinning.processor(one) for one in (0, place)]
    command = [str(program), *map(str, [*processors, *arguments])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return list(map(int, done.stdout.split()))


def _compile(source: Path, program: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise Unsuitable("there is no C compiler here")
    program.parent.mkdir(exist_ok=True)
    half_made = program.with_suffix(".new")
    subprocess.run([compiler, "-O2", "-o", str(half_made), str(source)], check=True)
    half_made.replace(program)
