"""``ls``, ``channels``, ``groups``, ``processes``: what there is."""

from __future__ import annotations

import fnmatch
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from asgi_shm import segment
from asgi_shm.errors import AsgiShmError
from asgi_shm.inspect import Channel, Group, Observer, Process

from .command import Command, Exit
from .target import resolve
from .text import amount, duration, note, say, show_json, table

__all__ = ["COMMANDS"]

_Item = TypeVar("_Item")

_CHANNELS: Final[dict[str, Callable[[Channel], Any]]] = {
    "pending": lambda channel: -channel.pending,
    "name": lambda channel: channel.name,
    "age": lambda channel: -channel.age,
    "full": lambda channel: -channel.full,
    "sent": lambda channel: -channel.sent,
}
_GROUPS: Final[dict[str, Callable[[Group], Any]]] = {
    "members": lambda group: -group.members,
    "name": lambda group: group.name,
    "full": lambda group: -group.full,
}
_PROCESSES: Final[dict[str, Callable[[Process], Any]]] = {
    "slot": lambda process: process.slot,
    "pending": lambda process: -process.pending,
    "waiting": lambda process: -process.waiting,
    "age": lambda process: -process.age,
    "sends": lambda process: -process.counters["sends"],
    "receives": lambda process: -process.counters["receives"],
}


def _matches(name: str, pattern: str | None) -> bool:
    return pattern is None or fnmatch.fnmatchcase(name, pattern)


def _chosen(
    items: Iterable[_Item], arguments: Namespace, orders: dict[str, Callable[[_Item], Any]]
) -> list[_Item]:
    """Those that are asked for, in the order that is asked for."""
    return _first(sorted(items, key=orders[arguments.sort]), arguments)


def _first(found: list[_Item], arguments: Namespace) -> list[_Item]:
    """As many as are asked for; say how many are left out."""
    if arguments.limit and len(found) > arguments.limit:
        note(f"{len(found) - arguments.limit} more; --limit 0 shows all")
        found = found[: arguments.limit]
    return found


def _show(
    arguments: Namespace,
    found: list[_Item],
    titles: tuple[str, ...],
    row: Callable[[_Item], tuple[Any, ...]],
) -> int:
    """For a program, or as a table of the rows."""
    if arguments.json:
        show_json(found)
    else:
        say(table(titles, [row(item) for item in found]))
    return Exit.OK


def _list_arguments(parser: ArgumentParser, what: str, orders: Iterable[str]) -> None:
    first, *_ = orders
    parser.add_argument("pattern", nargs="?", help=f"a glob: only {what} that match")
    parser.add_argument(
        "--sort", choices=list(orders), default=first, help="default: %(default)s"
    )
    parser.add_argument(
        "--limit", type=int, default=100, metavar="N", help="0: all; default: %(default)s"
    )
    parser.add_argument("--json", action="store_true", help="for programs")


# -- segments ---------------------------------------------------------------------------


def _inside(found: segment.Found) -> tuple[int | None, str]:
    """How many processes are attached, and what else is to be said."""
    if found.version != segment.LAYOUT_VERSION:
        return None, f"layout {found.version}: for another build"
    try:
        with Observer(found.prefix) as observer:
            return sum(process.alive for process in observer.processes()), ""
    except AsgiShmError as error:
        return None, type(error).__name__
    except OSError as error:  # pragma: no cover - removed meanwhile
        return None, str(error)


def _ls(arguments: Namespace) -> int:
    rows = []
    for found in segment.find():
        if _matches(found.prefix, arguments.pattern):
            processes, remark = _inside(found)
            age = max(0.0, time.time() - found.made)
            rows.append({**found._asdict(), "processes": processes, "age": age, "note": remark})
    if arguments.json:
        show_json([{**row, "mode": f"{row['mode']:#o}"} for row in rows])
    elif not rows:
        note("no segment is here")
    else:
        say(
            table(
                ("prefix", "version", "size", "used", "processes", "age", "owner", "mode", ""),
                [
                    (
                        row["prefix"],
                        row["version"],
                        amount(row["size"]),
                        amount(row["used"]),
                        "-" if row["processes"] is None else row["processes"],
                        duration(row["age"]),
                        f"{row['owner']}:{row['group']}",
                        f"{row['mode']:o}",
                        row["note"],
                    )
                    for row in rows
                ],
            )
        )
    return Exit.OK


def _ls_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("pattern", nargs="?", help="a glob: only prefixes that match")
    parser.add_argument("--json", action="store_true", help="for programs")


# -- channels ---------------------------------------------------------------------------


def _channels(arguments: Namespace) -> int:
    with resolve(arguments).observe() as observer:
        found = _chosen(
            (
                channel
                for channel in observer.channels()
                if _matches(channel.name, arguments.pattern)
                and channel.pending >= arguments.pending
                and arguments.slot in (None, channel.slot)
                and (not arguments.full or channel.full or channel.pending == channel.capacity)
            ),
            arguments,
            _CHANNELS,
        )
    return _show(
        arguments,
        found,
        ("pending", "capacity", "oldest", "waiting", "sent", "full", "slot", "channel"),
        lambda channel: (
            channel.pending,
            channel.capacity or "-",
            duration(channel.age) if channel.pending else "-",
            channel.waiting,
            channel.sent,
            channel.full,
            "-" if channel.slot is None else channel.slot,
            channel.name,
        ),
    )


def _channels_arguments(parser: ArgumentParser) -> None:
    _list_arguments(parser, "channels", _CHANNELS)
    parser.add_argument(
        "--pending", type=int, default=0, metavar="N", help="with at least N unread messages"
    )
    parser.add_argument("--slot", type=int, metavar="N", help="of the process in this slot")
    parser.add_argument(
        "--full", action="store_true", help="that are full, or have been since they are in use"
    )


# -- groups -----------------------------------------------------------------------------


def _groups(arguments: Namespace) -> int:
    with resolve(arguments).observe() as observer:
        if arguments.members:
            return _members(observer, arguments)
        found = _chosen(
            (group for group in observer.groups() if _matches(group.name, arguments.pattern)),
            arguments,
            _GROUPS,
        )
    return _show(
        arguments,
        found,
        ("members", "processes", "full", "group"),
        lambda group: (group.members, len(group.slots), group.full, group.name),
    )


def _members(observer: Observer, arguments: Namespace) -> int:
    found = sorted(
        (member for member in observer.members() if _matches(member.group, arguments.pattern)),
        key=lambda member: (member.group, member.channel),
    )
    return _show(
        arguments,
        _first(found, arguments),
        ("expires in", "slot", "group", "channel"),
        lambda member: (
            duration(member.expiry),
            "-" if member.slot is None else member.slot,
            member.group,
            member.channel,
        ),
    )


def _groups_arguments(parser: ArgumentParser) -> None:
    _list_arguments(parser, "groups", _GROUPS)
    parser.add_argument("--members", action="store_true", help="list the members of each")


# -- processes --------------------------------------------------------------------------


def _processes(arguments: Namespace) -> int:
    with resolve(arguments).observe() as observer:
        found = _chosen(
            (
                process
                for process in observer.processes()
                if _matches(process.command, arguments.pattern)
                and not (arguments.dead and process.alive)
            ),
            arguments,
            _PROCESSES,
        )
    return _show(
        arguments,
        found,
        ("slot", "pid", "age", "waiting", "pending", "sends", "receives", "", "command"),
        lambda process: (
            process.slot,
            process.pid,
            duration(process.age),
            process.waiting,
            process.pending,
            process.counters["sends"] + process.counters["group_sends"],
            process.counters["receives"],
            "" if process.alive else "gone",
            process.command,
        ),
    )


def _processes_arguments(parser: ArgumentParser) -> None:
    _list_arguments(parser, "command lines", _PROCESSES)
    parser.add_argument(
        "--dead",
        action="store_true",
        help="that are gone and not cleared up after yet",
    )


COMMANDS: Final = (
    Command(
        "ls",
        "list the segments of this machine",
        _ls,
        _ls_arguments,
        ("asgi-shm ls", "asgi-shm ls 'mysite*'", "asgi-shm ls --json"),
        "Those of other users and of other builds as well. SIZE is what a segment may come to "
        "take, USED what it takes.",
        of_segment=False,
    ),
    Command(
        "channels",
        "list channels, the fullest first",
        _channels,
        _channels_arguments,
        ("asgi-shm channels", "asgi-shm channels 'specific.*' --pending 10 --sort age"),
        "SENT and FULL count since the channel is in use. A channel of a slot is one that only "
        "this process receives on.",
    ),
    Command(
        "groups",
        "list groups, the largest first, or their members",
        _groups,
        _groups_arguments,
        ("asgi-shm groups", "asgi-shm groups chat_lobby --members"),
    ),
    Command(
        "processes",
        "list the processes that are attached",
        _processes,
        _processes_arguments,
        ("asgi-shm processes", "asgi-shm processes '*runworker*'", "asgi-shm processes --dead"),
        "WAITING are channels that it waits for, PENDING unread messages in its own channels.",
    ),
)
