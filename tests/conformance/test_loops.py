"""Threads, event loops and plain synchronous code: nothing is bound to a loop."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import uvloop
from asgiref.sync import async_to_sync

from tests.support import TIMEOUT, run_alone, soon

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

FACTORIES: list[Callable[[], asyncio.AbstractEventLoop]] = [
    asyncio.new_event_loop,
    uvloop.new_event_loop,
]

one_loop = pytest.mark.in_memory_differs("it belongs to one event loop")


def run_in(
    factory: Callable[[], asyncio.AbstractEventLoop], main: Coroutine[Any, Any, Any]
) -> Any:
    """asyncio.run() in a loop of a given make."""
    loop = factory()
    try:
        return loop.run_until_complete(soon(main))
    finally:
        loop.close()


@one_loop
def test_several_loops_in_several_threads_receive_at_once(make_layer):
    count, each = 6, 200
    layer = make_layer(capacity=each)
    started = threading.Barrier(count + 1)
    channels = [run_alone(layer.new_channel()) for _ in range(count)]
    for channel in channels:
        run_alone(layer.group_add("all", channel))

    async def read(channel: str) -> list[int]:
        receiver = asyncio.create_task(layer.receive(channel))
        await asyncio.sleep(0)
        started.wait(TIMEOUT)
        numbers = [(await receiver)["number"]]
        while len(numbers) < each:
            numbers.append((await layer.receive(channel))["number"])
        return numbers

    with ThreadPoolExecutor(count) as threads:
        readers = [
            threads.submit(run_in, FACTORIES[index % 2], read(channel))
            for index, channel in enumerate(channels)
        ]
        started.wait(TIMEOUT)
        for number in range(each):
            if number % 2:
                run_alone(layer.group_send("all", {"number": number}))
            else:
                for channel in channels:
                    run_alone(layer.send(channel, {"number": number}))
        for reader in readers:
            assert reader.result(TIMEOUT) == list(range(each))


@one_loop
def test_loops_in_threads_share_one_normal_channel(make_layer):
    count, total = 4, 2000
    layer = make_layer(capacity=total)
    started = threading.Barrier(count + 1)

    async def work() -> list[int]:
        numbers: list[int] = []
        receiver = asyncio.create_task(layer.receive("work"))
        await asyncio.sleep(0)
        started.wait(TIMEOUT)
        while (message := await receiver)["number"] >= 0:
            numbers.append(message["number"])
            receiver = asyncio.create_task(layer.receive("work"))
        return numbers

    with ThreadPoolExecutor(count) as threads:
        workers = [
            threads.submit(run_in, FACTORIES[index % 2], work()) for index in range(count)
        ]
        started.wait(TIMEOUT)
        for number in range(total - count):
            run_alone(layer.send("work", {"number": number}))
        for _ in range(count):
            run_alone(layer.send("work", {"number": -1}))
        taken = [number for worker in workers for number in worker.result(TIMEOUT)]
    assert sorted(taken) == list(range(total - count))


@one_loop
def test_a_send_from_another_thread_wakes(layer):
    async def receive() -> Any:
        receiver = asyncio.create_task(layer.receive("channel"))
        await asyncio.sleep(0)
        sender = threading.Thread(
            target=run_alone, args=(layer.send("channel", {"type": "x"}),)
        )
        sender.start()
        message = await receiver
        sender.join()
        return message

    for factory in FACTORIES * 20:
        assert run_in(factory, receive()) == {"type": "x"}


def test_a_new_loop_at_each_call(layer):
    channel = async_to_sync(layer.new_channel)()
    async_to_sync(layer.group_add)("group", channel)
    for number in range(10):
        async_to_sync(layer.send)(channel, {"number": number})
        async_to_sync(layer.group_send)("group", {"group": number})
        assert async_to_sync(layer.receive)(channel) == {"number": number}
        assert async_to_sync(layer.receive)(channel) == {"group": number}


@one_loop
def test_plain_code_waits_for_a_message(layer):
    waiting = threading.Barrier(2)

    async def receive() -> Any:
        receiver = asyncio.create_task(layer.receive("channel"))
        await asyncio.sleep(0)
        waiting.wait(TIMEOUT)
        return await soon(receiver)

    with ThreadPoolExecutor(1) as threads:
        for number in range(20):
            receiver = threads.submit(async_to_sync(receive))
            waiting.wait(TIMEOUT)
            async_to_sync(layer.send)("channel", {"number": number})
            assert receiver.result(TIMEOUT) == {"number": number}


@one_loop
def test_loops_may_come_and_go(layer):
    async def ping() -> Any:
        receiver = asyncio.create_task(layer.receive("channel"))
        await asyncio.sleep(0)
        await layer.send("channel", {"type": "ping"})
        return await receiver

    for factory in FACTORIES * 100:
        assert run_in(factory, ping()) == {"type": "ping"}


@one_loop
def test_send_needs_no_loop(layer):
    run_alone(layer.send("channel", {"type": "test"}))

    assert run_alone(layer.receive("channel")) == {"type": "test"}


@one_loop
@pytest.mark.parametrize("factory", FACTORIES, ids=["asyncio", "uvloop"])
def test_nothing_is_said_when_a_loop_ends_under_receivers(layer, factory, capfd, recwarn):
    async def leave() -> None:
        receivers = [asyncio.create_task(layer.receive(f"channel.{n}")) for n in range(10)]
        await asyncio.sleep(0)
        for receiver in receivers:
            receiver.cancel()
        await asyncio.gather(*receivers, return_exceptions=True)

    run_in(factory, leave())

    assert capfd.readouterr() == ("", "")
    assert list(recwarn) == []
