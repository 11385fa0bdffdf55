"""``reap``, ``flush``, ``unlink``: clearing up."""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace
from typing import Final

from asgi_shm import segment
from asgi_shm.errors import SegmentError, SegmentNotFound
from asgi_shm.inspect import Observer
from asgi_shm.layer import ShmChannelLayer

from .command import Command, Exit, Failure, no_arguments
from .holders import holders
from .messages import with_layer
from .target import resolve
from .text import Progress, ask, say

__all__ = ["COMMANDS"]

# Seconds between two looks whether the dead are gone, and for how long.
_PAUSE: Final = 0.1
_PATIENCE: Final = 15.0


def _yes(parser: ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="do not ask")


# -- reap -------------------------------------------------------------------------------


def _dead(observer: Observer) -> int:
    return sum(not process.alive for process in observer.processes())


def _reap(arguments: Namespace) -> int:
    target = resolve(arguments)
    progress = Progress()
    with target.observe() as observer:
        before, dead = observer.totals(), _dead(observer)

        async def work(layer: ShmChannelLayer) -> int:
            attachment = layer._attachment  # noqa: SLF001 - what operators do, no API has
            limit = time.monotonic() + _PATIENCE
            while (left := _dead(observer)) and time.monotonic() < limit:
                progress.show(f"{left} gone processes to clear up after")
                attachment.tick()
                time.sleep(_PAUSE)  # noqa: ASYNC251 - nothing else runs in this loop
            progress.show("dropping what has expired")
            attachment.sweep()
            progress.end()
            return left

        left = with_layer(target.layer(), work)
        expired = observer.totals().counters["expired"] - before.counters["expired"]
    say(f"cleared up after {dead - left} gone processes, dropped {expired} expired messages")
    if left:
        raise Failure(
            f"{left} could not be: is a process stopped? (asgi-shm doctor)", Exit.FOUND
        )
    return Exit.OK


# -- flush ------------------------------------------------------------------------------


def _flush(arguments: Namespace) -> int:
    target = resolve(arguments, explicit=True)
    with target.observe() as observer:
        totals = observer.totals()
    layer = target.layer()
    ask(
        f"Drop {totals.pending} unread messages and {totals.members} memberships of prefix "
        f"{target.prefix!r}, which {totals.processes} processes use?",
        yes=arguments.yes,
    )

    async def work(layer: ShmChannelLayer) -> int:
        await layer.flush()
        return Exit.OK

    return with_layer(layer, work)


# -- unlink -----------------------------------------------------------------------------


def _attached(prefix: str) -> list[int]:
    """The processes that have a segment of the prefix open, by whichever way they are seen."""
    pids: set[int] = set()
    for found in segment.find():
        if found.prefix == prefix:
            pids |= set(holders(found.path))
    try:
        with Observer(prefix) as observer:
            pids |= {process.pid for process in observer.processes() if process.alive}
    except SegmentError:  # none, another build's, a damaged one: /proc has told
        pass
    return sorted(pids)


def _unlink(arguments: Namespace) -> int:
    target = resolve(arguments, explicit=True)
    found = [found for found in segment.find() if found.prefix == target.prefix]
    attached = _attached(target.prefix)
    if attached and not arguments.force:
        raise Failure(
            f"{len(attached)} processes use prefix {target.prefix!r} ({_few(attached)}); stop "
            "them first, or give --force: then what is in it is lost, and they make a new one",
            Exit.FOUND,
        )
    if found:
        ask(
            f"Remove the segment of prefix {target.prefix!r}, of {found[0].owner}, with what "
            "is in it?",
            yes=arguments.yes,
        )
    try:
        removed = segment.unlink(target.prefix)
    except PermissionError as error:
        raise Failure(f"it belongs to another user: {error}", Exit.PERMISSION) from None
    if not removed:
        raise SegmentNotFound(f"there is no segment of prefix {target.prefix!r}")
    return Exit.OK


def _few(pids: list[int]) -> str:
    shown = ", ".join(map(str, pids[:8]))
    return f"pid {shown}, ..." if len(pids) > 8 else f"pid {shown}"  # noqa: PLR2004


def _unlink_arguments(parser: ArgumentParser) -> None:
    _yes(parser)
    parser.add_argument("--force", action="store_true", help="even while processes use it")


COMMANDS: Final = (
    Command(
        "reap",
        "clear up after processes that are gone and drop what has expired, now",
        _reap,
        no_arguments,
        ("asgi-shm reap",),
        "Every process does that as it goes along; this is for a segment that nobody uses.",
    ),
    Command(
        "flush",
        "drop every message and every membership",
        _flush,
        _yes,
        ("asgi-shm flush --prefix mysite", "asgi-shm flush --prefix mysite --yes"),
        "Receivers wait on. Websockets stay open, but are in no group any more.",
    ),
    Command(
        "unlink",
        "remove a segment and all that belongs to it",
        _unlink,
        _unlink_arguments,
        ("asgi-shm unlink --prefix mysite", "asgi-shm unlink --prefix mysite --yes --force"),
        "Of every layout version. Refuses while processes use it.",
    ),
)
