"""A receive that is cancelled has taken nothing, and passes its turn on."""

from __future__ import annotations

import asyncio
import random
import threading
from typing import Any

import pytest

from tests.support import TIMEOUT, drain, receive_nowait, run_alone, soon

ROUNDS = 10_000

orphans = pytest.mark.in_memory_differs("two of its receivers of one channel lose each other")


async def cancelled(receiver: asyncio.Task[Any]) -> None:
    receiver.cancel()
    with pytest.raises(asyncio.CancelledError):
        await receiver


async def test_a_receive_cancelled_before_the_send_takes_nothing(layer):
    receiver = asyncio.create_task(layer.receive("channel"))
    await asyncio.sleep(0)
    await cancelled(receiver)
    await layer.send("channel", {"type": "test"})

    assert await receive_nowait(layer, "channel") == {"type": "test"}


async def test_a_receive_cancelled_after_the_send_takes_nothing(layer):
    receiver = asyncio.create_task(layer.receive("channel"))
    await asyncio.sleep(0)
    await layer.send("channel", {"type": "test"})
    await cancelled(receiver)

    assert await receive_nowait(layer, "channel") == {"type": "test"}


async def test_a_receive_cancelled_before_its_first_step_takes_nothing(layer):
    await layer.send("channel", {"type": "test"})
    receiver = asyncio.create_task(layer.receive("channel"))
    await cancelled(receiver)

    assert await receive_nowait(layer, "channel") == {"type": "test"}


@orphans
@pytest.mark.parametrize("normal", [True, False], ids=["normal", "specific"])
async def test_the_turn_is_passed_on(layer, normal):
    channel = "normal" if normal else await layer.new_channel()
    for leaving in range(3):
        receivers = [asyncio.create_task(layer.receive(channel)) for _ in range(3)]
        await asyncio.sleep(0)
        await layer.send(channel, {"number": leaving})
        await cancelled(receivers.pop(leaving))
        done, waiting = await asyncio.wait(
            receivers, timeout=TIMEOUT, return_when=asyncio.FIRST_COMPLETED
        )
        assert [receiver.result() for receiver in done] == [{"number": leaving}]
        for receiver in waiting:
            await cancelled(receiver)


@orphans
async def test_a_receiver_of_the_name_and_one_of_the_prefix_pass_the_turn_on(layer):
    channel = await layer.new_channel()
    prefix = channel.partition("!")[0] + "!"
    for leaver, stayer in ((channel, prefix), (prefix, channel)):
        leaving = asyncio.create_task(layer.receive(leaver))
        staying = asyncio.create_task(layer.receive(stayer))
        await asyncio.sleep(0)
        await layer.send(channel, {"type": "test"})
        await cancelled(leaving)
        assert await soon(staying) == {"type": "test"}


async def test_wait_for_that_times_out_loses_nothing(layer):
    for number in range(50):
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(layer.receive("channel"), 0.0001)
        await layer.send("channel", {"number": number})
        assert await soon(layer.receive("channel")) == {"number": number}


class Round:
    """One random play of sends, receives, cancellations and turns of the loop."""

    def __init__(self, layer: Any, channel: str, rng: random.Random) -> None:
        self.layer = layer
        self.channel = channel
        self.rng = rng
        self.receivers: list[asyncio.Task[Any]] = []
        self.cancelled: list[asyncio.Task[Any]] = []

    async def play(self, number: int) -> tuple[int, list[int]]:
        """The number of the next message, and the messages received."""
        for _ in range(self.rng.randint(3, 9)):
            action = self.rng.randrange(5)
            if action == 0:
                await self.layer.send(self.channel, {"number": number})
                number += 1
            elif action == 1 or not self.receivers:
                self.receivers.append(asyncio.create_task(self.layer.receive(self.channel)))
            elif action == 2:
                leaving = self.receivers.pop(self.rng.randrange(len(self.receivers)))
                leaving.cancel()
                self.cancelled.append(leaving)
            else:
                await asyncio.sleep(0)
        return number, await self.results()

    async def results(self) -> list[int]:
        """What was taken, also by receives that were cancelled too late to matter."""
        outcomes = await asyncio.gather(*self.cancelled, return_exceptions=True)
        outcomes += [task.result() for task in self.receivers if task.done()]
        self.receivers = [task for task in self.receivers if not task.done()]
        self.cancelled = []
        for outcome in outcomes:
            assert isinstance(outcome, (dict, asyncio.CancelledError)), outcome
        return [outcome["number"] for outcome in outcomes if isinstance(outcome, dict)]

    async def end(self, missing: int) -> list[int]:
        """Everybody who waits and can be served must be; then nobody waits any more."""
        received: list[int] = []
        while self.receivers and len(received) < missing:
            done, _ = await asyncio.wait(
                self.receivers, timeout=TIMEOUT, return_when=asyncio.FIRST_COMPLETED
            )
            assert done, f"{missing} messages for {len(self.receivers)} receivers that wait"
            received += await self.results()
        for task in self.receivers:
            task.cancel()
        self.cancelled, self.receivers = self.receivers, []
        return received + await self.results()


@orphans
@pytest.mark.parametrize("normal", [True, False], ids=["normal", "specific"])
async def test_random_cancellation_loses_and_doubles_nothing(make_layer, normal):
    layer = make_layer(capacity=1000)
    channel = "normal" if normal else await layer.new_channel()
    rng = random.Random(20)
    number, received = 0, []
    for _ in range(ROUNDS // 2):
        play = Round(layer, channel, rng)
        number, taken = await play.play(number)
        received += taken
        received += await play.end(number - len(received))
    received += [message["number"] for message in await drain(layer, channel)]

    assert sorted(received) == list(range(number))


@pytest.mark.in_memory_differs("it belongs to one thread")
async def test_cancellation_against_a_sender_in_another_thread(make_layer):
    layer = make_layer(capacity=100_000)
    channel = await layer.new_channel()
    rng = random.Random(21)
    rounds = threading.Semaphore(0)
    total = 2000

    def send() -> None:
        for number in range(total):
            rounds.acquire()
            run_alone(layer.send(channel, {"number": number}))

    sender = threading.Thread(target=send)
    sender.start()
    received = []
    for _ in range(total):
        receivers = [asyncio.create_task(layer.receive(channel)) for _ in range(2)]
        await asyncio.sleep(0)
        rounds.release()
        for _ in range(rng.randrange(20)):
            await asyncio.sleep(0)
        receivers[rng.randrange(2)].cancel()
        done, waiting = await asyncio.wait(
            receivers, timeout=TIMEOUT, return_when=asyncio.FIRST_COMPLETED
        )
        if waiting and all(task.cancelled() for task in done):
            more, waiting = await asyncio.wait(waiting, timeout=TIMEOUT)
            done |= more
        for task in waiting:
            task.cancel()
        outcomes = await asyncio.gather(*receivers, return_exceptions=True)
        received += [outcome["number"] for outcome in outcomes if isinstance(outcome, dict)]
    await asyncio.get_running_loop().run_in_executor(None, sender.join)
    received += [message["number"] for message in await drain(layer, channel)]

    assert sorted(received) == list(range(total))
