"""gunicorn replaces its workers after so many requests, while websockets and messages flow."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

from asgi_shm import ShmChannelLayer
from tests.deploy.conftest import free_port
from tests.support import TIMEOUT, run_alone, soon

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MEMBERS = 6
GENERATIONS = 3
COMMAND = (
    "gunicorn -w 2 -k uvicorn_worker.UvicornWorker --max-requests 10 --max-requests-jitter 10 "
    "--graceful-timeout 5 -b 127.0.0.1:{port} {preload} tests.deploy.project.asgi:application"
)


class Member:
    """A websocket in the room that comes again when its worker goes, as a page does."""

    def __init__(self, port: int, program: Any) -> None:
        self.port = port
        self.program = program
        self.server = 0
        self.servers: set[int] = set()
        self.heard: set[str] = set()
        self.news = asyncio.Event()
        self.there = asyncio.Event()
        self.socket: ClientConnection | None = None
        self.reader = asyncio.create_task(self._stay())

    async def _stay(self) -> None:
        while True:
            assert self.program.process.poll() is None, self.program.said()
            with contextlib.suppress(
                OSError, InvalidHandshake, InvalidMessage, ConnectionClosed
            ):
                url = f"ws://127.0.0.1:{self.port}/ws/"
                async with connect(url, proxy=None) as self.socket:
                    async for frame in self.socket:
                        self._take(json.loads(frame))
            self.server = 0
            self.there.clear()
            await asyncio.sleep(0.05)

    def _take(self, message: Any) -> None:
        if "hello" in message:
            self.server = message["hello"]
            self.servers.add(self.server)
            self.there.set()
        elif "said" in message:
            self.heard.add(message["said"])
        else:
            self.heard.add(f"doubled {message['doubled']}")
        self.news.set()

    async def say(self, **words: Any) -> None:
        assert self.socket is not None
        with contextlib.suppress(ConnectionClosed):
            await self.socket.send(json.dumps(words))

    async def hears(self, text: str) -> bool:
        """Whether it hears it before its connection ends."""
        server = self.server
        while text not in self.heard and self.server == server != 0:
            self.news.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.news.wait(), 0.2)
        return text in self.heard


@contextlib.asynccontextmanager
async def room(port: int, program: Any) -> AsyncIterator[list[Member]]:
    members = [Member(port, program) for _ in range(MEMBERS)]
    try:
        yield members
    finally:
        for member in members:
            member.reader.cancel()
        await asyncio.wait([member.reader for member in members])


async def visit(port: int) -> None:
    """A request on a connection of its own: one nearer to the end of some worker."""
    with contextlib.suppress(httpx.TransportError):
        async with httpx.AsyncClient(trust_env=False) as client:
            await client.get(f"http://127.0.0.1:{port}/nothing")


async def talk(members: list[Member], text: str) -> None:
    """Until a line has reached everybody, and an answer the speaker, with no worker going."""
    for attempt in range(1000):
        line = f"{text}, {attempt}"
        await asyncio.gather(*(member.there.wait() for member in members))
        await members[0].say(say=line)
        number = hash(line) % 10**6
        await members[0].say(double=number)
        heard = await asyncio.gather(*(member.hears(line) for member in members))
        if all(heard) and await members[0].hears(f"doubled {2 * number}"):
            return
    raise AssertionError("no line reaches all")


@pytest.mark.parametrize("preload", ["", "--preload"], ids=["plain", "preload"])
async def test_workers_that_are_replaced(start, prefix, preload):
    port = free_port()
    environ = {"USE_EARLY": "1"} if preload else {}
    server = start(*COMMAND.format(port=port, preload=preload).split(), **environ)
    worker = start("django", "runworker", "double")
    layer = ShmChannelLayer(prefix=prefix)
    run_alone(layer.new_channel())
    async with room(port, server) as members:
        for generation in range(GENERATIONS):
            await soon(talk(members, f"generation {generation}"))
            before = [len(member.servers) for member in members]
            end = time.monotonic() + TIMEOUT
            while [len(member.servers) for member in members] == before:
                await visit(port)
                assert time.monotonic() < end, server.said()
        await soon(talk(members, "the last"))
        servers = set[int]().union(*(member.servers for member in members))
        assert len(servers) > GENERATIONS
        # Ours, the worker's, two of gunicorn's workers that may have used the layer or not, and
        # gunicorn's own where it has.
        expected = 4 + bool(preload)
        await soon(settled(layer, expected))
    layer._attachment.verify()
    assert worker.process.poll() is None
    await layer.close()


async def settled(layer: Any, expected: int) -> None:
    """Wait until the slots of those that have ended are given back."""
    while layer._attachment.info().attached > expected:
        layer._attachment.tick()
        await asyncio.sleep(0.05)
