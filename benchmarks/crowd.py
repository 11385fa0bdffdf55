"""Many processes with a layer each: they wait, or are busy, while something is measured.

They are forked from one that has imported everything, since a hundred interpreters
take their time to start. Nobody talks to them but through pipes: each says that it is
ready, all begin when the gate opens, and each that is busy says what it has done.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

from . import pinning
from .layers import LayerSpec
from .messages import message
from .roles import Members
from .station import Station

BATCH = 50


class Crowd:
    """The handle on a crowd; the processes end with it, or with us."""

    def __init__(self, spec: LayerSpec, kind: str, count: int, **order: Any) -> None:
        text = json.dumps({
            "layer": [spec.backend, dict(spec.config)],
            "kind": kind, "count": count, **order,
        })  # fmt: skip
        self.count = count
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.crowd", text],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            cwd=Path(__file__).parent.parent,
        )  # fmt: skip

    async def ready(self) -> None:
        """Wait until every process has opened its layer."""
        await asyncio.get_running_loop().run_in_executor(None, self._lines, self.count)

    async def go(self) -> list[float]:
        """Open the gate; give what each process tells at its end."""
        assert self._process.stdin is not None
        self._process.stdin.write("!")
        self._process.stdin.flush()
        lines = asyncio.get_running_loop().run_in_executor(None, self._lines, self.count)
        return list(map(float, await lines))

    def stop(self) -> None:
        """End all of them."""
        self._process.communicate()

    def _lines(self, count: int) -> list[str]:
        assert self._process.stdout is not None
        lines = [self._process.stdout.readline() for _ in range(count)]
        if not all(lines):
            raise RuntimeError("a process of the crowd has ended")
        return lines


async def wait(spec: LayerSpec, _order: Mapping[str, Any]) -> None:
    """Be attached, with one receiver that waits."""
    station = Station(spec)
    await station.open()
    receiver = asyncio.ensure_future(station.layer.receive(await station.new_channel()))
    await asyncio.sleep(0.01)
    _say("ready")
    await receiver


async def join(spec: LayerSpec, order: Mapping[str, Any]) -> None:
    """Be attached, with members of a group that receive."""
    members = Members(spec)
    await members.gather_members(order["group"], order["members"])
    await asyncio.sleep(0.01)
    _say("ready")
    await asyncio.get_running_loop().create_future()


async def work(spec: LayerSpec, order: Mapping[str, Any]) -> None:
    """Send and receive as fast as it goes, and say how often in a second."""
    station = Station(spec)
    await station.open()
    layer, channel = station.layer, await station.new_channel()
    _say("ready")
    os.read(order["gate"], 1)
    done, began = 0, perf_counter()
    while perf_counter() < began + order["seconds"]:
        for number in range(BATCH):
            await layer.send(channel, message(number))
            await layer.receive(channel)
        done += BATCH
    _say(str(done / (perf_counter() - began)))
    await asyncio.get_running_loop().create_future()


KINDS = {"wait": wait, "join": join, "work": work}


def _say(text: str) -> None:
    os.write(1, text.encode() + b"\n")  # less than PIPE_BUF: whole lines


def main(text: str) -> None:
    """Fork the crowd, open the gate when told, and end it when standard input ends."""
    order = json.loads(text)
    gate, opener = os.pipe()
    children = []
    for place in range(order["count"]):
        child = os.fork()
        if child == 0:
            os.close(0)
            pinning.pin(place)
            spec = LayerSpec(*order["layer"])
            asyncio.run(KINDS[order["kind"]](spec, {**order, "gate": gate}))
            os._exit(0)
        children.append(child)
    while os.read(0, 1):
        os.write(opener, b"!" * len(children))
    for child in children:
        os.kill(child, signal.SIGKILL)
    for child in children:
        os.waitpid(child, 0)


if __name__ == "__main__":
    main(sys.argv[1])
