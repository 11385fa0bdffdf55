"""Starts and stops the second process of a two-process workload.

The two agree on where to send over the companion's standard input and output,
before anything is timed. The companion ends when its standard input is closed,
so it cannot outlive a measuring process that was killed.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from .layers import Unsuitable


class Companion:
    """The handle on a running ``benchmarks.echo`` process."""

    def __init__(self, process: subprocess.Popen[str], processors: set[int]) -> None:
        self._process = process
        self._processors = processors

    @classmethod
    def start(cls, kind: str, *arguments: Any, same_processor: bool) -> Companion:
        """Start an echo of ``kind`` on the same sort of event loop as the caller's.

        Until stop() both processes stay on one processor, or each on its own:
        left to the scheduler a run would get the one or the other by chance, and
        they differ more than layers do. Raises Unsuitable for want of a second.
        """
        processors = os.sched_getaffinity(0)
        ours = max(processors)
        theirs = ours if same_processor else min(processors)
        if ours == theirs and not same_processor:
            raise Unsuitable("there is only one processor to run on")
        loop = type(asyncio.get_running_loop()).__module__.partition(".")[0]
        order = json.dumps([loop, kind, *map(_plain, arguments)])
        os.sched_setaffinity(0, {theirs})  # inherited by the process started here
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.echo", order],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        os.sched_setaffinity(0, {ours})
        return cls(process, processors)

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
        os.sched_setaffinity(0, self._processors)


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value
