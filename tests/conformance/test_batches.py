"""Tasks that are woken together go on as a loop lets tasks go on: each for itself."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

import pytest
import uvloop

from asgi_shm import LayerClosed, ShmChannelLayer, _receiver
from asgi_shm._calls import run
from tests.support import receive_nowait, soon

COUNT = 10

who: contextvars.ContextVar[str] = contextvars.ContextVar("who")


async def group_of(layer, receive):
    """The channels of a group, and a task that waits for each: `receive(channel)`."""
    channels = [await layer.new_channel() for _ in range(COUNT)]
    for channel in channels:
        await layer.group_add("group", channel)
    tasks = [asyncio.create_task(receive(channel)) for channel in channels]
    await asyncio.sleep(0)
    return channels, tasks


async def test_each_has_its_context_and_is_the_current_task(layer):
    async def receive(channel):
        who.set(channel)
        for _ in range(3):
            await layer.receive(channel)
            assert who.get() == channel
            assert asyncio.current_task() in tasks

    _, tasks = await group_of(layer, receive)
    for _ in range(3):
        await layer.group_send("group", {"type": "test"})
        await asyncio.sleep(0.01)
    await soon(asyncio.gather(*tasks))
    assert who.get("nobody") == "nobody"


async def test_one_that_fails_hinders_no_other(layer):
    async def receive(channel):
        message = await layer.receive(channel)
        if channel in channels[::2]:
            raise ValueError(channel)
        return message

    channels, tasks = await group_of(layer, receive)
    await layer.group_send("group", {"type": "test"})
    results = await soon(asyncio.gather(*tasks, return_exceptions=True))
    assert [isinstance(result, ValueError) for result in results] == [True, False] * (
        COUNT // 2
    )
    assert results[1::2] == [{"type": "test"}] * (COUNT // 2)


async def test_one_may_cancel_all_others(layer):
    async def receive(channel):
        message = await layer.receive(channel)
        for task in tasks:
            if task is not asyncio.current_task():
                task.cancel()
        return message

    channels, tasks = await group_of(layer, receive)
    await layer.group_send("group", {"type": "test"})
    results = await soon(asyncio.gather(*tasks, return_exceptions=True))
    assert results.count({"type": "test"}) == 1
    for channel, result in zip(channels, results, strict=True):
        left = await receive_nowait(layer, channel)
        assert left == ({"type": "test"} if isinstance(result, BaseException) else None)


@pytest.mark.in_memory_differs("it does not close")
async def test_one_may_close_the_layer(make_layer):
    layer = make_layer()

    async def receive(channel):
        message = await layer.receive(channel)
        await layer.close()
        return message

    _, tasks = await group_of(layer, receive)
    await layer.group_send("group", {"type": "test"})
    results = await soon(asyncio.gather(*tasks, return_exceptions=True))
    assert results.count({"type": "test"}) == 1
    assert sum(isinstance(result, LayerClosed) for result in results) == COUNT - 1


async def test_whoever_talks_to_himself_leaves_the_loop_to_others(layer):
    rounds = 2000
    others = 0

    async def echo(channel, to):
        for number in range(rounds):
            await layer.receive(channel)
            await layer.send(to, {"number": number})

    def count():
        nonlocal others
        others += 1
        asyncio.get_running_loop().call_soon(count)

    echoes = [asyncio.create_task(echo("a", "b")), asyncio.create_task(echo("b", "a"))]
    await asyncio.sleep(0)
    count()
    await layer.send("a", {"number": -1})
    await soon(asyncio.gather(*echoes))
    assert others > rounds // 10


@pytest.mark.in_memory_differs("of what this layer does when a signal's handler raises")
@pytest.mark.parametrize("queued", [False, True], ids=["at once", "with the tick"])
async def test_those_that_an_exception_leaves_behind_go_on(layer, monkeypatch, queued):
    """Of a signal's handler: just before they run, or before that was queued."""
    channels, tasks = await group_of(layer, layer.receive)
    (watch,) = layer._receiver._watches.values()

    def interrupted(_):
        monkeypatch.setattr(_receiver, "run", run)
        watch.coming = queued
        raise ZeroDivisionError

    monkeypatch.setattr(_receiver, "run", interrupted)
    loop = asyncio.get_running_loop()
    failed = loop.create_future()
    loop.set_exception_handler(lambda _, why: failed.set_result(why["exception"]))
    await layer.group_send("group", {"type": "test"})
    assert isinstance(await soon(failed), ZeroDivisionError)
    if queued:
        assert not any(task.done() for task in tasks)
        layer._receiver._on_tick(watch)
    results = await soon(asyncio.gather(*tasks))
    assert results == [{"type": "test"}] * len(channels)


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("end", [SystemExit, KeyboardInterrupt])
def test_one_may_end_the_loop_and_the_others_go_on_with_it(prefix: str, new_loop, end) -> None:
    layer = ShmChannelLayer(prefix=prefix)
    got: list[dict[str, Any]] = []

    async def receive(channel: str) -> None:
        got.append(await layer.receive(channel))
        if len(got) == COUNT // 2:
            raise end

    loop = new_loop()
    _, tasks = loop.run_until_complete(group_of(layer, receive))
    sending = loop.create_task(layer.group_send("group", {"type": "test"}))
    with pytest.raises(end):
        loop.run_forever()
    assert sending.done()
    results = loop.run_until_complete(soon(asyncio.gather(*tasks, return_exceptions=True)))
    assert got == [{"type": "test"}] * COUNT
    assert [type(result) for result in results if result is not None] == [end]
    loop.run_until_complete(layer.close())
    loop.close()
