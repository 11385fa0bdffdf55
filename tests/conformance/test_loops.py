"""Threads, event loops and plain synchronous code: nothing is bound to a loop."""

from __future__ import annotations

import asyncio
import queue
import random
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import uvloop
from asgiref.sync import async_to_sync

from asgi_shm import _receiver
from tests.crew import Hand
from tests.support import NO_TICK, TIMEOUT, run_alone, soon

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
@pytest.mark.parametrize("tick", [NO_TICK, 0.0005], ids=["no tick", "hasty tick"])
def test_bursts_to_cancelled_receivers_in_several_loops(make_layer, monkeypatch, tick):
    monkeypatch.setattr(_receiver, "TICK", tick)
    layer = make_layer(capacity=1000)
    channels = ["one", "two", run_alone(layer.new_channel())]
    crew = Crew(layer, channels, 4)
    rng = random.Random(30)
    sent = 0
    try:
        for _ in range(100):
            crew.churn(20)
            expected = set()
            for _ in range(30):
                run_alone(layer.send(rng.choice(channels), {"number": sent}))
                expected.add(sent)
                sent += 1
            assert crew.told(30) == expected
    finally:
        crew.end()
    assert crew.taken.empty()


class Crew:
    """Hands in threads, each with a loop of its own."""

    def __init__(self, layer: Any, channels: list[str], size: int) -> None:
        self.taken: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.hands = [
            Hand(layer, channels, self.taken.put, random.Random(seed)) for seed in range(size)
        ]
        self.churning: list[Future[None]] = []
        self.loops = [FACTORIES[index % 2]() for index in range(size)]
        self.threads = [threading.Thread(target=loop.run_forever) for loop in self.loops]
        for hand, loop, thread in zip(self.hands, self.loops, self.threads, strict=True):
            loop.call_soon(hand.begin)
            thread.start()

    def churn(self, rounds: int) -> None:
        self.churning = [
            asyncio.run_coroutine_threadsafe(hand.churn(rounds), loop)
            for hand, loop in zip(self.hands, self.loops, strict=True)
        ]

    def told(self, count: int) -> set[int]:
        """So many numbers that were taken; a message taken twice makes them fewer."""
        for churning in self.churning:
            churning.result(TIMEOUT)
        return {self.taken.get(timeout=TIMEOUT) for _ in range(count)}

    def end(self) -> None:
        for hand, loop, thread in zip(self.hands, self.loops, self.threads, strict=True):
            asyncio.run_coroutine_threadsafe(hand.end(), loop).result(TIMEOUT)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(TIMEOUT)
            loop.close()


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
