"""A call keeps the GIL, unless it takes long: who lets go of it gets it back late.

With a switch interval of an hour nobody is made to let go of it. So another thread runs Python
where a call lets go of it, and nowhere else.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from typing import TypeVar

import pytest

from asgi_shm import ShmChannelLayer, SyncShmChannelLayer
from tests.support import TIMEOUT, Clock

Layer = TypeVar("Layer")

MESSAGE = {"type": "test"}
LARGE = {"type": "test", "body": b"x" * 8_000_000}


class Other:
    """A thread that wants to run all the time, and counts how often it could."""

    def __init__(self) -> None:
        self.turns = 0
        self._ends = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._ends:
            self.turns += 1
            time.sleep(0)

    def end(self) -> None:
        self._ends = True
        self._thread.join()


def standing(layer: Layer) -> Layer:
    """With a clock that stands, a layer does not look after the segment by the way."""
    Clock().follow(layer)
    return layer


# The first operation is long: the process attaches.
FIRST = 1


@pytest.fixture
def other() -> Iterator[Other]:
    interval = sys.getswitchinterval()
    thread = Other()
    sys.setswitchinterval(3600)
    yield thread
    sys.setswitchinterval(interval)
    thread.end()


async def test_sending_and_receiving_keeps_it(prefix: str, other: Other) -> None:
    layer = standing(ShmChannelLayer(prefix=prefix))
    channel = await layer.new_channel()
    await layer.group_add("group", channel)
    for number in range(1000):
        if number == FIRST:
            before = other.turns
        await layer.send(channel, MESSAGE)
        await layer.receive(channel)
        await layer.group_send("group", MESSAGE)
        await layer.receive(channel)
    assert other.turns == before
    await layer.close()


def test_the_synchronous_layer_keeps_it(prefix: str, other: Other) -> None:
    layer = standing(SyncShmChannelLayer(prefix=prefix))
    channel = layer.new_channel()
    for number in range(1000):
        if number == FIRST:
            before = other.turns
        layer.send(channel, MESSAGE)
        layer.receive([channel])
    assert other.turns == before
    layer.close()


def test_a_large_message_lets_others_run(prefix: str, other: Other) -> None:
    layer = standing(SyncShmChannelLayer(prefix=prefix, max_message_size=10_000_000))
    layer.send("channel", LARGE)
    layer.receive(["channel"])
    end = time.monotonic() + TIMEOUT
    by_send = by_receive = 0
    while not (by_send and by_receive) and time.monotonic() < end:
        first = other.turns
        layer.send("channel", LARGE)
        second = other.turns
        layer.receive(["channel"])
        by_send += second - first
        by_receive += other.turns - second
    assert by_send
    assert by_receive
    layer.close()
