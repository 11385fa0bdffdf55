"""Puts the commands together into one tool, and turns errors into exit codes."""

from __future__ import annotations

import argparse
import os
import sys
import textwrap
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import Final

from asgi_shm.errors import (
    AsgiShmError,
    ChannelFull,
    ConfigError,
    InvalidName,
    SegmentNotFound,
    SegmentPermission,
    SerializationError,
)

from . import (
    cleanup,
    doctor,
    lists,
    messages,
    metrics,
    sizing,
    status,
    target,
    top,
    verify,
)
from .command import EXITS, Command, Exit, Failure, missing_extra
from .text import note, say

__all__ = ["COMMANDS", "add_commands", "main", "run"]


def _completion(arguments: Namespace) -> int:
    try:
        import shtab  # noqa: PLC0415 - an extra
    except ImportError:
        raise missing_extra("completion", "shtab", "cli") from None
    say(shtab.complete(parser(), arguments.shell).rstrip())
    return Exit.OK


def _completion_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh", "tcsh"))


COMMANDS: Final[tuple[Command, ...]] = (
    *top.COMMANDS,
    *status.COMMANDS,
    *lists.COMMANDS,
    *messages.COMMANDS,
    *verify.COMMANDS,
    *doctor.COMMANDS,
    *cleanup.COMMANDS,
    *metrics.COMMANDS,
    *sizing.COMMANDS,
    Command(
        "completion",
        "write what a shell needs to complete the commands",
        _completion,
        _completion_arguments,
        (
            "asgi-shm completion bash >~/.local/share/bash-completion/completions/asgi-shm",
            "asgi-shm completion zsh >~/.zfunc/_asgi-shm",
        ),
        "Needs shtab: pip install 'asgi-shm[cli]'.",
        of_segment=False,
    ),
)

_WIDTH: Final = 88
_NAME_WIDTH: Final = 16

_CODES: Final = (
    (SegmentNotFound, Exit.NO_SEGMENT),
    (SegmentPermission, Exit.PERMISSION),
    ((ConfigError, InvalidName, SerializationError), Exit.USAGE),
    ((AsgiShmError, ChannelFull, OSError), Exit.ERROR),
)


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Keeps lines as they are, and has room for the longest name of a command."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog)
        self._action_max_length = _NAME_WIDTH


def _exit_codes() -> str:
    lines = [f"  {code.value:3}  {meaning}" for code, meaning in EXITS.items()]
    return "\n".join(["exit codes:", *lines])


def _description(command: Command) -> str:
    text = f"{command.help[0].upper()}{command.help[1:]}. {command.details}"
    return textwrap.fill(text, _WIDTH)


def _examples(command: Command) -> str:
    return "\n".join(["examples:", *(f"  {example}" for example in command.examples)])


def add_commands(parser: ArgumentParser, *, bound: bool = False) -> None:
    """Make a parser that of the tool. `bound`: of a site whose settings are at hand."""
    parser.formatter_class = _Formatter
    parser.epilog = (
        "Without --prefix and --django a command is about the only segment of this machine.\n"
        "asgi-shm COMMAND --help has the options of a command, and examples.\n\n"
        f"{_exit_codes()}"
    )
    commands = parser.add_subparsers(metavar="COMMAND", dest="command", required=True)
    for command in COMMANDS:
        one = commands.add_parser(
            command.name,
            help=command.help,
            description=_description(command),
            epilog=_examples(command),
            formatter_class=_Formatter,
        )
        command.arguments(one)
        if command.of_segment:
            target.add_arguments(one, bound=bound)
        one.set_defaults(run=command.run)


def parser() -> ArgumentParser:
    """Return the parser of ``asgi-shm``."""
    tool = ArgumentParser(
        "asgi-shm",
        description="Look into the channel layers of this machine, and look after them.",
    )
    add_commands(tool)
    return tool


def run(arguments: Namespace) -> int:
    """Do what was parsed; return the exit code."""
    try:
        code: int = arguments.run(arguments)
    except Failure as failure:
        note(str(failure))
        return failure.code
    except BrokenPipeError:  # who reads has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except (AsgiShmError, ChannelFull, OSError) as error:
        note(str(error))
        return next(code for kinds, code in _CODES if isinstance(error, kinds))
    return code


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tool with these arguments, or those of the process; return the exit code."""
    return run(parser().parse_args(arguments))
