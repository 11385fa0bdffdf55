"""The process that `crew` starts: it does what the measuring process asks of its role."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from . import pinning
from .layers import LayerSpec, Unsuitable
from .loops import new_loop
from .roles import ROLES


class Servant:
    """Reads questions from standard input and answers each when it can."""

    def __init__(self, role: Any) -> None:
        self._role = role
        self._unread = b""
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._abandoned = self._loop.create_future()
        # Messages of a layer to standard output would be taken for answers.
        self._answers = os.fdopen(os.dup(1), "wb", buffering=0)
        os.dup2(2, 1)

    async def serve(self) -> None:
        """Answer until the measuring process closes our standard input."""
        self._loop.add_reader(0, self._readable)
        try:
            await self._abandoned
        finally:
            self._loop.remove_reader(0)
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._role.close()

    def _readable(self) -> None:
        data = os.read(0, 65536)
        if not data:
            self._loop.remove_reader(0)
            self._abandoned.set_result(None)
            return
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            task = asyncio.ensure_future(self._answer(*json.loads(line)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, number: int, command: str, arguments: dict[str, Any]) -> None:
        try:
            kind, value = "result", await getattr(self._role, command)(**arguments)
        except Unsuitable as reason:
            kind, value = "unsuitable", str(reason)
        except Exception as error:  # noqa: BLE001 -- whatever it is, somebody waits for it
            kind, value = "error", f"{type(error).__name__}: {error}"
        self._answers.write(json.dumps([number, kind, value]).encode() + b"\n")


def main(order: str) -> None:
    """Do what the JSON object ``order`` says."""
    parsed = json.loads(order)
    pinning.pin(parsed["place"])
    spec = parsed["layer"] and LayerSpec(*parsed["layer"])
    loop = new_loop(parsed["loop"])
    asyncio.set_event_loop(loop)

    async def serve() -> None:
        await Servant(ROLES[parsed["role"]](spec)).serve()

    loop.run_until_complete(serve())
    # Not closed: some layers leave tasks and connections that complain.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
