"""Each member of a group gets a message of its own, though one body is sent to all."""

from __future__ import annotations

import asyncio

import msgpack
import pytest
import pytest_asyncio

from asgi_shm import ShmChannelLayer, _receiver, serializers
from asgi_shm._calls import forget, serialize_with
from asgi_shm.serializers import pack
from tests.support import soon

COUNT = 5
NESTED = {"type": "test", "list": [1, {"deep": ["a", []]}], "dict": {"b": {"c": [b"d", None]}}}
LARGE = {"type": "test", "list": ["x" * 2000]}


async def members_of(layer, group):
    channels = [await layer.new_channel() for _ in range(COUNT)]
    for channel in channels:
        await layer.group_add(group, channel)
    return channels


def spoil(value):
    """Change whatever can be changed, as deep as it goes."""
    inner = list(value.values()) if isinstance(value, dict) else list(value)
    for each in inner:
        if isinstance(each, (dict, list)):
            spoil(each)
    value.clear()


@pytest.mark.parametrize("message", [{"type": "test"}, NESTED, LARGE])
@pytest.mark.parametrize("waiting", [False, True])
async def test_what_one_does_to_its_message_no_other_sees(layer, message, waiting):
    channels = await members_of(layer, "group")
    for _ in range(2):
        tasks = [asyncio.create_task(layer.receive(channel)) for channel in channels * waiting]
        await asyncio.sleep(0)
        await layer.group_send("group", message)
        for task in tasks or map(layer.receive, channels):
            received = await soon(task)
            assert received == message
            spoil(received)


async def test_bodies_that_differ_in_a_byte_are_not_taken_for_one_another(layer):
    channels = await members_of(layer, "group")
    messages = [{"type": "test", "number": number, "text": "é" * 20} for number in range(60)]
    for message in messages:
        await layer.group_send("group", message)
    for channel in channels:
        assert [await soon(layer.receive(channel)) for _ in messages] == messages


def unpack_with(unpackb):
    serialize_with(
        msgpack.Packer, unpackb, serializers._pack_otherwise, serializers._unpack_otherwise
    )


@pytest_asyncio.fixture
async def unpacked(layer):
    """The bodies that were unpacked and not copied, while others wait in this loop."""
    bodies = []

    def unpackb(body):
        bodies.append(body)
        return msgpack.unpackb(body)

    forget()
    waiting = [asyncio.create_task(layer.receive(await layer.new_channel())) for _ in range(2)]
    await asyncio.sleep(0)
    unpack_with(unpackb)
    yield bodies
    unpack_with(msgpack.unpackb)
    for task in waiting:
        task.cancel()


@pytest.mark.in_memory_differs("it copies what the sender has")
async def test_the_first_unpacks_for_all_but_the_last(layer, unpacked):
    channels = await members_of(layer, "group")
    await layer.group_send("group", NESTED)
    for channel in channels:
        assert await soon(layer.receive(channel)) == NESTED
    assert len(unpacked) == 2


@pytest.fixture
def short_tick(monkeypatch):
    monkeypatch.setattr(_receiver, "TICK", 0.01)


@pytest.mark.in_memory_differs("it copies what the sender has")
async def test_the_tick_forgets_what_was_kept(short_tick, layer, unpacked):
    channels = await members_of(layer, "group")
    for _ in range(2):
        await layer.group_send("group", {"type": "test", "forgotten": True})
        for channel in channels:
            await soon(layer.receive(channel))
        await asyncio.sleep(0.05)
    assert len(unpacked) == 4


@pytest.mark.in_memory_differs("it copies what the sender has")
async def test_no_more_is_kept_than_a_few_channels_hold(layer, unpacked):
    messages = [{"type": "test", "number": number} for number in range(1000)]
    channels = await members_of(layer, "group")
    for message in [*messages, messages[999], messages[0]]:
        await layer.group_send("group", message)
        for channel in channels:
            assert await soon(layer.receive(channel)) == message
    assert len(unpacked) == 2 * len(messages) + 3
    assert unpacked[-3:] == [pack(messages[number]) for number in (999, 0, 0)]


@pytest.mark.one_prefix
@pytest.mark.in_memory_differs("it copies what the sender has")
async def test_nothing_is_kept_where_nobody_else_waits(layer, unpacked):
    channels = await members_of(layer, "group")
    alone = ShmChannelLayer(prefix=layer.config.prefix)  # its process has no other channel
    channels.append(await alone.new_channel())
    await layer.group_add("group", channels[-1])
    await alone.group_send("group", {"type": "test", "alone": True})
    assert await soon(alone.receive(channels[-1])) == {"type": "test", "alone": True}
    await soon(layer.receive(channels[0]))
    assert len(unpacked) == 2
    await alone.close()


@pytest.mark.in_memory_differs("it copies what the sender has")
async def test_a_layer_that_is_closed_forgets_what_was_kept(layer, unpacked):
    channels = await members_of(layer, "group")
    for other in [ShmChannelLayer(prefix=None) for _ in range(2)]:
        await layer.group_send("group", {"type": "test", "closed": True})
        for channel in channels:
            await soon(layer.receive(channel))
        await other.close()
    assert len(unpacked) == 4
