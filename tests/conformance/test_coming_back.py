"""Who receives again and again is told of every message, looking first or not."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from asgi_shm import LayerClosed
from tests.support import receive_nowait, run_alone, soon

ROUNDS = 200

ours_alone = pytest.mark.in_memory_differs("of what this layer does between two receives")


async def told_once(layer, channel):
    """Wait for a message, and then for another that comes meanwhile."""
    for number in range(2):
        receiver = asyncio.create_task(layer.receive(channel))
        await asyncio.sleep(0)
        await layer.send(channel, {"number": number})
        assert await soon(receiver) == {"number": number}


async def test_each_of_many_messages_is_told(layer):
    channel = await layer.new_channel()
    arrived: asyncio.Queue[int] = asyncio.Queue()

    async def receive():
        while True:
            arrived.put_nowait((await layer.receive(channel))["number"])

    receiver = asyncio.create_task(receive())
    for number in range(ROUNDS):
        await layer.send(channel, {"number": number})
        assert await soon(arrived.get()) == number
    receiver.cancel()


async def test_messages_that_come_before_the_receiver_does(layer):
    channel = await layer.new_channel()
    await told_once(layer, channel)
    for numbers in ([1], [2, 3], [4]):
        for number in numbers:
            await layer.send(channel, {"number": number})
        for number in numbers:
            assert await soon(layer.receive(channel)) == {"number": number}


async def test_messages_that_come_before_the_receiver_does_and_are_told(layer):
    channel = await layer.new_channel()
    await told_once(layer, channel)
    await layer.send(channel, {"number": 1})
    for _ in range(5):  # the loop hears the bell, and nobody waits
        await asyncio.sleep(0.001)
    await layer.send(channel, {"number": 2})

    assert await soon(layer.receive(channel)) == {"number": 1}
    assert await soon(layer.receive(channel)) == {"number": 2}


async def test_one_that_is_cancelled_leaves_the_message_to_the_next(layer):
    channel = await layer.new_channel()
    await told_once(layer, channel)
    for told in (False, True):
        receiver = asyncio.create_task(layer.receive(channel))
        await asyncio.sleep(0)
        if told:
            await layer.send(channel, {"type": "told"})
        receiver.cancel()
        await asyncio.gather(receiver, return_exceptions=True)
    assert await receive_nowait(layer, channel) == {"type": "told"}


@pytest.mark.in_memory_differs("two of its receivers of one channel lose each other")
async def test_a_second_receiver_of_the_channel_is_told_too(layer):
    channel = await layer.new_channel()
    await told_once(layer, channel)
    receivers = [asyncio.create_task(layer.receive(channel)) for _ in range(2)]
    await asyncio.sleep(0)
    await layer.send(channel, {"type": "one"})
    await layer.send(channel, {"type": "two"})

    assert await soon(asyncio.gather(*receivers)) == [{"type": "one"}, {"type": "two"}]


@ours_alone
async def test_nobody_is_counted_as_waiting_afterwards(layer):
    channel, other = [await layer.new_channel() for _ in range(2)]
    for one in (channel, other):
        await told_once(layer, one)
    await layer.send(other, {"type": "rings"})  # so the bell is not armed, and the wait is long
    receiver = asyncio.create_task(layer.receive(channel))
    await asyncio.sleep(0)
    await layer.send(channel, {"type": "test"})

    assert await soon(receiver) == {"type": "test"}
    assert [watch.inside for watch in layer._receiver._watches.values()] == [0]


@ours_alone
async def test_nothing_is_received_after_a_close(layer):
    channel = await layer.new_channel()
    await told_once(layer, channel)
    await layer.close()
    with pytest.raises(LayerClosed):
        await layer.receive(channel)


@ours_alone
async def test_who_does_not_come_back_waits_no_more(layer):
    channels = [await layer.new_channel() for _ in range(3)]
    for channel in channels:
        await told_once(layer, channel)
    layer._receiver._drop_idle_entries()

    for channel in channels:
        await layer.send(channel, {"type": "test"})
    assert layer._attachment.ready() == ([], None)
    for channel in channels:
        await told_once_more(layer, channel)


async def told_once_more(layer, channel):
    assert await soon(layer.receive(channel)) == {"type": "test"}
    await told_once(layer, channel)


class Pause:
    """The handles of an attachment; something happens when the next call asks for them."""

    def __init__(self, handles):
        self.handles = handles
        self.happens = None

    @property
    def address(self):
        happens, self.happens = self.happens, None
        if happens is not None:
            happens()
        return self.handles.address

    def __getattr__(self, name):
        return getattr(self.handles, name)


async def come_and_go(layer, channel):
    """Take two messages of a channel, and wait for the second of them."""
    await layer.receive(channel)
    second = asyncio.create_task(layer.receive(channel))
    await asyncio.sleep(0)
    await layer.send(channel, {"type": "second"})
    assert await soon(second) == {"type": "second"}


@ours_alone
async def test_another_loop_comes_and_goes_while_a_message_is_taken(layer, monkeypatch):
    """What it knows of the channel when it goes is not so when the message is taken."""
    pause = Pause(layer._attachment.handles)

    def another_loop():
        with ThreadPoolExecutor(1) as threads:
            threads.submit(asyncio.run, come_and_go(layer, "channel")).result()
        run_alone(layer.send("channel", {"type": "third"}))

    receiver = asyncio.create_task(layer.receive("channel"))
    await asyncio.sleep(0)
    await layer.send("channel", {"type": "first"})
    (watch,) = layer._receiver._watches.values()
    layer._receiver._dispatch_soon(watch)  # it looks next
    monkeypatch.setattr(layer._attachment, "handles", pause)
    pause.happens = another_loop
    assert await soon(receiver) == {"type": "third"}

    receiver = asyncio.create_task(layer.receive("channel"))
    await asyncio.sleep(0.01)
    await layer.send("channel", {"type": "fourth"})
    assert await soon(receiver) == {"type": "fourth"}


@ours_alone
async def test_a_coroutine_of_the_parent_that_ends_in_the_child_leaves_its_alone(layer):
    of_parent = asyncio.create_task(layer.receive("channel"))
    await asyncio.sleep(0)
    layer._receiver._reset()  # as it is after a fork
    of_child = asyncio.create_task(layer.receive("channel"))
    await asyncio.sleep(0)
    of_parent.cancel()
    await asyncio.gather(of_parent, return_exceptions=True)
    layer._receiver._drop_idle_entries()
    await layer.send("channel", {"type": "test"})

    assert await soon(of_child) == {"type": "test"}
