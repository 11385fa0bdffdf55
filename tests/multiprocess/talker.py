"""A program that does what the lines of its input say: for processes in other namespaces.

A line is a JSON list: the name of a coroutine of the layer, or `module:function` for a peer's
work (see peer.py), and its arguments. What the work says is a line of its own; the last is
the result, or the name and the text of the error.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import select
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from asgi_shm import ShmChannelLayer, _receiver
from tests.support import NO_TICK, TIMEOUT, soon


class Talker:
    """The test's end: starts the program behind another one, such as unshare."""

    def __init__(self, launcher: list[str], prefix: str, **options: Any) -> None:
        arguments = [sys.executable, "-m", "tests.multiprocess.talker"]
        options["prefix"] = prefix
        self._process = subprocess.Popen(
            [*launcher, *arguments, json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def begin(self, work: Any, *arguments: Any) -> None:
        """Give an order and do not wait for its end."""
        name = work if isinstance(work, str) else f"{work.__module__}:{work.__name__}"
        assert self._process.stdin is not None
        print(json.dumps([name, *arguments]), file=self._process.stdin, flush=True)

    def hear(self) -> Any:
        """The next word of the work under way, or its result."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], 2 * TIMEOUT)
        assert ready, "it says nothing"
        answer = self._process.stdout.readline()
        assert answer, f"it ended with {self._process.wait(TIMEOUT)}"
        return json.loads(answer)

    def ask(self, work: Any, *arguments: Any) -> Any:
        """Give an order and wait for its result."""
        self.begin(work, *arguments)
        return self.hear()

    def kill(self) -> None:
        self._process.kill()
        self.close()

    def close(self) -> None:
        self._process.communicate(timeout=TIMEOUT)


async def whoami(layer: Any, say: Any) -> list[Any]:
    """The numbers of this process and thread, and its namespaces."""
    spaces = Path("/proc/self/ns")
    names = [str((spaces / kind).readlink()) for kind in ("pid", "net", "ipc", "time")]
    return [os.getpid(), threading.get_native_id(), names]


def say(word: Any) -> None:
    sys.stdout.write(json.dumps(word) + "\n")
    sys.stdout.flush()


async def obey(layer: ShmChannelLayer, name: str, arguments: list[Any]) -> Any:
    module, _, function = name.rpartition(":")
    if module:
        return await getattr(importlib.import_module(module), function)(layer, say, *arguments)
    return await soon(getattr(layer, name)(*arguments))


def main() -> None:
    _receiver.TICK = NO_TICK
    layer = ShmChannelLayer(**json.loads(sys.argv[1]))
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        try:
            result = asyncio.run(obey(layer, name, arguments))
        except Exception as error:
            result = f"{type(error).__name__}: {error}"
        say(result)


if __name__ == "__main__":
    main()
