"""The facts of the machine without which a figure means nothing."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from time import perf_counter_ns

PACKAGES = ("asgi_shm", "channels", "msgpack", "cffi", "uvloop", "asgiref", "django")
CLIENTS = ("redis", "hiredis", "nats-py", "carehare", "psycopg", "pyzmq")
"""What the peers talk to their servers by, where it is installed."""

_YARDSTICK_TURNS = 100_000


def facts() -> dict[str, str]:
    """Give what a reader needs in order to compare, as texts by name."""
    return {
        "when": datetime.now(timezone.utc).isoformat(timespec="minutes"),
        "processor": _processor(),
        "processors usable": str(len(os.sched_getaffinity(0))),
        "memory": f"{_memory_bytes() / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "C library": " ".join(platform.libc_ver()),
        "python": (
            f"{platform.python_implementation()} {platform.python_version()},"
            f" built with {platform.python_compiler()}, {platform.python_build()[1]}"
        ),
        "packages": ", ".join(map(_version, PACKAGES)),
        "clients of servers": ", ".join(
            text for text in map(_version, CLIENTS) if not text.endswith("not installed")
        ),
        "source": _revision(),
        "load when begun": f"{os.getloadavg()[0]:.1f}",
    }


def yardstick_ns() -> int:
    """Time a fixed piece of work: where this differs, the machine was disturbed."""
    started = perf_counter_ns()
    total = 0
    for number in range(_YARDSTICK_TURNS):
        total += number & 3
    return perf_counter_ns() - started


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _version(package: str) -> str:
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return f"{package} not installed"


def _revision() -> str:
    """Name the commit that was measured, and whether the tree differed from it."""
    here = Path(__file__).parent
    try:
        return subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=here, capture_output=True, text=True, check=True,
        ).stdout.strip()  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return "not a git checkout"
