"""``top``: a segment as it goes on, on a terminal or in plain lines."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser, Namespace
from itertools import count
from pathlib import Path
from typing import Final

from asgi_shm.errors import SegmentNotFound
from asgi_shm.inspect import Observer

from .command import Command, Exit, missing_extra
from .keyboard import Keyboard
from .snapshot import Rates, Snapshot, take
from .status import HEADS, line
from .target import Target, resolve
from .text import note, say
from .view import View

__all__ = ["COMMANDS"]

# Channels and groups that are looked for: more than a screen has lines.
_FEW: Final = 100
_HEAD_EVERY: Final = 20
_SIZE: Final = (110, 32)


class _Eye:
    """Looks at the segment of a prefix, again and again; also when it was made anew."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._observer: Observer | None = target.observe()
        self._before: Snapshot | None = None

    def look(self) -> tuple[Snapshot, Rates]:
        """Return what is there now, and what went on since the last look."""
        if self._observer is None or not self._observer.is_current():
            self.close()
            self._observer = self._target.observe()
        now = take(self._observer, _FEW)
        rates = Rates.between(self._before or now, now)
        self._before = now
        return now, rates

    def close(self) -> None:
        """Forget the segment."""
        observer, self._observer, self._before = self._observer, None, None
        if observer is not None:
            observer.close()


def _lines(eye: _Eye, arguments: Namespace) -> int:
    """A line for each look, for what is no terminal."""
    eye.look()
    for number in count():
        if number == arguments.count:
            break
        time.sleep(arguments.interval)
        if number % _HEAD_EVERY == 0:
            say(HEADS)
        say(line(*eye.look()))
    return Exit.OK


def _screen(eye: _Eye, arguments: Namespace) -> int:
    try:
        from rich.console import Console  # noqa: PLC0415 - an extra
        from rich.live import Live  # noqa: PLC0415

        from .screen import draw  # noqa: PLC0415
    except ImportError:
        raise missing_extra("top", "rich", "cli", "or give --plain") from None
    view = View(interval=arguments.interval)
    console = Console()
    now, rates = eye.look()
    looks = 0
    with Keyboard() as keyboard, Live(console=console, screen=True, auto_refresh=False) as live:
        while not view.over and looks != arguments.count:
            live.update(draw(now, rates, view, console.height), refresh=True)
            again = time.monotonic() + view.interval
            while not view.over:
                keys = keyboard.pressed(again - time.monotonic())
                if keys is None:
                    view.over = True
                elif keys:
                    for key in keys:
                        view.press(key)
                    live.update(draw(now, rates, view, console.height), refresh=True)
                elif time.monotonic() >= again:
                    break
            looks += 1
            if not view.paused and not view.over:
                now, rates = eye.look()
    return Exit.OK


def _svg(eye: _Eye, arguments: Namespace) -> int:
    try:
        from .screen import picture  # noqa: PLC0415 - an extra
    except ImportError:
        raise missing_extra("a picture", "rich", "cli") from None
    eye.look()
    time.sleep(arguments.interval)
    arguments.svg.write_text(picture(*eye.look(), View(arguments.interval), *_SIZE))
    return Exit.OK


def _top(arguments: Namespace) -> int:
    eye = _Eye(resolve(arguments))
    try:
        if arguments.svg:
            return _svg(eye, arguments)
        if arguments.plain or not (sys.stdin.isatty() and sys.stdout.isatty()):
            return _lines(eye, arguments)
        return _screen(eye, arguments)
    except SegmentNotFound:
        note("the segment was removed")
        return Exit.NO_SEGMENT
    finally:
        eye.close()


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--interval",
        type=float,
        default=1.0,
        metavar="SECONDS",
        help="between two looks; default: %(default)s",
    )
    parser.add_argument("--count", type=int, default=-1, metavar="N", help="end after N looks")
    parser.add_argument("--plain", action="store_true", help="a line for each look")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="write a picture and end")


COMMANDS: Final = (
    Command(
        "top",
        "show a segment as it goes on: processes, channels, groups, memory, drops",
        _top,
        _arguments,
        (
            "asgi-shm top",
            "asgi-shm top --interval 10 --plain",
            "asgi-shm top --svg top.svg",
        ),
        "Keys: q quits, p pauses, s changes the order of the processes, r reverses it, / "
        "filters by a part of names and command lines (Enter ends, Escape clears), + and - "
        "change the interval. The screen needs rich: pip install 'asgi-shm[cli]'. A line for "
        "each look where the output is no terminal.",
    ),
)
