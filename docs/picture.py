"""Draws docs/top.svg: what ``asgi-shm top`` shows of a small site that really runs.

.venv/bin/python docs/picture.py
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from pathlib import Path

import asgi_shm
from asgi_shm.cli.main import main as tool

PREFIX = "mysite"
TARGET = Path(__file__).parent / "top.svg"
ROOMS = [f"chat_{room}" for room in ("lobby", "python", "django", "c", "linux", "offtopic")]


async def talk(number: int) -> None:
    """A web worker with websockets, which say something now and then."""
    layer = asgi_shm.ShmChannelLayer(prefix=PREFIX)

    async def socket(index: int) -> None:
        channel = await layer.new_channel()
        for room in ROOMS[: 1 + index % len(ROOMS)]:
            await layer.group_add(room, channel)
        while True:
            await layer.receive(channel)

    sockets = [asyncio.create_task(socket(index)) for index in range(40 + 7 * number)]
    while True:
        for room in ROOMS:
            await layer.group_send(
                room, {"type": "chat.message", "text": "hello", "by": number}
            )
            await asyncio.sleep(0.01 + 0.002 * number)
        with contextlib.suppress(asgi_shm.ChannelFull):
            await layer.send("thumbnails", {"type": "make", "id": number})
        assert not any(one.done() for one in sockets)


async def work() -> None:
    """A worker that is slower than its queue."""
    layer = asgi_shm.ShmChannelLayer(prefix=PREFIX)
    while True:
        await layer.receive("thumbnails")
        await asyncio.sleep(0.1)


def start(*arguments: str) -> subprocess.Popen[bytes]:
    command = ["python", Path(__file__).name, *arguments]
    # By its bare name: a path would fill the column.
    path = {"PATH": str(Path(sys.executable).parent)}
    return subprocess.Popen(command, cwd=Path(__file__).parent, env=path)


def main() -> int:
    """Run the site for some seconds, and draw what is seen of it."""
    processes = [start("web", "0"), start("web", "1"), start("web", "2"), start("worker")]
    try:
        time.sleep(10)
        return tool(["top", "--svg", str(TARGET), "--interval", "2", "--prefix", PREFIX])
    finally:
        for process in processes:
            process.kill()
            process.wait()
        asgi_shm.unlink(PREFIX)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["web", number]:
            asyncio.run(talk(int(number)))
        case ["worker"]:
            asyncio.run(work())
        case _:
            sys.exit(main())
