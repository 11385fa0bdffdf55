"""A whole Channels site: websockets, consumers, groups, two web workers.

Most of its time goes to the web server, the consumers and the clients, which are the
same for every layer: this says what the choice of a layer is worth to a site.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from time import perf_counter, perf_counter_ns
from typing import Any, ClassVar

from benchmarks import pinning
from benchmarks.layers import LayerSpec, Unsuitable
from benchmarks.measure import Figure, Outcome, Workload, collector_off, percentiles

from .base import STALL_SECONDS

WORKERS = 2
ROOMS = 4
CLIENTS_OF_ROOM = 10
LINE = "x" * 80
PACE = 0.005
FEWEST_LINES = 20


class Room:
    """The clients of one room, half of them on each worker."""

    def __init__(self) -> None:
        self.sockets: list[Any] = []
        self.delivered = 0
        self.missing = 0
        self.complete: asyncio.Future[int] | None = None

    async def read(self, websocket: Any) -> None:
        """Count what a client is sent."""
        async for _ in websocket:
            self.delivered += 1
            self.missing -= 1
            if self.missing == 0 and self.complete is not None:
                self.complete.set_result(perf_counter_ns())

    async def say(self, speaker: int) -> int | None:
        """Have a client say a line; give the time until all of the room have it."""
        self.missing = len(self.sockets)
        self.complete = asyncio.get_running_loop().create_future()
        started = perf_counter_ns()
        await self.sockets[speaker % len(self.sockets)].send(LINE)
        done, _ = await asyncio.wait([self.complete], timeout=STALL_SECONDS)
        return self.complete.result() - started if done else None


class Site(Workload):
    """Clients in rooms; a line goes to all of the room, on both workers."""

    name = f"Channels site, {WORKERS} workers, {ROOMS} rooms of {CLIENTS_OF_ROOM} websockets"
    figures: ClassVar = {
        "p50": Figure("a line to all of a room, median", "ns"),
        "p99": Figure("99th percentile", "ns"),
        "rate": Figure("lines delivered, all rooms busy", "/s"),
        "work": Figure("processor time of the workers for each", "ns"),
    }

    def __init__(self, spec: LayerSpec) -> None:
        if reason := spec.traits.one_process:
            raise Unsuitable(reason)
        self.spec = spec.for_run()
        self.workers: list[subprocess.Popen[bytes]] = []
        self.rooms = [Room() for _ in range(ROOMS)]
        self.readers: list[asyncio.Task[None]] = []

    async def prepare(self) -> None:
        ports = [self._start(place) for place in range(WORKERS)]
        for number, room in enumerate(self.rooms):
            for client in range(CLIENTS_OF_ROOM):
                websocket = await _connect(ports[client % WORKERS], f"room{number}")
                room.sockets.append(websocket)
                self.readers.append(asyncio.ensure_future(room.read(websocket)))
        for room in self.rooms:  # subscriptions may take a moment to be there
            for _ in range(10):
                if await room.say(0) is not None:
                    break

    async def run(self, seconds: float) -> Outcome:
        latencies: list[int] = []
        outcome = Outcome()
        with collector_off():
            end = perf_counter() + seconds
            while len(latencies) < FEWEST_LINES or perf_counter() < end:
                room = self.rooms[len(latencies) % ROOMS]
                if not await self._said(outcome, room, len(latencies), latencies):
                    return outcome
                await asyncio.sleep(PACE)
            outcome.figures.update(percentiles(latencies))
            outcome.figures.update(await self._busy(outcome, seconds))
        return outcome

    async def _said(
        self, outcome: Outcome, room: Room, speaker: int, latencies: list[int]
    ) -> bool:
        took = await room.say(speaker)
        outcome.expected += CLIENTS_OF_ROOM
        if took is None:
            outcome.lost += room.missing
            return False
        latencies.append(took)
        return True

    async def _busy(self, outcome: Outcome, seconds: float) -> dict[str, float]:
        """Every room says its next line when all have the last one."""
        before, worked = self._delivered(), self._worked_ns()
        began = perf_counter()

        async def talk(room: Room) -> None:
            speaker, ignored = 0, list[int]()
            while perf_counter() < began + seconds:
                speaker += 1
                if not await self._said(outcome, room, speaker, ignored):
                    return

        await asyncio.gather(*map(talk, self.rooms))
        took, delivered = perf_counter() - began, self._delivered() - before
        return {
            "rate": delivered / took,
            "work": (self._worked_ns() - worked) / max(1, delivered),
        }

    def _delivered(self) -> int:
        return sum(room.delivered for room in self.rooms)

    def _worked_ns(self) -> float:
        """The processor time that the workers have had."""
        ticks = 0
        for worker in self.workers:
            # After the name, which may hold anything: user and system time are 12th and 13th.
            fields = Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks * 1e9 / os.sysconf("SC_CLK_TCK")

    async def finish(self) -> None:
        for room in self.rooms:
            await asyncio.gather(*(one.close() for one in room.sockets))
        for reader in self.readers:
            reader.cancel()
        for worker in self.workers:
            worker.kill()
            worker.communicate()
        self.spec.clean()

    def _start(self, number: int) -> int:
        """Start a worker; give its port."""
        place = 1 + number if pinning.processors() > WORKERS else 1
        loop = type(asyncio.get_running_loop()).__module__.partition(".")[0]
        with socket.create_server(("127.0.0.1", 0)) as listener:
            descriptor = listener.fileno()
            self.workers.append(subprocess.Popen(
                [sys.executable, "-m", "benchmarks.site", str(descriptor), loop, str(place)],
                cwd=Path(__file__).parents[2], pass_fds=[descriptor], stdin=subprocess.PIPE,
                env={
                    **os.environ,
                    "SITE_BACKEND": self.spec.backend,
                    "SITE_CONFIG": json.dumps(self.spec.config),
                },
            ))  # fmt: skip
            port: int = listener.getsockname()[1]
            return port


async def _connect(port: int, room: str) -> Any:
    """Connect a client; the worker may still be starting, its socket listens already."""
    try:
        from websockets.asyncio.client import connect
    except ImportError:
        raise Unsuitable("the package websockets is not installed") from None
    return await connect(
        f"ws://127.0.0.1:{port}/{room}", compression=None, open_timeout=30, proxy=None
    )
