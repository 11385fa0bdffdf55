"""First in, first out, and at most once ("Channels", "Channel Semantics")."""

from __future__ import annotations

import asyncio
import random

import pytest

from tests.support import drain, receive_nowait, soon


@pytest.mark.parametrize("channel", ["normal", "specific.client!local"])
async def test_one_writer_and_one_reader_see_the_same_order(make_layer, channel):
    layer = make_layer(capacity=1000)
    for number in range(1000):
        await layer.send(channel, {"number": number})

    assert [(await soon(layer.receive(channel)))["number"] for _ in range(1000)] == list(
        range(1000)
    )


async def test_send_and_group_send_to_one_channel_keep_one_order(make_layer):
    layer = make_layer(capacity=1000)
    channel = await layer.new_channel()
    await layer.group_add("group", channel)
    rng = random.Random(1)
    for number in range(1000):
        if rng.random() < 0.5:
            await layer.send(channel, {"number": number})
        else:
            await layer.group_send("group", {"number": number})

    assert [message["number"] for message in await drain(layer, channel)] == list(range(1000))


async def test_several_groups_of_one_member_keep_one_order(make_layer):
    layer = make_layer(capacity=1000)
    for group in ("a", "b", "c"):
        await layer.group_add(group, "member")
    for number in range(300):
        await layer.group_send("abc"[number % 3], {"number": number})

    assert [message["number"] for message in await drain(layer, "member")] == list(range(300))


async def test_a_reader_that_waits_sees_the_same_order(layer):
    channel = await layer.new_channel()
    await layer.group_add("group", channel)

    async def read() -> list[int]:
        return [(await layer.receive(channel))["number"] for _ in range(500)]

    reader = asyncio.create_task(read())
    rng = random.Random(2)
    for number in range(500):
        if rng.random() < 0.5:
            await layer.send(channel, {"number": number})
        else:
            await layer.group_send("group", {"number": number})
        # Never more behind than the capacity.
        if rng.random() < 0.3 or number % 50 == 0:
            await asyncio.sleep(0.001)

    assert await soon(reader) == list(range(500))


async def test_channels_are_apart(layer):
    await layer.send("one", {"type": "one"})
    await layer.send("two", {"type": "two"})

    assert await soon(layer.receive("two")) == {"type": "two"}
    assert await receive_nowait(layer, "two") is None
    assert await soon(layer.receive("one")) == {"type": "one"}


async def test_layers_of_different_prefixes_are_apart(make_layer, prefix):
    one, two = make_layer(), make_layer(prefix=f"{prefix}-two")
    await one.send("channel", {"type": "one"})
    await one.group_add("group", "member")
    await two.group_send("group", {"type": "to nobody"})

    assert await receive_nowait(two, "channel") is None
    assert await receive_nowait(one, "member") is None
    assert await receive_nowait(one, "channel") == {"type": "one"}


@pytest.mark.in_memory_differs("two of its receivers of one channel lose each other")
async def test_receivers_of_one_channel_share_its_messages(make_layer):
    layer = make_layer(capacity=1000)
    taken: list[int] = []
    all_taken = asyncio.Event()

    async def work() -> None:
        while True:
            taken.append((await layer.receive("work"))["number"])
            if len(taken) == 1000:
                all_taken.set()

    workers = [asyncio.create_task(work()) for _ in range(4)]
    for number in range(1000):
        await layer.send("work", {"number": number})
        if number % 10 == 0:
            await asyncio.sleep(0)

    await soon(all_taken.wait())
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    assert sorted(taken) == list(range(1000))


@pytest.mark.in_memory_differs("two of its receivers of one channel lose each other")
async def test_every_receiver_that_waits_is_served(layer):
    receivers = [asyncio.create_task(layer.receive("work")) for _ in range(10)]
    await asyncio.sleep(0)
    for number in range(10):
        await layer.send("work", {"number": number})

    messages = await soon(asyncio.gather(*receivers))
    assert sorted(message["number"] for message in messages) == list(range(10))
