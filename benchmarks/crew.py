"""Starts, asks and stops the other processes of a workload.

Each runs ``benchmarks.companion`` in one of the `roles`. What is agreed with it goes
over its standard input and output as lines of JSON, never through the layer that is
measured. It ends when its standard input is closed, so it cannot outlive a measuring
process that was killed.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

from .layers import LayerSpec, Unsuitable

ANSWER_SECONDS = 60.0


class Companion:
    """The handle on one other process."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._stdin, self._stdout = process.stdin, process.stdout
        self._numbers = count()
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._unread = b""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._stdout.fileno(), self._readable)

    @classmethod
    def start(cls, role: str, spec: LayerSpec | None, *, place: int) -> Companion:
        """Start a process in ``role`` at ``place``, on our kind of event loop."""
        loop = type(asyncio.get_running_loop()).__module__.partition(".")[0]
        order = {
            "role": role,
            "loop": loop,
            "place": place,
            "layer": spec and [spec.backend, _plain(spec.config)],
        }
        return cls(
            subprocess.Popen(
                [sys.executable, "-m", "benchmarks.companion", json.dumps(order)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=Path(__file__).parent.parent,
            )
        )

    async def ask(self, command: str, **arguments: Any) -> Any:
        """Have a method of the role called, and give its answer."""
        number = next(self._numbers)
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._asked[number] = answer
        line = json.dumps([number, command, arguments]) + "\n"
        try:
            self._stdin.write(line.encode())
            self._stdin.flush()
            return await asyncio.wait_for(answer, ANSWER_SECONDS)
        except BrokenPipeError:
            raise RuntimeError("another process of the workload has ended") from None
        finally:
            del self._asked[number]

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def stop(self) -> None:
        """Let it end, and wait until it has."""
        self._loop.remove_reader(self._stdout.fileno())
        try:
            self._process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def _readable(self) -> None:
        data = os.read(self._stdout.fileno(), 65536)
        if not data:
            self._loop.remove_reader(self._stdout.fileno())
            for answer in self._asked.values():
                if not answer.done():
                    answer.set_exception(
                        RuntimeError("another process of the workload has ended")
                    )
            return
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            number, kind, value = json.loads(line)
            asked = self._asked.get(number)
            if asked is not None and not asked.done():
                _settle(asked, kind, value)


class Crew:
    """The other processes of one workload."""

    def __init__(self, spec: LayerSpec | None = None) -> None:
        self._spec = spec
        self._members: list[Companion] = []

    def start(self, role: str, *, place: int) -> Companion:
        """Start one more."""
        companion = Companion.start(role, self._spec, place=place)
        self._members.append(companion)
        return companion

    async def each(self, command: str) -> list[Any]:
        """Ask all of them the same."""
        return [await member.ask(command) for member in self._members]

    def stop(self) -> None:
        """Stop all of them."""
        while self._members:
            self._members.pop().stop()


def _settle(answer: asyncio.Future[Any], kind: str, value: Any) -> None:
    if kind == "result":
        answer.set_result(value)
    else:
        error = Unsuitable if kind == "unsuitable" else RuntimeError
        answer.set_exception(error(value))


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value
