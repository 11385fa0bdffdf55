"""``doctor``: what is wrong here, and what to do about it."""

from __future__ import annotations

import contextlib
import platform
import shutil
import sys
import textwrap
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from asgi_shm import segment

from . import machine, patient, site
from .command import Command, Exit
from .finding import Finding, Level
from .text import say, show_json

__all__ = ["COMMANDS"]

_PACKAGES: Final = ("asgi-shm", "channels", "Django", "posix-ipc", "msgpack")
_NARROW: Final = 72


_PRIVATE: Final = Finding(
    Level.NOTE,
    "the site",
    "its layer has prefix=None: each process has a private segment, which only children forked "
    "from it reach, and nobody can look into from outside",
    "nothing, for unit tests and a runserver of one process; otherwise give it a prefix",
)


def _versions() -> dict[str, str]:
    versions = {
        "layout": str(segment.LAYOUT_VERSION),
        "Python": platform.python_version(),
        platform.system(): platform.release(),
        platform.libc_ver()[0] or "libc": platform.libc_ver()[1] or "unknown",
    }
    for package in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions


def _findings(arguments: Namespace) -> Iterator[Finding]:
    options = None
    if arguments.bound or arguments.django or arguments.layer:
        options = site.options(None if arguments.bound else arguments.django, arguments.layer)
    prefix = arguments.prefix
    if options is not None and options.get("prefix", "asgi") is None:
        yield _PRIVATE
        options = None
    if prefix is None and options is not None:
        prefix = options.get("prefix", "asgi")
    everything = segment.find()
    found = [one for one in everything if prefix in (None, one.prefix)]
    yield from machine.check(everything, options)
    for one in found:
        yield from patient.check(one, options)
    yield from patient.check_prefixes(everything)


def _doctor(arguments: Namespace) -> int:
    levels = list(Level)
    found = sorted(_findings(arguments), key=lambda finding: levels.index(finding.level))
    if arguments.json:
        show_json({"versions": _versions(), "findings": [one._asdict() for one in found]})
    else:
        say(", ".join(f"{name} {number}" for name, number in _versions().items()))
        for finding in found:
            _show(finding)
        if not found:
            say("nothing was found")
    wrong = any(finding.level is not Level.NOTE for finding in found)
    return Exit.FOUND if wrong else Exit.OK


def _show(finding: Finding) -> None:
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
    lines = (f"{finding.about}: {finding.what}", f"-> {finding.do}")
    head = f"{finding.level.value.upper():8} "
    for number, line in enumerate(lines):
        first = head if number == 0 else " " * len(head)
        say(
            textwrap.fill(
                line,
                max(width, _NARROW),
                initial_indent=first,
                subsequent_indent=" " * len(head),
                break_long_words=False,
                break_on_hyphens=False,
            )
        )


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for programs")


COMMANDS: Final = (
    Command(
        "doctor",
        "look for what is wrong, and say what to do about it",
        _doctor,
        _arguments,
        ("asgi-shm doctor", "asgi-shm doctor --django mysite.settings"),
        "With the machine (size and options of /dev/shm, RemoveIPC, several versions, what is "
        "left over) and with the segments (permissions, pid namespaces, stopped processes, "
        "memory, lost messages; with --django, options that differ). It only reads.",
    ),
)
