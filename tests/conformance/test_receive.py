"""Receiving by full name and by the name up to its mark ("Channels")."""

from __future__ import annotations

import asyncio
import gc

import pytest

from asgi_shm import ChannelFull
from tests.support import drain, receive_nowait, run_alone, soon

no_prefix_in_memory = pytest.mark.in_memory_differs("it receives full names only")


@pytest.mark.parametrize("channel", ["normal", "specific.client!local"])
async def test_a_message_that_waits_is_received(layer, channel):
    await layer.send(channel, {"type": "test"})

    assert await soon(layer.receive(channel)) == {"type": "test"}


@pytest.mark.parametrize("channel", ["normal", "specific.client!local"])
async def test_a_receiver_that_waits_is_woken(layer, channel):
    receiver = asyncio.create_task(layer.receive(channel))
    await asyncio.sleep(0)
    assert not receiver.done()
    await layer.send(channel, {"type": "test"})

    assert await soon(receiver) == {"type": "test"}


async def test_a_receiver_is_woken_through_a_group(layer):
    channel = await layer.new_channel()
    await layer.group_add("group", channel)
    receiver = asyncio.create_task(layer.receive(channel))
    await asyncio.sleep(0)
    await layer.group_send("group", {"type": "test"})

    assert await soon(receiver) == {"type": "test"}


async def test_a_message_of_one_channel_wakes_no_receiver_of_another(layer):
    channels = [await layer.new_channel() for _ in range(3)]
    receivers = [asyncio.create_task(layer.receive(channel)) for channel in channels]
    await asyncio.sleep(0)
    await layer.send(channels[1], {"type": "test"})

    assert await soon(receivers[1]) == {"type": "test"}
    assert [receiver.done() for receiver in receivers] == [False, True, False]
    for receiver in receivers:
        receiver.cancel()


async def test_a_thousand_receivers_wait_each_for_its_own(layer):
    channels = [await layer.new_channel() for _ in range(1000)]
    receivers = [asyncio.create_task(layer.receive(channel)) for channel in channels]
    await asyncio.sleep(0)
    for number in reversed(range(1000)):
        await layer.send(channels[number], {"number": number})

    messages = await soon(asyncio.gather(*receivers))
    assert [message["number"] for message in messages] == list(range(1000))


async def test_a_message_that_is_there_needs_no_event_loop_round(layer):
    await layer.send("channel", {"type": "test"})

    assert run_alone(layer.receive("channel")) == {"type": "test"}


async def test_send_never_waits(make_layer):
    layer = make_layer(capacity=1)
    run_alone(layer.send("channel", {"type": "test"}))
    with pytest.raises(ChannelFull):
        run_alone(layer.send("channel", {"type": "one too many"}))


@no_prefix_in_memory
async def test_the_name_up_to_the_mark_receives_any_channel_with_that_prefix(layer):
    channel = await layer.new_channel()
    process = channel.partition("!")[0] + "!"
    await layer.send(channel, {"type": "local"})

    assert await soon(layer.receive(process)) == {"type": "local"}


@no_prefix_in_memory
@pytest.mark.parametrize("process", ["server.http!", None], ids=["any name", "new_channel"])
async def test_the_oldest_message_of_a_prefix_comes_first(layer, process):
    process = process or (await layer.new_channel()).partition("!")[0] + "!"
    for number in range(60):
        await layer.send(f"{process}client{number * 7 % 5}", {"number": number})

    assert [message["number"] for message in await drain(layer, process)] == list(range(60))


@no_prefix_in_memory
async def test_a_busy_channel_does_not_overpower_a_quiet_one(make_layer):
    layer = make_layer(capacity=1000)
    for number in range(500):
        await layer.send("process!busy", {"busy": number})
    await layer.send("process!quiet", {"quiet": True})
    for number in range(400):
        await layer.send("process!busy", {"busy": 500 + number})

    first = [await soon(layer.receive("process!")) for _ in range(501)]
    assert first[-1] == {"quiet": True}


@no_prefix_in_memory
async def test_a_prefix_is_that_prefix_only(layer):
    await layer.send("process.one!a", {"type": "one"})
    await layer.send("process.on!a", {"type": "shorter"})
    await layer.send("process.one.more!a", {"type": "longer"})
    await layer.send("process.one", {"type": "normal"})

    assert await drain(layer, "process.one!") == [{"type": "one"}]


@no_prefix_in_memory
async def test_a_receiver_of_a_prefix_is_woken_by_each_of_its_channels(layer):
    channel = await layer.new_channel()
    for process in ("server.http!", channel.partition("!")[0] + "!"):
        for local in ("a", "b"):
            receiver = asyncio.create_task(layer.receive(process))
            await asyncio.sleep(0)
            assert not receiver.done()
            await layer.send(process + local, {"type": local})
            assert await soon(receiver) == {"type": local}


@no_prefix_in_memory
async def test_a_receiver_of_a_prefix_is_woken_through_a_group(layer):
    channel = await layer.new_channel()
    await layer.group_add("group", channel)
    receiver = asyncio.create_task(layer.receive(channel.partition("!")[0] + "!"))
    await asyncio.sleep(0)
    await layer.group_send("group", {"type": "test"})

    assert await soon(receiver) == {"type": "test"}


@no_prefix_in_memory
async def test_full_name_and_prefix_receive_side_by_side(layer):
    process = (await layer.new_channel()).partition("!")[0] + "!"
    receivers = {
        name: asyncio.create_task(layer.receive(name)) for name in (process + "named", process)
    }
    await asyncio.sleep(0)
    await layer.send(process + "other", {"to": "other"})
    assert await soon(receivers[process]) == {"to": "other"}
    await layer.send(process + "named", {"to": "named"})

    assert await soon(receivers[process + "named"]) == {"to": "named"}


@no_prefix_in_memory
async def test_expired_messages_do_not_hide_others_of_a_prefix(make_layer, clock):
    layer = make_layer(expiry=10)
    await layer.send("process!a", {"type": "old"})
    clock.advance(6)
    await layer.send("process!b", {"type": "new"})
    clock.advance(6)

    assert await drain(layer, "process!") == [{"type": "new"}]


@pytest.mark.in_memory_differs("its receivers hold futures of a loop that may be gone")
async def test_a_loop_closed_under_a_receiver_takes_nothing_with_it(layer):
    def wait_in_a_loop_that_is_closed() -> None:
        loop = asyncio.new_event_loop()
        receiver = loop.create_task(layer.receive("channel"))
        loop.run_until_complete(asyncio.sleep(0.01))
        # The loop goes without its task having been cancelled, as after a
        # crash of what ran in it; asyncio would remark on that.
        receiver._log_destroy_pending = False  # type: ignore[attr-defined]
        loop.close()

    for _ in range(3):
        await asyncio.get_running_loop().run_in_executor(None, wait_in_a_loop_that_is_closed)
    gc.collect()
    await layer.send("channel", {"number": 1})
    assert await receive_nowait(layer, "channel") == {"number": 1}
    await asyncio.get_running_loop().run_in_executor(None, wait_in_a_loop_that_is_closed)
    receiver = asyncio.create_task(layer.receive("channel"))
    await asyncio.sleep(0)
    await layer.send("channel", {"number": 2})

    assert await soon(receiver) == {"number": 2}
