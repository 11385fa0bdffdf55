"""The flush extension ("Specification Details")."""

from __future__ import annotations

import asyncio

import pytest

from tests.support import receive_nowait, soon


async def test_flush_leaves_no_messages_and_no_groups(layer):
    channel = await layer.new_channel()
    for member in ("normal", channel):
        await layer.group_add("group", member)
        await layer.send(member, {"type": "direct"})
    await layer.group_send("group", {"type": "group"})
    await layer.flush()
    await layer.group_send("group", {"type": "to nobody"})

    for member in ("normal", channel):
        assert await receive_nowait(layer, member) is None


async def test_the_layer_works_after_a_flush(layer):
    for _ in range(3):
        await layer.flush()
        channel = await layer.new_channel()
        await layer.group_add("group", channel)
        await layer.group_send("group", {"type": "test"})
        assert await soon(layer.receive(channel)) == {"type": "test"}


async def test_a_flush_makes_room(make_layer):
    layer = make_layer(capacity=1)
    for _ in range(5):
        await layer.send("channel", {"type": "test"})
        await layer.flush()


@pytest.mark.in_memory_differs("a receiver that waits is forgotten")
@pytest.mark.parametrize("normal", [True, False], ids=["normal", "specific"])
async def test_a_receiver_that_waits_outlives_a_flush(layer, normal):
    channel = "normal" if normal else await layer.new_channel()
    receivers = [asyncio.create_task(layer.receive(channel)) for _ in range(3)]
    await asyncio.sleep(0)
    await layer.flush()
    await asyncio.sleep(0)
    assert not any(receiver.done() for receiver in receivers)
    for number in range(3):
        await layer.send(channel, {"number": number})

    messages = await soon(asyncio.gather(*receivers))
    assert sorted(message["number"] for message in messages) == [0, 1, 2]


@pytest.mark.in_memory_differs("its layers are apart")
@pytest.mark.one_prefix
async def test_a_flush_clears_for_every_layer_of_the_prefix(make_layer):
    one, two = make_layer(), make_layer()
    channel = await two.new_channel()
    await two.group_add("group", channel)
    await two.group_send("group", {"type": "test"})
    await one.send("normal", {"type": "test"})
    await one.flush()
    await one.group_send("group", {"type": "to nobody"})

    assert await receive_nowait(two, "normal") is None
    assert await receive_nowait(two, channel) is None
