"""Starts and stops the second process of a two-process workload.

The two agree on where to send over the companion's standard input and output,
before anything is timed. The companion ends when its standard input is closed,
so it cannot outlive a measuring process that was killed.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any


class Companion:
    """The handle on a running ``benchmarks.echo`` process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    @classmethod
    def start(cls, kind: str, *arguments: Any) -> Companion:
        """Start an echo of ``kind`` on the same sort of event loop as the caller's."""
        loop = type(asyncio.get_running_loop()).__module__.partition(".")[0]
        order = json.dumps([loop, kind, *map(_plain, arguments)])
        return cls(
            subprocess.Popen(
                [sys.executable, "-m", "benchmarks.echo", order],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )

    def exchange(self, ours: str) -> str:
        """Tell the companion where to answer, and learn where it listens."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(ours + "\n")
        self._process.stdin.flush()
        theirs = self._process.stdout.readline().strip()
        if not theirs:
            raise RuntimeError(f"the second process ended: {self._process.wait()}")
        return theirs

    def stop(self) -> None:
        """Let the companion end and wait until it has."""
        try:
            self._process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value
