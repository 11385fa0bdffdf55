"""What ``doctor`` looks for on the machine: /dev/shm, systemd, what is left over in it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from asgi_shm import segment
from asgi_shm.config import Config

from .finding import Finding, Level
from .text import amount

__all__ = ["check"]

MOUNTS: Final = Path("/proc/self/mounts")
SYSTEMD: Final = Path("/run/systemd/system")
LOGIND: Final = ("/usr/lib/systemd", "/run/systemd", "/etc/systemd")
FIRST_LOGIN_UID: Final = 1000
# What Docker gives a container that is not told otherwise.
DOCKER_SIZE: Final = 64 * 1024 * 1024
# An object that is being made has its own name for much less than so many seconds.
MAKING: Final = 60.0

_MORE_ROOM: Final = (
    "give it more room (Docker: --shm-size=256m; Compose: shm_size: 256m; Kubernetes: an "
    "emptyDir with medium: Memory on /dev/shm; else: mount -o remount,size=1G /dev/shm), or "
    "lower message_memory and group_memory"
)


def _of_machine(level: Level, what: str, do: str) -> Finding:
    return Finding(level, "machine", what, do)


def check(found: list[segment.Found], site: dict[str, Any] | None) -> Iterator[Finding]:
    """Give what is wrong with the machine, for these segments and a site with these options."""
    yield from _mount()
    yield from _room(found, site)
    yield from _remove_ipc(found)
    yield from _versions(found)
    yield from _leftovers(found)


# -- /dev/shm ---------------------------------------------------------------------------


def _mount() -> Iterator[Finding]:
    mounts = [line.split()[1:4] for line in MOUNTS.read_text().splitlines()]
    here = [(kind, options) for place, kind, options in mounts if place == str(segment.SHM)]
    if not here:
        yield _of_machine(
            Level.WARNING,
            f"nothing is mounted on {segment.SHM}: segments lie on a disk",
            "mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs /dev/shm",
        )
        return
    kind, options = here[-1]
    if kind != "tmpfs":
        yield _of_machine(
            Level.WARNING,
            f"{segment.SHM} is of type {kind}, and asgi_shm is tested on tmpfs",
            "mount a tmpfs there",
        )
    if "ro" in options.split(","):
        yield _of_machine(
            Level.PROBLEM,
            f"{segment.SHM} is mounted read-only: no layer can be used",
            "mount -o remount,rw /dev/shm (a container: not read_only, or a tmpfs of its own)",
        )
    elif not os.access(segment.SHM, os.W_OK | os.X_OK):
        yield _of_machine(
            Level.PROBLEM,
            f"this user may not make anything in {segment.SHM}",
            "chmod 1777 /dev/shm",
        )


def _room(found: list[segment.Found], site: dict[str, Any] | None) -> Iterator[Finding]:
    status = os.statvfs(segment.SHM)
    total = status.f_frsize * status.f_blocks
    free = status.f_frsize * status.f_bavail
    if total == 0:  # a tmpfs without a limit
        return
    more = sum(max(0, one.size - one.used) for one in found)
    if site is not None:
        config = Config.from_options(**site)
        if config.prefix not in {one.prefix for one in found}:
            more += config.message_memory + config.group_memory
    if free < more:
        docker = ", which is Docker's default" if total == DOCKER_SIZE else ""
        yield _of_machine(
            Level.WARNING,
            f"{segment.SHM} has {amount(free)} of {amount(total)} free{docker}, and the "
            f"segments may come to take {amount(more)} more: that ends in MemoryFull",
            _MORE_ROOM,
        )


# -- systemd ----------------------------------------------------------------------------


def _remove_ipc(found: list[segment.Found]) -> Iterator[Finding]:
    """systemd-logind removes what a user has in /dev/shm at the end of the last session."""
    if not SYSTEMD.exists() or not _logind_removes():
        return
    people = sorted({one.owner for one in found if _uid(one) >= FIRST_LOGIN_UID})
    if people:
        yield _of_machine(
            Level.WARNING,
            "systemd removes the segments of "
            f"{', '.join(people)} when the last session of that user ends (RemoveIPC=yes)",
            "run the site as a system user, or set RemoveIPC=no in /etc/systemd/logind.conf "
            "and restart systemd-logind",
        )


def _uid(found: segment.Found) -> int:
    try:
        return found.path.stat().st_uid
    except OSError:
        return 0


def _logind_removes() -> bool:
    value = "yes"
    for file in _logind_files():
        for setting in re.findall(r"(?m)^\s*RemoveIPC\s*=\s*(\S*)", file.read_text()):
            value = setting or "yes"
    return value.lower() in ("yes", "true", "on", "1")


def _logind_files() -> list[Path]:
    """The configuration, in the order in which later files win."""
    main = [Path(place) / "logind.conf" for place in LOGIND]
    dropped = [file for place in LOGIND for file in Path(place).glob("logind.conf.d/*.conf")]
    files = [*main[-1:], *sorted(dropped, key=lambda file: file.name)]
    if not main[-1].exists():
        files = [*main[:1], *files]
    return [file for file in files if file.exists()]


# -- several versions -------------------------------------------------------------------


def _versions(found: list[segment.Found]) -> Iterator[Finding]:
    versions: dict[str, list[int]] = {}
    for one in found:
        versions.setdefault(one.prefix, []).append(one.version)
    for prefix, of_prefix in versions.items():
        if len(of_prefix) > 1:
            yield Finding(
                Level.WARNING,
                prefix,
                f"there are segments of layout versions {of_prefix}: processes with different "
                "versions of asgi_shm do not hear each other",
                "restart the processes that run the old version; the old segment goes with "
                "asgi-shm unlink, which removes those of every version",
            )
        elif of_prefix != [segment.LAYOUT_VERSION]:
            yield Finding(
                Level.NOTE,
                prefix,
                f"the segment has layout version {of_prefix[0]}, and this asgi-shm sees into "
                f"version {segment.LAYOUT_VERSION}",
                "use the asgi-shm that is installed with the site",
            )


# -- left over --------------------------------------------------------------------------


def _leftovers(found: list[segment.Found]) -> Iterator[Finding]:
    names = {one.path.name for one in found}
    lost: dict[str, int] = {}
    for path in segment.SHM.iterdir():
        name, _, rest = path.name.removeprefix("sem.").partition(":")
        match = re.fullmatch(r"asgi_shm\.\d+\.([A-Za-z0-9._-]+)", name)
        if match is None or not rest or not _is_old(path):
            continue
        if name not in names:
            lost[match[1]] = lost.get(match[1], 0) + 1
        elif re.fullmatch(r"[0-9a-f]{8}", rest):
            yield Finding(
                Level.NOTE,
                match[1],
                f"{path} is left of a process that was killed as it made the segment",
                f"rm {path}",
            )
    for prefix, count in sorted(lost.items()):
        yield Finding(
            Level.NOTE,
            prefix,
            f"{count} objects are left of a segment that was removed by something else",
            f"asgi-shm unlink --prefix {prefix}",
        )


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > MAKING
    except OSError:
        return False
