"""``verify``: whether every invariant of a segment holds."""

from __future__ import annotations

import time
from argparse import Namespace
from typing import Final

from asgi_shm.errors import SegmentCorrupt
from asgi_shm.inspect import Observer

from .command import Command, Exit, no_arguments
from .target import Target, resolve
from .text import Progress, note, say

__all__ = ["COMMANDS", "problem"]


def problem(target: Target) -> tuple[str, bool]:
    """Say what is wrong with a segment, or ""; and whether all of it could be checked."""
    progress = Progress()
    progress.show("checking")
    try:
        if target.may_write():
            return _check(target), True
        with target.observe() as observer:
            return _read(observer, progress), False
    except SegmentCorrupt as error:
        return str(error), True
    finally:
        progress.end()


def _check(target: Target) -> str:
    layer = target.layer()
    attachment = layer._attachment  # noqa: SLF001 - no public API has this
    try:
        attachment.verify()
    except SegmentCorrupt as error:
        return str(error)
    finally:
        attachment.close()
    return ""


def _read(observer: Observer, progress: Progress) -> str:
    """Read whatever can be read; what is damaged is an error."""
    observer.totals()
    observer.processes()
    names = [channel.name for channel in observer.channels() if channel.pending]
    for _ in observer.members():
        pass
    for done, name in enumerate(names):
        progress.show(f"{done} of {len(names)} channels")
        for message in observer.messages(name):
            _ = message.content
    return ""


def _verify(arguments: Namespace) -> int:
    target = resolve(arguments)
    begin = time.monotonic()
    with target.observe() as observer:
        totals, groups = observer.totals(), len(observer.groups())
    wrong, whole = problem(target)
    if not whole:
        note("this user may only read the segment: what can be read was, without the locks")
    if wrong:
        say(f"{target.prefix}: damaged: {wrong}")
        note("stop its processes and remove it: asgi-shm unlink; see docs/operations.md")
        return Exit.FOUND
    say(
        f"{target.prefix}: whole: {totals.processes} processes, {totals.channels} channels, "
        f"{groups} groups, {totals.members} members, {totals.pending} messages, "
        f"checked in {time.monotonic() - begin:.2f} s"
    )
    return Exit.OK


COMMANDS: Final = (
    Command(
        "verify",
        "check every invariant of a segment",
        _verify,
        no_arguments,
        ("asgi-shm verify", "asgi-shm verify --prefix mysite"),
        "Other processes wait meanwhile: for some milliseconds, or a second with millions of "
        "messages. Changes nothing.",
    ),
)
