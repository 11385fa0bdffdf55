"""A program that does what the lines of its input say: for processes in other namespaces.

A line is a JSON list, the name of a coroutine of the layer and its arguments; the answer
is a line with the result, or with the name and the text of the error.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Any

from asgi_shm import ShmChannelLayer
from tests.support import TIMEOUT, soon


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

    def ask(self, method: str, *arguments: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([method, *arguments]), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        assert answer, f"it ended with {self._process.wait(TIMEOUT)}"
        return json.loads(answer)

    def kill(self) -> None:
        self._process.kill()
        self.close()

    def close(self) -> None:
        self._process.communicate(timeout=TIMEOUT)


def main() -> None:
    layer = ShmChannelLayer(**json.loads(sys.argv[1]))
    for line in sys.stdin:
        method, *arguments = json.loads(line)
        try:
            result = asyncio.run(soon(getattr(layer, method)(*arguments)))
        except Exception as error:
            result = f"{type(error).__name__}: {error}"
        sys.stdout.write(json.dumps(result) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
