"""What ``doctor`` looks for in a segment: processes, memory, lost messages, options."""

from __future__ import annotations

import contextlib
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from asgi_shm import segment
from asgi_shm.config import Config
from asgi_shm.errors import AsgiShmError, SegmentPermission
from asgi_shm.inspect import Observer, Process

from .finding import Finding, Level
from .text import amount, duration

__all__ = ["check", "check_prefixes"]

PROC: Final = Path("/proc")
# From here on a warning: parts of memory, attached processes, seconds that nobody was there.
MUCH: Final = 0.9
MANY_PROCESSES: Final = 230
STALE: Final = 3600.0
# Channels that are named.
FEW: Final = 3


def check(found: segment.Found, site: dict[str, Any] | None) -> Iterator[Finding]:
    """Give what is wrong with a segment; `site` are the options that it should have."""
    if found.version != segment.LAYOUT_VERSION:
        return  # machine.py tells
    try:
        with Observer(found.prefix) as observer:
            yield from _inside(found, observer)
            if site is not None:
                yield from _options(found, observer, Config.from_options(**site))
    except SegmentPermission:
        yield Finding(
            Level.NOTE,
            found.prefix,
            f"it belongs to {found.owner} (mode {found.mode:o}), so this user cannot look in",
            f"sudo -u {found.owner} asgi-shm doctor, or give the site mode 0o640 and a group "
            "of those who may look",
        )
    except AsgiShmError as error:
        yield Finding(Level.PROBLEM, found.prefix, str(error), "see docs/operations.md")
    yield from _semaphores(found)


def _inside(found: segment.Found, observer: Observer) -> Iterator[Finding]:
    processes = observer.processes()
    yield from _who(found, processes)
    yield from _stopped(found.prefix, observer, processes)
    yield from _memory(found.prefix, observer)
    yield from _losses(found.prefix, observer)


# -- processes --------------------------------------------------------------------------


def _who(found: segment.Found, processes: list[Process]) -> Iterator[Finding]:
    dead = sum(not process.alive for process in processes)
    age = time.time() - found.made
    if dead < len(processes) and dead:
        yield Finding(
            Level.NOTE,
            found.prefix,
            f"{dead} processes are gone (ended or killed), and nobody has cleared up yet",
            f"nothing: others will; or, at once, asgi-shm reap --prefix {found.prefix}",
        )
    if dead == len(processes) and age > STALE:
        yield Finding(
            Level.NOTE,
            found.prefix,
            f"nobody uses it; it is {duration(age)} old and takes {amount(found.used)}",
            f"asgi-shm unlink --prefix {found.prefix}, if its site does not come back",
        )
    if len(processes) > MANY_PROCESSES:
        yield Finding(
            Level.WARNING,
            found.prefix,
            f"{len(processes)} layers are attached, and there is room for 256",
            "use one layer in a process, or split the site by prefix",
        )
    elsewhere = [process for process in processes if process.alive and not _is_ours(process)]
    if elsewhere:
        yield Finding(
            Level.NOTE,
            found.prefix,
            f"{len(elsewhere)} of its processes are in another pid namespace (a container): "
            "their pids mean nothing here",
            "nothing; to look at one, enter its container",
        )


def _is_ours(process: Process) -> bool:
    """Tell whether the pid means that process in this namespace, by its command line."""
    try:
        command = (PROC / str(process.pid) / "cmdline").read_bytes()
    except FileNotFoundError:
        return False
    except OSError:  # another user's, where those are hidden
        return True
    text = command.replace(b"\0", b" ").decode(errors="replace")
    # A process may have changed its title since, so the first word decides.
    return text.split(" ")[0] == process.command.split(" ")[0] or not process.command


def _stopped(prefix: str, observer: Observer, processes: list[Process]) -> Iterator[Finding]:
    stopped = {process.pid for process in processes if process.alive and _is_stopped(process)}
    for pid in sorted(stopped):
        holds = [lock for lock in observer.locks() if lock.pid == pid]
        locks = f" and holds the {holds[0].what} lock: others wait for it" if holds else ""
        yield Finding(
            Level.PROBLEM if holds else Level.WARNING,
            prefix,
            f"process {pid} is stopped{locks}; messages for it wait until they expire",
            f"kill -CONT {pid}, or kill -KILL {pid}: then others clear up after it",
        )


def _is_stopped(process: Process) -> bool:
    try:
        text = (PROC / str(process.pid) / "stat").read_text()
    except OSError:
        return False
    return _is_ours(process) and text.rpartition(") ")[2][:1] in ("T", "t")


# -- memory and messages ----------------------------------------------------------------


def _memory(prefix: str, observer: Observer) -> Iterator[Finding]:
    totals = observer.totals()
    parts = (
        ("message_memory", totals.messages_memory, "read faster, lower expiry, or raise"),
        ("group_memory", totals.groups_memory, "raise"),
    )
    for option, memory, do in parts:
        if memory.used > MUCH * memory.size:
            yield Finding(
                Level.WARNING,
                prefix,
                f"{amount(memory.used)} of {amount(memory.size)} of {option} are in use: "
                "what comes when it is full is MemoryFull",
                f"{do} {option} (asgi-shm size tells how much is needed), and make the segment "
                "anew",
            )


def _losses(prefix: str, observer: Observer) -> Iterator[Finding]:
    counters = observer.totals().counters
    channels = list(observer.channels())
    if counters["unsent"]:
        yield Finding(
            Level.PROBLEM,
            prefix,
            f"{counters['unsent']} messages to groups were dropped for want of memory",
            "raise message_memory, or the size of /dev/shm",
        )
    if counters["full"]:
        worst = sorted(channels, key=lambda channel: -channel.full)[:FEW]
        named = [f"{channel.name} ({channel.full})" for channel in worst if channel.full]
        yield Finding(
            Level.WARNING,
            prefix,
            f"{counters['full']} messages were refused or dropped because their channel was "
            f"full{': ' if named else ''}{', '.join(named)}",
            "read faster (more workers, less work in a consumer), or raise capacity or "
            "channel_capacity",
        )
    if counters["expired"]:
        oldest = sorted((c for c in channels if c.pending), key=lambda c: -c.age)[:FEW]
        waits = "".join(f"; {c.name} has one that is {duration(c.age)} old" for c in oldest)
        yield Finding(
            Level.WARNING,
            prefix,
            f"{counters['expired']} messages expired before anybody read them{waits}",
            "is the worker of that channel running? Else raise expiry",
        )


# -- options ----------------------------------------------------------------------------


def _options(found: segment.Found, observer: Observer, config: Config) -> Iterator[Finding]:
    totals = observer.totals()
    pairs = (
        ("message_memory", config.message_memory, totals.messages_memory.size),
        ("group_memory", config.group_memory, totals.groups_memory.size),
        ("mode", f"{config.mode:#o}", f"{found.mode:#o}"),
        ("group", config.group or found.group, found.group),
    )
    for option, wanted, there in pairs:
        if str(wanted) != str(there):
            yield Finding(
                Level.WARNING,
                found.prefix,
                f"the settings have {option}={wanted}, and the segment was made with {there}",
                f"stop the site, asgi-shm unlink --prefix {found.prefix}, and start it; or is "
                "there a process that has other settings?",
            )


def check_prefixes(found: list[segment.Found]) -> Iterator[Finding]:
    """Give the sites whose processes use several prefixes, and so do not hear each other."""
    places: dict[str, dict[str, str]] = {}
    for one in found:
        with contextlib.suppress(AsgiShmError), Observer(one.prefix) as observer:
            for process in observer.processes():
                if process.alive and _is_ours(process):
                    places.setdefault(_directory(process), {})[one.prefix] = process.command
    for place, prefixes in places.items():
        if place and len(prefixes) > 1:
            named = "; ".join(f"{prefix} by {command}" for prefix, command in prefixes.items())
            yield Finding(
                Level.NOTE,
                "machine",
                f"processes in {place} use {len(prefixes)} prefixes: {named}",
                "they do not hear each other; if they should, give them the same settings",
            )


def _directory(process: Process) -> str:
    try:
        return str((PROC / str(process.pid) / "cwd").readlink())
    except OSError:
        return ""


# -- permissions ------------------------------------------------------------------------


def _semaphores(found: segment.Found) -> Iterator[Finding]:
    missing = 0
    for number in range(segment.SEMAPHORES):
        path = segment.SHM / f"sem.{found.path.name}:{number}"
        try:
            status = path.stat()
        except FileNotFoundError:
            missing += 1
            continue
        if stat.S_IMODE(status.st_mode) != found.mode:
            yield Finding(
                Level.PROBLEM,
                found.prefix,
                f"{path} has mode {stat.S_IMODE(status.st_mode):o}, and the segment "
                f"{found.mode:o}: some who may open the one may not open the other",
                f"asgi-shm unlink --prefix {found.prefix}, and start the site anew",
            )
            return
    if missing:
        yield Finding(
            Level.PROBLEM,
            found.prefix,
            f"{missing} of its {segment.SEMAPHORES} semaphores are gone: nobody new can attach",
            f"stop its processes, asgi-shm unlink --prefix {found.prefix}, and start them",
        )
