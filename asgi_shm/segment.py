"""Names, makes, checks and removes the IPC objects of a prefix, through posix_ipc.

A prefix has one shared-memory object, ``/asgi_shm.<layout version>.<prefix>``; a fixed set of
named semaphores, ``<that>:0`` and on; and, for each process that waits, a FIFO that the native
module makes, ``/dev/shm/<that>:bell.<segment>.<slot>``. A prefix holds no colon, so the objects
of two prefixes never meet. What is in the segment this module does not know. A private segment
(``prefix=None``) has no objects with names, and nothing here is about it.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import re
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import posix_ipc

from ._ashm import lib
from .errors import SegmentNotFound, SegmentPermission

if TYPE_CHECKING:
    from .config import Config

__all__ = ["Found", "check_owner", "find", "make", "object_name", "object_path", "unlink"]

SHM: Final = Path("/dev/shm")  # noqa: S108 - where POSIX shared memory is on Linux
LAYOUT_VERSION: Final[int] = lib.ASHM_LAYOUT_VERSION
SEMAPHORES: Final[int] = lib.ASHM_SEMAPHORES

_NAME: Final = re.compile(r"asgi_shm\.(\d+)\.([A-Za-z0-9._-]+)")


class Found(NamedTuple):
    """A segment of this machine, as the file system shows it, whoever may open it."""

    prefix: str
    version: int  # of its layout: others than LAYOUT_VERSION another build opens
    path: Path
    size: int  # bytes, if all of it were in use
    used: int  # bytes that the file system has given for it
    made: float  # seconds since the epoch
    owner: str
    group: str
    mode: int


def object_name(prefix: str | None) -> str:
    """Return the name of a prefix's shared-memory object.

    Raises SegmentNotFound if it is None: nobody finds a private segment by a name.
    """
    if prefix is None:
        raise SegmentNotFound(
            "a private segment (prefix=None) has no name: only the process that made its "
            "layer, and children forked from that one, reach it. Give the layer a prefix"
        )
    return f"/asgi_shm.{LAYOUT_VERSION}.{prefix}"


def object_path(prefix: str | None) -> Path:
    """Return the file that this object is, whether it exists or not; raises as object_name."""
    return SHM / object_name(prefix)[1:]


def find() -> list[Found]:
    """Return the segments of this machine, of whatever layout version, by prefix."""
    found = []
    for path in SHM.iterdir():
        name = _NAME.fullmatch(path.name)
        if name:
            with contextlib.suppress(FileNotFoundError):
                found += _found(path, name[2], int(name[1]))
    return sorted(found)


def _found(path: Path, prefix: str, version: int) -> list[Found]:
    status = path.stat(follow_symlinks=False)
    if not stat.S_ISREG(status.st_mode):
        return []
    made = status.st_mtime
    # The segment's own time is that of its last growth; a semaphore does not grow.
    with contextlib.suppress(OSError):
        made = (SHM / f"sem.{path.name}:0").stat().st_mtime
    return [
        Found(
            prefix,
            version,
            path,
            status.st_size,
            status.st_blocks * 512,
            made,
            _user(status.st_uid),
            _group_name(status.st_gid),
            stat.S_IMODE(status.st_mode),
        )
    ]


def check_owner(config: Config) -> None:
    """Raise SegmentPermission if the segment is another user's and not meant to be shared.

    Shared means: this layer's `mode` lets others write, so do the object's permissions, and it
    is of this layer's `group` if one is given. A segment that does not exist is nobody's.
    """
    if config.prefix is None:
        return
    path = object_path(config.prefix)
    try:
        status = path.stat()
    except FileNotFoundError:
        return
    if status.st_uid == os.geteuid():
        return
    shared = config.mode & status.st_mode & 0o022
    if shared and (config.group is None or status.st_gid == _gid(config.group)):
        return
    raise _not_ours(path, status, config)


def _not_ours(path: Path, status: os.stat_result, config: Config) -> SegmentPermission:
    return SegmentPermission(
        f"the segment of prefix {config.prefix!r}, {path}, belongs to user "
        f"{_user(status.st_uid)} (mode {status.st_mode & 0o777:#o}, group "
        f"{_group_name(status.st_gid)}) and this process runs as {_user(os.geteuid())}. Run it "
        "as that user, give all processes the same CONFIG with mode 0o660 and a common group, "
        "or choose another prefix"
    )


def make(config: Config) -> None:
    """Make those objects of a prefix that do not exist, with `mode` and `group` of `config`.

    Another process may do the same at the same time. The segment is made last and empty, so
    that whoever finds it finds the semaphores too.

    Raises SegmentPermission if the system does not let this process make them; OSError for
    other refusals of the system, such as a /dev/shm that is full.
    """
    name = object_name(config.prefix)
    try:
        for number in range(SEMAPHORES):
            _make_semaphore(f"{name}:{number}", config)
        _make_memory(name, config)
    except posix_ipc.PermissionsError as error:
        raise SegmentPermission(
            f"this process may not make the IPC objects of prefix {config.prefix!r}: {error}"
        ) from error


def _make_memory(name: str, config: Config) -> None:
    new = f"{name}:{secrets.token_hex(4)}"
    posix_ipc.SharedMemory(new, posix_ipc.O_CREX, mode=config.mode).close_fd()
    _publish(SHM / new[1:], SHM / name[1:], config)


def _make_semaphore(name: str, config: Config) -> None:
    # The C library keeps a semaphore in a file of this name.
    path = SHM / f"sem.{name[1:]}"
    if path.exists():
        return
    new = f"{name}:{secrets.token_hex(4)}"
    posix_ipc.Semaphore(new, posix_ipc.O_CREX, mode=config.mode).close()
    _publish(SHM / f"sem.{new[1:]}", path, config)


def _publish(new: Path, path: Path, config: Config) -> None:
    """Give an object its name, unless there is one of that name by now.

    Only when its owner and mode are set: a maker that is killed, or refused, before leaves
    nothing that keeps other users out.
    """
    try:
        _permit(new, config)
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(new)
    finally:
        new.unlink(missing_ok=True)


def _permit(path: Path, config: Config) -> None:
    """Set owner and mode, whatever the umask was when the object was made."""
    if config.group is not None:
        try:
            os.chown(path, -1, _gid(config.group))
        except PermissionError:
            raise SegmentPermission(
                f"this process may not give the IPC objects of prefix {config.prefix!r} to "
                f"group {config.group!r}: it must be a member of that group"
            ) from None
    path.chmod(config.mode)


def unlink(prefix: str = "asgi") -> bool:
    """Remove every IPC object of a prefix, of whatever layout version; tell if there was one.

    Processes that are attached notice within a second, and make a new segment; what was in the
    old one is lost. Raises PermissionError, and removes nothing, if the segment is another
    user's. The FIFO of a process of another user is left to that process; one that was killed
    leaves it to root, and nobody looks at it any more.

    Raises SegmentNotFound if `prefix` is None: a private segment goes with its processes.
    """
    object_name(prefix)
    ours = re.compile(rf"(sem\.)?asgi_shm\.\d+\.{re.escape(prefix)}(:.*)?")
    found = [path for path in SHM.iterdir() if ours.fullmatch(path.name)]
    bells = [path for path in found if ":bell." in path.name]
    # The segment last: who notices that it is gone must not find the old semaphores.
    for path in sorted(set(found) - set(bells), key=lambda path: ":" not in path.name):
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
    for path in bells:
        with contextlib.suppress(FileNotFoundError, PermissionError):
            path.unlink()
    return bool(found)


def _gid(group: str | int) -> int:
    return group if isinstance(group, int) else grp.getgrnam(group).gr_gid


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
