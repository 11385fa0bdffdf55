"""What a command is, how it ends, and how it says why it cannot go on."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

__all__ = ["Command", "Exit", "Failure", "missing_extra", "no_arguments"]


class Exit(IntEnum):
    """How the tool ends. `EXITS` says what each means."""

    OK = 0
    FOUND = 1
    USAGE = 2
    NO_SEGMENT = 3
    PERMISSION = 4
    ERROR = 5
    TIMEOUT = 6
    EXTRA = 7
    INTERRUPTED = 130


EXITS = {
    Exit.OK: "done; nothing wrong was found",
    Exit.FOUND: "verify or doctor found something wrong; or it was refused, or not confirmed",
    Exit.USAGE: "an argument or an option is wrong",
    Exit.NO_SEGMENT: "there is no such segment",
    Exit.PERMISSION: "this user may not do that with the segment",
    Exit.ERROR: "the operation failed: the channel or memory is full, a lock was not had, ...",
    Exit.TIMEOUT: "receive: the time was over before the messages were there",
    Exit.EXTRA: "something optional is not installed",
    Exit.INTERRUPTED: "interrupted",
}


@dataclass(frozen=True)
class Command:
    """A command: its one line of help, what it takes, and what it does."""

    name: str
    help: str
    run: Callable[[Namespace], int]
    arguments: Callable[[ArgumentParser], object]
    examples: tuple[str, ...]
    details: str = ""
    of_segment: bool = True  # takes --prefix and --django


def no_arguments(parser: ArgumentParser) -> None:
    """Add none: for a command that takes the segment alone."""
    del parser


class Failure(Exception):
    """The command ends with this text on standard error, and this code."""

    def __init__(self, text: str, code: Exit = Exit.ERROR) -> None:
        super().__init__(text)
        self.code = code


def missing_extra(what: str, package: str, extra: str, otherwise: str = "") -> Failure:
    """Return the failure of a command that needs a package which is not there."""
    text = f"{what} needs {package}: pip install 'asgi-shm[{extra}]'"
    return Failure(f"{text}; {otherwise}" if otherwise else text, Exit.EXTRA)
