"""Capacity: how many messages a channel holds unread ("Capacity")."""

from __future__ import annotations

import re

import pytest

from asgi_shm import ChannelFull
from tests.support import drain, fill, soon


@pytest.mark.parametrize("capacity", [1, 2, 3, 4, 7, 8, 9, 100, 1000])
@pytest.mark.parametrize("channel", ["normal", "specific.client!local"])
async def test_exactly_capacity_messages_fit(make_layer, capacity, channel):
    layer = make_layer(capacity=capacity)

    assert await fill(layer, channel) == capacity
    assert [message["number"] for message in await drain(layer, channel)] == list(
        range(capacity)
    )


async def test_exactly_capacity_messages_fit_in_a_channel_of_ours(make_layer):
    layer = make_layer(capacity=5)

    assert await fill(layer, await layer.new_channel()) == 5


@pytest.mark.in_memory_differs("it counts the defaults the same, but names no capacity")
async def test_channel_full_names_the_channel_and_the_capacity(make_layer):
    layer = make_layer(capacity=37)
    await fill(layer, "busy.channel")
    with pytest.raises(ChannelFull) as error:
        await layer.send("busy.channel", {"type": "one too many"})

    assert "busy.channel" in str(error.value)
    assert "37" in str(error.value)


async def test_reading_one_makes_room_for_one(make_layer):
    layer = make_layer(capacity=3)
    await fill(layer, "channel")
    for number in range(10):
        await soon(layer.receive("channel"))
        await layer.send("channel", {"later": number})
        with pytest.raises(ChannelFull):
            await layer.send("channel", {"type": "one too many"})


async def test_a_refused_send_changes_nothing(make_layer):
    layer = make_layer(capacity=2)
    await fill(layer, "channel")
    for _ in range(100):
        with pytest.raises(ChannelFull):
            await layer.send("channel", {"type": "one too many"})

    assert await drain(layer, "channel") == [{"number": 0}, {"number": 1}]


async def test_group_send_drops_for_full_members_only(make_layer):
    layer = make_layer(capacity=2)
    for member in ("slow", "quick", "specific.x!slow", "specific.x!quick"):
        await layer.group_add("group", member)
    await fill(layer, "slow")
    await fill(layer, "specific.x!slow")
    await layer.group_send("group", {"type": "group"})

    for member in ("slow", "specific.x!slow"):
        assert await drain(layer, member) == [{"number": 0}, {"number": 1}]
    for member in ("quick", "specific.x!quick"):
        assert await drain(layer, member) == [{"type": "group"}]


async def test_group_messages_count(make_layer):
    layer = make_layer(capacity=3)
    await layer.group_add("group", "member")
    await layer.group_send("group", {"type": "group"})
    await layer.group_send("group", {"type": "group"})

    assert await fill(layer, "member") == 1


async def test_group_send_never_raises_channel_full(make_layer):
    layer = make_layer(capacity=1)
    await layer.group_add("group", "member")
    for number in range(50):
        await layer.group_send("group", {"number": number})

    assert await drain(layer, "member") == [{"number": 0}]


async def test_a_slow_consumer_does_not_take_its_siblings_room(make_layer):
    layer = make_layer(capacity=4)
    slow, quick = await layer.new_channel(), await layer.new_channel()
    await fill(layer, slow)

    assert await fill(layer, quick) == 4


@pytest.mark.in_memory_differs("it looks at expiry when it receives, not when it sends")
async def test_expired_messages_do_not_count(make_layer, clock):
    layer = make_layer(capacity=3, expiry=10)
    await layer.group_add("group", "member")
    for channel in ("channel", "member"):
        await fill(layer, channel)
    clock.advance(10.001)
    await layer.group_send("group", {"type": "group"})

    assert await fill(layer, "channel") == 3
    assert await fill(layer, "member") == 2


@pytest.mark.in_memory_differs("it looks at expiry when it receives, not when it sends")
async def test_each_message_that_expires_makes_room_for_one(make_layer, clock):
    layer = make_layer(capacity=3, expiry=10)
    for number in range(3):
        await layer.send("channel", {"number": number})
        clock.advance(1)
    clock.advance(7.5)

    assert await fill(layer, "channel") == 1
    assert await drain(layer, "channel") == [{"number": 1}, {"number": 2}, {"number": 0}]


@pytest.mark.in_memory_differs("it never compiles channel_capacity")
async def test_channel_capacity_is_by_glob_or_regex_and_the_first_match_counts(
    make_layer,
):
    layer = make_layer(
        capacity=5,
        channel_capacity={
            "http.request": 7,
            "http.re*": 2,
            re.compile(r"^websocket\.send!.+"): 3,
            "websocket.*": 4,
        },
    )
    for channel, capacity in {
        "http.request": 7,
        "http.response": 2,
        "websocket.send!one": 3,
        "websocket.other": 4,
        "anything.else": 5,
    }.items():
        assert await fill(layer, channel) == capacity, channel


@pytest.mark.in_memory_differs("it never compiles channel_capacity")
async def test_channel_capacity_holds_for_messages_through_groups(make_layer):
    layer = make_layer(capacity=5, channel_capacity={"small*": 2, "large*": 9})
    for member in ("small", "large", "other"):
        await layer.group_add("group", member)
    for number in range(20):
        await layer.group_send("group", {"number": number})

    assert [len(await drain(layer, member)) for member in ("small", "large", "other")] == [
        2,
        9,
        5,
    ]
