"""The servers that people run, each with two processes that talk through the layer."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake

from tests.deploy.conftest import free_port
from tests.support import soon

APPLICATION = "tests.deploy.project.asgi:application"

# Each serves on {port}. Daphne has no workers: two of it make the two processes.
SERVERS = {
    "daphne": ["daphne -b 127.0.0.1 -p {port}", "daphne -b 127.0.0.1 -p {port}"],
    "uvicorn": ["uvicorn --workers 2 --host 127.0.0.1 --port {port}"],
    "uvicorn-asyncio": ["uvicorn --workers 2 --loop asyncio --host 127.0.0.1 --port {port}"],
    "hypercorn": ["hypercorn --workers 2 --bind 127.0.0.1:{port}"],
    "hypercorn-uvloop": ["hypercorn --workers 2 --worker-class uvloop --bind 127.0.0.1:{port}"],
    "gunicorn": ["gunicorn -w 2 -k uvicorn_worker.UvicornWorker -b 127.0.0.1:{port}"],
    "gunicorn-asgi": ["gunicorn -w 2 -k asgi -b 127.0.0.1:{port}"],
    "gunicorn-preload": [
        "gunicorn -w 2 --preload -k uvicorn_worker.UvicornWorker -b 127.0.0.1:{port}"
    ],
}


class Member:
    """A websocket in the room, and the process that serves it."""

    def __init__(self, socket: ClientConnection, server: int) -> None:
        self.socket = socket
        self.server = server

    async def say(self, **words: Any) -> None:
        await self.socket.send(json.dumps(words))

    async def hear(self) -> Any:
        return json.loads(await soon(self.socket.recv()))


async def join(port: int, program: Any) -> Member:
    """Connect as soon as the server listens."""

    async def attempt() -> ClientConnection:
        while True:
            assert program.process.poll() is None, program.said()
            try:
                return await connect(f"ws://127.0.0.1:{port}/ws/", proxy=None)
            except (OSError, InvalidHandshake):
                await asyncio.sleep(0.05)

    member = Member(await soon(attempt()), 0)
    member.server = (await member.hear())["hello"]
    return member


async def join_until_two_processes(doors: list[tuple[int, Any]]) -> list[Member]:
    """Members of at least two processes; the kernel decides who serves whom."""
    members: list[Member] = []
    for number in range(300):
        members.append(await join(*doors[number % len(doors)]))
        if len(members) >= 6 and len({member.server for member in members}) >= 2:
            return members
    raise AssertionError("one process serves them all")


@pytest.mark.parametrize("server", SERVERS)
async def test_two_processes_of_a_server_talk(start, server):
    environ = {"USE_EARLY": "1"} if "preload" in server else {}
    doors = []
    for command in SERVERS[server]:
        port = free_port()
        arguments = [*command.format(port=port).split(), APPLICATION]
        doors.append((port, start(*arguments, **environ)))
    worker = start("django", "runworker", "double")
    members = await join_until_two_processes(doors)
    lines = 10
    for number in range(lines):
        speaker = members[number % len(members)]
        await speaker.say(say=f"line {number}")
        for member in members:
            heard = await member.hear()
            assert heard == {
                "said": f"line {number}",
                "from": speaker.server,
                "by": member.server,
            }
    for member in members:
        await member.say(double=21)
        assert await member.hear() == {"doubled": 42, "by": worker.process.pid}
    for member in members:
        await member.socket.close()
