"""Who is in a group and what is in a channel: what we have beside the specification."""

from __future__ import annotations

import pytest

from asgi_shm import ChannelFull, ConfigError, Delivery, InvalidName

pytestmark = pytest.mark.in_memory_differs("it has nothing of the kind")


@pytest.mark.one_prefix
async def test_group_channels(make_layer):
    one, other = make_layer(), make_layer()
    own = await other.new_channel()
    await one.group_add("group", "channel")
    await one.group_add("group", own)

    assert sorted(await one.group_channels("group")) == sorted(["channel", own])
    assert await other.group_count("group") == 2
    await other.close()
    assert await one.group_channels("group") == ["channel"]
    assert (await one.group_channels("nobody"), await one.group_count("nobody")) == ([], 0)


async def test_memberships_that_are_over_are_none(make_layer, clock):
    layer = make_layer(group_expiry=10)
    await layer.group_add("group", "one")
    clock.advance(6)
    await layer.group_add("group", "two")
    clock.advance(6)

    assert await layer.group_channels("group") == ["two"]
    assert await layer.group_count("group") == 1


async def test_discard_all(layer):
    for group in ("one", "two"):
        await layer.group_add(group, "channel")
        await layer.group_add(group, "other")
    await layer.discard_all("channel")

    assert await layer.group_channels("one") == ["other"]
    assert await layer.group_channels("two") == ["other"]


async def test_statistics(make_layer, clock):
    layer = make_layer(capacity=2)
    for _ in range(2):
        await layer.send("channel", {})
        clock.advance(10)
    with pytest.raises(ChannelFull):
        await layer.send("channel", {})
    found = await layer.channel_statistics("channel")

    assert found.pop("messages_max_age") == pytest.approx(20, abs=0.1)
    assert found == {"messages_count": 2, "messages_pending": 2, "channel_full_count": 1}
    assert await layer.channel_size("channel") == 2
    assert await layer.global_statistics() == found
    assert "statistics" in layer.extensions


async def test_the_expiry_of_one_message(make_layer, clock):
    layer = make_layer(expiry=60)
    await layer.send("channel", {"number": 1}, expiry=10)
    await layer.send("channel", {"number": 2}, expiry=100)
    clock.advance(61)

    assert await layer.receive("channel") == {"number": 2}
    with pytest.raises(ConfigError, match="expiry"):
        await layer.send("channel", {}, expiry=0)


async def test_bad_names(layer):
    for question in (layer.group_channels, layer.group_count, layer.channel_size):
        with pytest.raises(InvalidName):
            await question("a b")
    with pytest.raises(InvalidName):
        await layer.discard_all("a b")


@pytest.mark.one_prefix
async def test_members_that_are_left_out(make_layer):
    one, other = make_layer(), make_layer()
    mine, theirs = await one.new_channel(), await other.new_channel()
    for channel in (mine, theirs, "work"):
        await one.group_add("group", channel)
    await one.group_send("group", {"number": 1}, exclude=[mine])
    await one.group_send("group", {"number": 2}, exclude={theirs, "work", "nobody"})
    await one.group_send("group", {"number": 3})

    assert [await one.receive(mine) for _ in range(2)] == [{"number": 2}, {"number": 3}]
    assert [await other.receive(theirs) for _ in range(2)] == [{"number": 1}, {"number": 3}]
    assert [await one.receive("work") for _ in range(2)] == [{"number": 1}, {"number": 3}]
    for exclude in ("work", ["a b"], [1], [""]):
        with pytest.raises(InvalidName):
            await one.group_send("group", {}, exclude=exclude)


@pytest.mark.one_prefix
async def test_a_report(make_layer):
    one, other = make_layer(capacity=1), make_layer(capacity=1)
    for layer in (one, other):
        await layer.group_add("group", await layer.new_channel())
    await one.group_add("group", "work")
    await one.send("work", {})

    assert await one.group_send("group", {}, report=True) == Delivery(delivered=2, full=1)
    assert await one.group_send("group", {}, report=True) == Delivery(0, 3)
    assert await one.group_send("nobody", {}, report=True) == Delivery(0, 0)
    assert await one.group_send("group", {}) is None


async def test_the_expiry_of_one_group_message(make_layer, clock):
    layer = make_layer(expiry=60)
    await layer.group_add("group", "channel")
    await layer.group_send("group", {"number": 1}, expiry=10)
    await layer.group_send("group", {"number": 2}, expiry=100)
    clock.advance(61)

    assert await layer.receive("channel") == {"number": 2}
