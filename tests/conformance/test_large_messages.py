"""Large messages are received into a buffer that is used again, which nobody sees."""

from __future__ import annotations

import asyncio
import threading
import tracemalloc

import msgpack
import pytest

from asgi_shm import LayerClosed, ShmChannelLayer, _receiver
from asgi_shm._calls import forget, serialize_with
from asgi_shm.serializers import _pack_otherwise, _unpack_otherwise
from tests.support import NO_TICK, soon

KILOBYTE, MEGABYTE = 1024, 1024 * 1024

# Longer and shorter than the one before, and too small to be large.
SIZES = [300 * KILOBYTE, MEGABYTE, 20 * KILOBYTE, 3 * MEGABYTE, 100, MEGABYTE, 300 * KILOBYTE]


@pytest.mark.parametrize("waiting", [False, True])
async def test_a_message_stays_when_the_next_comes(layer, waiting):
    sent = [{"text": str(number) * size} for number, size in enumerate(SIZES)]
    sent += [{"bytes": str(number).encode() * size} for number, size in enumerate(SIZES)]
    received = []
    for message in sent:
        if waiting:
            task = asyncio.create_task(layer.receive("channel"))
            await asyncio.sleep(0)
            await layer.send("channel", message)
            received.append(await soon(task))
        else:
            await layer.send("channel", message)
            received.append(await soon(layer.receive("channel")))
    assert received == sent


@pytest.mark.in_memory_differs("it cannot be used in several threads")
async def test_each_thread_gets_its_own(layer):
    wrong = []

    async def receive_own(number):
        channel, message = f"channel{number}", {"text": str(number) * (MEGABYTE - number)}
        for _ in range(20):
            await layer.send(channel, message)
            if await soon(layer.receive(channel)) != message:
                wrong.append(number)

    threads = [
        threading.Thread(target=asyncio.run, args=[receive_own(number)]) for number in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert not wrong


@pytest.mark.in_memory_differs("it cannot be used in several threads")
async def test_another_may_take_it_and_leave_one_that_is_not_large(make_layer):
    count, layer = 300, make_layer(capacity=300)
    received = []

    async def receive_some():
        for _ in range(count // 3):
            received.append(await soon(layer.receive("channel")))  # noqa: PERF401 -- one by one

    sent = [{"text": "x" * size} for size in range(20_000, 20_000 - count, -1)]
    sent[1::2] = [{"text": "x" * number} for number in range(count // 2)]
    for message in sent:
        await layer.send("channel", message)
    threads = [threading.Thread(target=asyncio.run, args=[receive_some()]) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    by_size = {len(message["text"]): message for message in sent}
    assert {len(message["text"]): message for message in received} == by_size


@pytest.mark.in_memory_differs("it does not pack")
async def test_a_body_that_somebody_keeps_stays(layer):
    bodies = []

    def unpackb(body):
        bodies.append(body)
        return msgpack.unpackb(body)

    serialize_with(msgpack.Packer, unpackb, _pack_otherwise, _unpack_otherwise)
    try:
        messages = [{"text": text * MEGABYTE} for text in "ab"]
        for message in messages:
            await layer.send("channel", message)
            await soon(layer.receive("channel"))
    finally:
        serialize_with(msgpack.Packer, msgpack.unpackb, _pack_otherwise, _unpack_otherwise)
    assert [msgpack.unpackb(body) for body in bodies] == messages


@pytest.fixture
def memory():
    """Says how many bytes more Python has than at first."""
    forget()
    tracemalloc.start()
    at_first = tracemalloc.get_traced_memory()[0]
    yield lambda: tracemalloc.get_traced_memory()[0] - at_first
    tracemalloc.stop()


@pytest.mark.in_memory_differs("it does not pack")
@pytest.mark.parametrize("end", ["close", "tick"])
async def test_the_buffer_goes(layer, memory, monkeypatch, end):
    monkeypatch.setattr(_receiver, "TICK", 0.01 if end == "tick" else NO_TICK)
    other = ShmChannelLayer(prefix=None)
    waiting = asyncio.create_task(other.receive("elsewhere"))
    await asyncio.sleep(0)
    await other.send("channel", {"text": "x" * MEGABYTE})
    await soon(other.receive("channel"))
    assert memory() > MEGABYTE  # it is there
    if end == "close":
        await other.close()
        with pytest.raises(LayerClosed):
            await waiting
    else:
        await asyncio.sleep(0.1)
    assert memory() < MEGABYTE
    waiting.cancel()
    await other.close()


@pytest.mark.in_memory_differs("it does not pack")
async def test_no_buffer_stays_where_nothing_ticks(layer, memory):
    await layer.send("channel", {"text": "x" * MEGABYTE})
    await soon(layer.receive("channel"))
    assert memory() < MEGABYTE


@pytest.mark.in_memory_differs("it does not pack")
async def test_a_buffer_that_is_too_large_does_not_stay(make_layer, memory):
    layer = make_layer(max_message_size=8 * MEGABYTE)
    waiting = asyncio.create_task(layer.receive("elsewhere"))
    await asyncio.sleep(0)
    await layer.send("channel", {"text": "x" * 5 * MEGABYTE})
    await soon(layer.receive("channel"))
    assert memory() < MEGABYTE
    waiting.cancel()
