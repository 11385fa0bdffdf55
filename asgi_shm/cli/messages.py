"""``peek``, ``send``, ``group-send``, ``receive``: talking to a site from the shell."""

from __future__ import annotations

import asyncio
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Coroutine, Iterator
from itertools import islice
from typing import Any, Final

from asgi_shm.layer import ShmChannelLayer

from .command import Command, Exit, Failure
from .target import Target, resolve
from .text import amount, dump, duration, load, note, say

__all__ = ["COMMANDS", "with_layer"]

# Seconds: with none at all a message that is there would not be looked for.
_LEAST: Final = 0.001

_Work = Callable[[ShmChannelLayer], Coroutine[Any, Any, int]]


def with_layer(layer: ShmChannelLayer, work: _Work) -> int:
    """Do `work` with a layer, and close it."""

    async def run() -> int:
        try:
            return await work(layer)
        finally:
            await layer.close()

    return asyncio.run(run())


# -- looking ----------------------------------------------------------------------------


def _peek(arguments: Namespace) -> int:
    with resolve(arguments).observe() as observer:
        messages = observer.messages(arguments.channel)
        for message in islice(messages, arguments.limit or None):
            if arguments.json:
                say(
                    dump(
                        {
                            "size": message.size,
                            "age": message.age,
                            "expiry": message.expiry,
                            "message": message.content,
                        }
                    )
                )
            else:
                say(
                    f"{duration(message.age)} old, {amount(message.size)}, expires in "
                    f"{duration(message.expiry)}: {dump(message.content)}"
                )
        if next(messages, None) is not None:
            note("there are more; --limit 0 shows all")
    return Exit.OK


def _peek_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("channel", help="its full name")
    parser.add_argument(
        "--limit", type=int, default=20, metavar="N", help="0: all; default: %(default)s"
    )
    parser.add_argument("--json", action="store_true", help="for programs: a line for each")


# -- sending ----------------------------------------------------------------------------


def _given(arguments: Namespace) -> Iterator[dict[str, Any]]:
    """The message of the command line, or one of each line of standard input."""
    if arguments.message is not None:
        yield load(arguments.message)
        return
    for line in sys.stdin:
        if line.strip():
            yield load(line)


def _changes(arguments: Namespace, target: Target, channel: str | None) -> dict[str, Any]:
    """The options that sending goes by, where the site's are not known."""
    changes: dict[str, Any] = {}
    if arguments.expiry is not None:
        changes["expiry"] = arguments.expiry
    if channel is not None and target.options is None:
        # What a send says of a channel's capacity counts from then on.
        with target.observe() as observer:
            found = (seen.capacity for seen in observer.channels() if seen.name == channel)
            changes["capacity"] = next(found, 0) or 100
    return changes


def _send(arguments: Namespace) -> int:
    target = resolve(arguments)

    async def work(layer: ShmChannelLayer) -> int:
        for message in _given(arguments):
            await layer.send(arguments.channel, message)
        return Exit.OK

    return with_layer(target.layer(**_changes(arguments, target, arguments.channel)), work)


def _group_send(arguments: Namespace) -> int:
    target = resolve(arguments)

    async def work(layer: ShmChannelLayer) -> int:
        for message in _given(arguments):
            await layer.group_send(arguments.group, message)
        return Exit.OK

    with target.observe() as observer:
        if not any(group.name == arguments.group for group in observer.groups()):
            note(f"group {arguments.group!r} has no members: nobody will get it")
    return with_layer(target.layer(**_changes(arguments, target, None)), work)


def _message_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "message",
        nargs="?",
        help='JSON; a byte string is {"$bytes": "<base64>"}. Without: standard input, a '
        "message on each line",
    )
    parser.add_argument(
        "--expiry", type=float, metavar="SECONDS", help="default: the site's, or 60"
    )


def _send_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("channel", help="its full name")
    _message_arguments(parser)


def _group_send_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("group")
    _message_arguments(parser)


# -- receiving --------------------------------------------------------------------------


async def _receive_from(layer: ShmChannelLayer, channel: str, arguments: Namespace) -> int:
    loop = asyncio.get_running_loop()
    limit = None if arguments.timeout is None else loop.time() + arguments.timeout
    left = arguments.count
    while left != 0:
        rest = None if limit is None else max(_LEAST, limit - loop.time())
        try:
            message = await asyncio.wait_for(layer.receive(channel), rest)
        except asyncio.TimeoutError:
            return Exit.TIMEOUT
        say(dump(message))
        left -= 1
    return Exit.OK


def _receive(arguments: Namespace) -> int:
    if (arguments.channel is None) == (arguments.group is None):
        raise Failure("name a channel, or a group with --group", Exit.USAGE)

    async def work(layer: ShmChannelLayer) -> int:
        channel = arguments.channel
        if channel is None:
            channel = await layer.new_channel("cli")
            await layer.group_add(arguments.group, channel)
        return await _receive_from(layer, channel, arguments)

    return with_layer(resolve(arguments).layer(), work)


def _receive_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("channel", nargs="?", help="messages are taken: nobody else gets them")
    parser.add_argument(
        "--group", help="join this group and hear what is sent to it; its members get it, too"
    )
    parser.add_argument(
        "--count", type=int, default=1, metavar="N", help="-1: go on; default: %(default)s"
    )
    parser.add_argument(
        "--timeout", type=float, metavar="SECONDS", help="for all; default: none"
    )


COMMANDS: Final = (
    Command(
        "peek",
        "show the unread messages of a channel and leave them there",
        _peek,
        _peek_arguments,
        ("asgi-shm peek thumbnails", "asgi-shm peek thumbnails --json --limit 0"),
    ),
    Command(
        "send",
        "send a message to a channel",
        _send,
        _send_arguments,
        (
            """asgi-shm send thumbnails '{"type": "make", "id": 7}'""",
            "asgi-shm send thumbnails --django mysite.settings <messages.jsonl",
        ),
        "Goes by the capacity that the site (--django) or else the channel has.",
    ),
    Command(
        "group-send",
        "send a message to a group",
        _group_send,
        _group_send_arguments,
        ("""asgi-shm group-send chat_lobby '{"type": "chat.message", "text": "hi"}'""",),
    ),
    Command(
        "receive",
        "take messages out of a channel, or listen to a group",
        _receive,
        _receive_arguments,
        (
            "asgi-shm receive thumbnails --timeout 5",
            "asgi-shm receive --group chat_lobby --count -1",
        ),
        "Writes a message on each line, as JSON. It takes part as a process of its own, so it "
        "cannot receive on a channel that another process made with new_channel().",
    ),
)
