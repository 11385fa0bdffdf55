"""Expiry of messages and memberships ("Channels", "Persistence"), on a clock that is told."""

from __future__ import annotations

import asyncio

import pytest

from tests.support import drain, fill, receive_nowait, soon

layers_apart = pytest.mark.in_memory_differs("each of its layers is alone")


async def test_a_message_is_delivered_up_to_its_time(make_layer, clock):
    layer = make_layer(expiry=10)
    await layer.send("channel", {"type": "test"})
    clock.advance(9.999)

    assert await receive_nowait(layer, "channel") == {"type": "test"}


async def test_a_message_is_never_delivered_after_its_time(make_layer, clock):
    layer = make_layer(expiry=10)
    channel = await layer.new_channel()
    await layer.send("channel", {"type": "test"})
    await layer.send(channel, {"type": "test"})
    clock.advance(10.001)

    assert await receive_nowait(layer, "channel") is None
    assert await receive_nowait(layer, channel) is None


async def test_a_message_of_a_group_is_never_delivered_after_its_time(make_layer, clock):
    layer = make_layer(expiry=10)
    channel = await layer.new_channel()
    for member in ("member", channel):
        await layer.group_add("group", member)
    await layer.group_send("group", {"type": "test"})
    clock.advance(10.001)

    for member in ("member", channel):
        assert await receive_nowait(layer, member) is None


async def test_each_message_has_a_time_of_its_own(make_layer, clock):
    layer = make_layer(expiry=10)
    for number in range(5):
        await layer.send("channel", {"number": number})
        clock.advance(2)
    clock.advance(3)

    assert [message["number"] for message in await drain(layer, "channel")] == [2, 3, 4]


@pytest.mark.in_memory_differs("it takes whole seconds only")
async def test_expiry_may_be_a_fraction_of_a_second(make_layer, clock):
    layer = make_layer(expiry=0.25)
    await layer.send("early", {"type": "test"})
    await layer.send("late", {"type": "test"})
    clock.advance(0.249)
    assert await receive_nowait(layer, "early") == {"type": "test"}
    clock.advance(0.002)

    assert await receive_nowait(layer, "late") is None


@layers_apart
@pytest.mark.one_prefix
async def test_the_expiry_is_that_of_the_sender(make_layer, clock):
    brief, patient = make_layer(expiry=1), make_layer(expiry=100)
    await patient.send("channel", {"type": "patient"})
    await brief.send("channel", {"type": "brief"})
    await patient.send("channel", {"type": "patient"})
    clock.advance(2)

    assert await drain(patient, "channel") == [{"type": "patient"}, {"type": "patient"}]


async def test_a_message_after_an_expired_one_is_delivered(make_layer, clock):
    layer = make_layer(expiry=10)
    await layer.send("channel", {"type": "old"})
    clock.advance(11)
    await layer.send("channel", {"type": "new"})

    assert await soon(layer.receive("channel")) == {"type": "new"}


@pytest.mark.in_memory_differs("a receiver that waits holds a queue that is swept away")
async def test_a_receiver_that_waits_outlives_any_expiry(make_layer, clock):
    layer = make_layer(expiry=10, group_expiry=20)
    waiting = asyncio.create_task(layer.receive("channel"))
    await asyncio.sleep(0)
    for _ in range(5):
        clock.advance(100)
        await layer.send("elsewhere", {"type": "passing"})
        await drain(layer, "elsewhere")
    assert not waiting.done()
    await layer.send("channel", {"type": "at last"})

    assert await soon(waiting) == {"type": "at last"}


@pytest.mark.in_memory_differs("it has no memory of a fixed size")
async def test_expired_memory_comes_back_without_a_reader(make_layer, clock):
    layer = make_layer(expiry=10, capacity=10_000, message_memory=1024 * 1024)

    first = await fill(layer, "never.read", {"body": b"x" * 3000})
    clock.advance(10.001)

    assert await fill(layer, "another", {"body": b"x" * 3000}) == first > 100


@pytest.mark.in_memory_differs("it keeps no account of its memory")
async def test_expired_channels_and_memberships_leave_no_record(make_layer, clock):
    layer = make_layer(expiry=10, group_expiry=20)
    for number in range(100):
        await layer.send(f"channel.{number}", {"type": "test"})
        await layer.group_add(f"group.{number}", f"member.{number}")
    before = layer._attachment.info()
    clock.advance(21)
    layer._attachment.sweep()
    after = layer._attachment.info()

    assert (before.messages, before.groups, before.memberships) == (100, 100, 100)
    assert (after.messages, after.groups, after.memberships, after.channels) == (0, 0, 0, 0)
    assert after.message_used == 0


async def test_a_membership_lives_for_group_expiry(make_layer, clock):
    layer = make_layer(expiry=1000, group_expiry=100)
    await layer.group_add("group", "member")
    clock.advance(99)
    await layer.group_send("group", {"type": "in time"})
    clock.advance(3)
    await layer.group_send("group", {"type": "too late"})

    assert await drain(layer, "member") == [{"type": "in time"}]


async def test_a_membership_counts_from_the_last_group_add(make_layer, clock):
    layer = make_layer(expiry=1000, group_expiry=100)
    await layer.group_add("group", "member")
    clock.advance(60)
    await layer.group_add("group", "member")
    clock.advance(60)
    await layer.group_send("group", {"type": "renewed"})

    assert await drain(layer, "member") == [{"type": "renewed"}]


# What is due to be looked after is, by the first operation after a while. Here that is not
# to be the group send, so that its message is delivered as late as can be.


@layers_apart
@pytest.mark.one_prefix
async def test_a_membership_that_ends_after_the_send_counts(make_layer, clock):
    sender, owner = make_layer(group_expiry=10), make_layer(group_expiry=10)
    channel = await owner.new_channel()
    await owner.group_add("group", channel)
    clock.advance(9)
    assert await receive_nowait(sender, "elsewhere") is None
    await sender.group_send("group", {"type": "in time"})
    clock.advance(5)

    assert await drain(owner, channel) == [{"type": "in time"}]


@layers_apart
@pytest.mark.one_prefix
async def test_room_that_comes_after_the_send_does_not_count(make_layer, clock):
    sender = make_layer(expiry=10, capacity=1)
    owner = make_layer(expiry=10, capacity=1)
    channel = await owner.new_channel()
    await owner.group_add("group", channel)
    await sender.send(channel, {"type": "expires"})
    clock.advance(5)
    assert await receive_nowait(sender, "elsewhere") is None
    await sender.group_send("group", {"type": "has no room"})
    clock.advance(6)

    assert await drain(owner, channel) == []


@pytest.mark.in_memory_differs("it has no endless membership")
async def test_group_expiry_none_is_for_ever(make_layer, clock):
    layer = make_layer(group_expiry=None)
    await layer.group_add("group", "member")
    clock.advance(20 * 365 * 86400)
    await layer.group_send("group", {"type": "still"})

    assert await drain(layer, "member") == [{"type": "still"}]


async def test_membership_persists_until_a_message_expires(make_layer, clock):
    layer = make_layer(expiry=60)
    await layer.group_add("group", "member")
    for _ in range(10):
        await layer.group_send("group", {"type": "test"})
        clock.advance(59)
        assert await receive_nowait(layer, "member") == {"type": "test"}


@pytest.mark.in_memory_differs("it ends a membership with the first message that expires")
async def test_a_live_member_survives_the_expiry_of_its_messages(make_layer, clock):
    layer = make_layer(expiry=10, group_expiry=1000)
    await layer.group_add("group", "member")
    await layer.group_send("group", {"type": "unread"})
    clock.advance(11)
    await layer.group_send("group", {"type": "read"})

    assert await drain(layer, "member") == [{"type": "read"}]
