"""``size``: how much memory a site needs. The figures are those of the README, Sizing."""

from __future__ import annotations

import math
from argparse import ArgumentParser, Namespace
from typing import Any, Final

from asgi_shm.config import MEMORY_MAX, MIB, OPTIONS

from .command import Command, Exit, Failure
from .text import amount, say

__all__ = ["COMMANDS", "group_memory", "message_memory"]

# Bytes of what lies in the memory for groups.
CHANNEL: Final = 132
WAITER: Final = 68
MEMBERSHIP: Final = 52
GROUP: Final = 68
PROCESS: Final = 28_000
# A channel holds two unread messages in its record; more need a ring.
INLINE: Final = 2
ENTRY: Final = 16
# A message has a head, and lies in a block or in pages.
HEAD: Final = 12
BLOCK_MIN, BLOCK_MAX, PAGE = 48, 2048, 4096


def message_memory(messages: int, size: int) -> int:
    """Return the bytes that so many unread messages of so many bytes take."""
    needed = size + HEAD
    if needed <= BLOCK_MIN:
        return messages * BLOCK_MIN
    if needed <= BLOCK_MAX:
        return messages * (1 << math.ceil(math.log2(needed)))
    return messages * PAGE * math.ceil(needed / PAGE)


def group_memory(sockets: int, groups_each: int, groups: int, processes: int) -> int:
    """Return the bytes that so many websockets take, with their groups and processes."""
    socket = CHANNEL + WAITER + groups_each * MEMBERSHIP
    # A group has a record in each process with members of it.
    return sockets * socket + groups * GROUP * processes + processes * PROCESS


def _rings(sockets: int, messages: int) -> int:
    """Return the bytes of the queues, if the messages are spread over the websockets."""
    each = math.ceil(messages / max(1, sockets))
    return 0 if each <= INLINE else sockets * max(64, ENTRY << math.ceil(math.log2(each)))


def _rounded(needed: float) -> int:
    size = max(MIB, math.ceil(needed / MIB) * MIB)
    if size > MEMORY_MAX:
        raise Failure(f"that is {amount(size)}, and {amount(MEMORY_MAX)} is the most")
    return size


def _size(arguments: Namespace) -> int:
    groups_need = group_memory(
        arguments.sockets, arguments.groups_each, arguments.groups, arguments.processes
    ) + _rings(arguments.sockets, arguments.messages)
    messages_need = message_memory(arguments.messages, arguments.message_size)
    sizes = {
        "message_memory": _rounded(messages_need * arguments.reserve),
        "group_memory": _rounded(groups_need * arguments.reserve),
    }
    needs = {"message_memory": messages_need, "group_memory": groups_need}
    for option, size in sizes.items():
        default: Any = OPTIONS[option].default
        enough = f"the default, {amount(default)}, is enough"
        remark = enough if size <= default else "above the default"
        say(f'"{option}": {size},  # {amount(needs[option])} x {arguments.reserve:g}; {remark}')
    say(f"# /dev/shm: {amount(sum(sizes.values()))} at most")
    return Exit.OK


def _arguments(parser: ArgumentParser) -> None:
    figures = (
        ("--sockets", 1000, "websockets at once, or channels in use"),
        ("--groups-each", 1, "groups that each is in"),
        ("--groups", 100, "groups in all"),
        ("--processes", 8, "processes"),
        ("--messages", 10_000, "unread messages at the worst time; one to a group counts once"),
        ("--message-size", 500, "bytes of a serialized message"),
    )
    for name, default, text in figures:
        parser.add_argument(
            name, type=int, default=default, metavar="N", help=f"{text}; default: %(default)s"
        )
    parser.add_argument(
        "--reserve",
        type=float,
        default=2,
        metavar="FACTOR",
        help="so many times what is needed; default: %(default)s",
    )


COMMANDS: Final = (
    Command(
        "size",
        "calculate message_memory and group_memory for a site",
        _size,
        _arguments,
        ("asgi-shm size --sockets 20000 --groups-each 3 --messages 100000 --message-size 300",),
        "Writes the two entries of CONFIG, and how large /dev/shm has to be.",
        of_segment=False,
    ),
)
