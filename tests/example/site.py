"""What the tests of the example share: a running site, and people who are connected to it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.support import TIMEOUT, fresh_prefix, leftovers, soon

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Line = dict[str, Any]
    Enter = Callable[["Site", str, str], Awaitable["Person"]]

CHAT = Path(__file__).resolve().parents[2] / "examples" / "chat"
WORKERS = 3


class Site:
    """The demo, started on a free port under a prefix of its own."""

    def __init__(self) -> None:
        self.prefix = fresh_prefix()
        self.env = {**os.environ, "CHAT_PREFIX": self.prefix}
        self.process = subprocess.Popen(
            [sys.executable, CHAT / "demo.py", "--port", "0"],
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.url = ""
        self.said = ""
        self._started = threading.Event()
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()
        # The demo itself gives up when the site does not answer, so this ends.
        self._started.wait()
        assert self.url, self.said

    def _listen(self) -> None:
        with self.process.stdout as output:
            for line in output:
                print(line, end="")  # into the report of the test that runs  # noqa: T201
                self.said += line
                if found := re.search(r"The chat is at  (\S+)", line):
                    self.url = found[1]
                if "Ctrl-C ends it" in line:  # the last line of the greeting
                    self._started.set()
        self._started.set()

    @property
    def origin(self) -> str:
        return self.url.rstrip("/")

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a management command as a user would."""
        return subprocess.run(
            [sys.executable, CHAT / "manage.py", *arguments],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )

    def processes(self) -> set[int]:
        """The numbers of all living processes of this site, whoever their parent is."""
        wanted = f"CHAT_PREFIX={self.prefix}".encode()
        found = set()
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdigit() and wanted in (entry / "environ").read_bytes():
                    found.add(int(entry.name))
        return found

    def stop(self, number: int = signal.SIGINT) -> int:
        """Send a signal to the demo; its exit code."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Wait until the demo ends and its last words are in `said`; its exit code."""
        code = self.process.wait(TIMEOUT)
        self._listener.join(TIMEOUT)
        return code

    def remains(self) -> tuple[set[int], list[str]]:
        """What is left of the site: processes, and IPC objects."""
        return self.processes(), leftovers(self.prefix)

    def clear_away(self) -> None:
        """End whatever a failed test has left."""
        if self.process.poll() is None:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(TIMEOUT)
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.wait()


class Person:
    """One websocket, and all that came over it so far."""

    def __init__(self, socket: ClientConnection, room: str, nick: str) -> None:
        self.room = room
        self.nick = nick
        self.id = ""
        self.pid = 0
        self.lines: list[Line] = []
        self.rosters: dict[int, list[dict[str, str]]] = {}
        self.refused = ""
        self._editions: dict[int, int] = {}
        self.socket = socket
        self._news = asyncio.Event()
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def connect(cls, site: Site, room: str, nick: str) -> Person:
        url = f"{site.origin.replace('http', 'ws', 1)}/ws/{room}/?nick={quote(nick)}"
        # A site under load may be slow to answer, but it must answer.
        socket = await connect(url, origin=site.origin, proxy=None, open_timeout=TIMEOUT)
        return cls(socket, room, nick)

    def answered(self) -> bool:
        """Has the site said welcome, or refused?"""
        return bool(self.id or self.refused)

    async def _read(self) -> None:
        with suppress(ConnectionClosed):
            async for frame in self.socket:
                message = json.loads(frame)
                getattr(self, "_take_" + message.pop("type"))(message)
                self._news.set()
        self._news.set()

    def _take_welcome(self, message: Line) -> None:
        self.id, self.pid = message["id"], message["pid"]

    def _take_line(self, message: Line) -> None:
        self.lines.append(message)

    def _take_roster(self, message: Line) -> None:
        if message["edition"] > self._editions.get(message["pid"], 0):
            self._editions[message["pid"]] = message["edition"]
            self.rosters[message["pid"]] = message["members"]

    def _take_refused(self, message: Line) -> None:
        self.refused = message["text"]

    async def say(self, text: str) -> None:
        await self.socket.send(text)

    def heard(self, kind: str, sender: str | None = None) -> list[Line]:
        """The lines of a kind so far, in order; those from one connection if it is given."""
        return [
            line
            for line in self.lines
            if line["kind"] == kind and sender in {None, line["from"]}
        ]

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something that came makes the condition true."""
        await soon(self._until(condition))

    async def _until(self, condition: Callable[[], object]) -> None:
        while not condition():
            assert not self._reader.done(), f"{self.nick}'s connection has ended"
            self._news.clear()
            await self._news.wait()

    async def lost(self) -> int | None:
        """Wait until the connection ends; its close code."""
        await soon(asyncio.shield(self._reader))
        return self.socket.close_code

    async def leave(self) -> None:
        await self.socket.close()
        await self._reader
