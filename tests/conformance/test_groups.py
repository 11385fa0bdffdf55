"""The groups extension ("Groups", "Specification Details")."""

from __future__ import annotations

import asyncio

import pytest

from tests.support import drain, receive_nowait, run_alone, soon


async def test_every_member_receives_once(layer):
    members = [
        "normal",
        "specific.client!local",
        *[await layer.new_channel() for _ in range(3)],
    ]
    for member in members:
        await layer.group_add("group", member)
    await layer.group_send("group", {"type": "test"})

    for member in members:
        assert await drain(layer, member) == [{"type": "test"}]


async def test_adding_twice_is_adding_once(layer):
    await layer.group_add("group", "member")
    await layer.group_add("group", "member")
    await layer.group_send("group", {"type": "test"})
    assert await drain(layer, "member") == [{"type": "test"}]
    await layer.group_discard("group", "member")
    await layer.group_send("group", {"type": "test"})

    assert await receive_nowait(layer, "member") is None


async def test_discard_ends_the_membership_and_no_other(layer):
    for member in ("goes", "stays"):
        for group in ("group", "other"):
            await layer.group_add(group, member)
    await layer.group_discard("group", "goes")
    await layer.group_send("group", {"type": "group"})
    await layer.group_send("other", {"type": "other"})

    assert await drain(layer, "goes") == [{"type": "other"}]
    assert await drain(layer, "stays") == [{"type": "group"}, {"type": "other"}]


async def test_discarding_what_is_no_member_does_nothing(layer):
    await layer.group_discard("nothing", "nobody")
    await layer.group_add("group", "member")
    await layer.group_discard("group", "nobody")
    await layer.group_discard("group", await layer.new_channel())
    await layer.group_send("group", {"type": "test"})

    assert await drain(layer, "member") == [{"type": "test"}]


async def test_sending_to_an_empty_group_does_nothing(layer):
    await layer.group_send("nobody", {"type": "test"})


async def test_who_joins_after_the_send_does_not_receive(layer):
    await layer.group_add("group", "early")
    await layer.group_send("group", {"type": "test"})
    await layer.group_add("group", "late")

    assert await receive_nowait(layer, "late") is None
    assert await drain(layer, "early") == [{"type": "test"}]


async def test_who_leaves_after_the_send_receives(layer):
    channel = await layer.new_channel()
    for member in ("member", channel):
        await layer.group_add("group", member)
    await layer.group_send("group", {"type": "test"})
    for member in ("member", channel):
        await layer.group_discard("group", member)

    for member in ("member", channel):
        assert await drain(layer, member) == [{"type": "test"}]


async def test_a_channel_is_in_many_groups(make_layer):
    layer = make_layer(capacity=1000)
    for number in range(300):
        await layer.group_add(f"group.{number}", "member")
    for number in range(300):
        await layer.group_send(f"group.{number}", {"number": number})

    assert [message["number"] for message in await drain(layer, "member")] == list(range(300))


async def test_a_group_and_a_channel_of_one_name_are_two_things(layer):
    await layer.group_add("name", "member")
    await layer.send("name", {"to": "channel"})
    await layer.group_send("name", {"to": "group"})

    assert await drain(layer, "name") == [{"to": "channel"}]
    assert await drain(layer, "member") == [{"to": "group"}]


@pytest.mark.in_memory_differs("its group_send starts a task for each member")
async def test_group_send_never_waits(layer):
    await layer.group_add("group", "member")
    run_alone(layer.group_send("group", {"type": "test"}))

    assert await drain(layer, "member") == [{"type": "test"}]


@pytest.mark.in_memory_differs("it takes minutes")
async def test_a_group_of_ten_thousand(layer):
    members = [await layer.new_channel() for _ in range(10_000)]
    for member in members:
        await layer.group_add("group", member)
    waiting = [asyncio.create_task(layer.receive(member)) for member in members[:1000]]
    await asyncio.sleep(0)
    await layer.group_send("group", {"type": "test"})

    assert await soon(asyncio.gather(*waiting)) == [{"type": "test"}] * 1000
    for member in members[1000:]:
        assert await receive_nowait(layer, member) == {"type": "test"}
    for member in members[::2]:
        await layer.group_discard("group", member)
    await layer.group_send("group", {"type": "half"})
    arrived = [await receive_nowait(layer, member) for member in members]
    assert arrived == [None, {"type": "half"}] * 5000
