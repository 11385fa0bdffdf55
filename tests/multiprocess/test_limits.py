"""The ends of the memory and of the slots: clear errors, and the layer works on."""

from __future__ import annotations

import os
import re
from typing import Any

import pytest

from asgi_shm import ChannelFull, errors
from tests.support import drain, fill, receive_nowait, run_alone

MIB = 1024 * 1024
SLOTS = 256


async def until_full(operation: Any) -> tuple[int, errors.MemoryFull]:
    """Do something with rising numbers until memory is full: how often, and what is said."""
    for number in range(10_000_000):
        try:
            await operation(number)
        except errors.MemoryFull as error:  # noqa: PERF203 -- the last round
            return number, error
    raise AssertionError("there is no end to it")


async def join(layer: Any, say: Any, total: int) -> list[str]:
    channels = [await layer.new_channel() for _ in range(total)]
    for channel in channels:
        await layer.group_add("group", channel)
    return channels


async def take_each(layer: Any, say: Any, channels: list[str]) -> list[list[Any]]:
    return [await drain(layer, channel) for channel in channels]


async def test_message_memory_full_says_so_and_the_layer_works_on(make_layer):
    layer = make_layer(message_memory=MIB, capacity=100_000)
    for _ in range(3):
        sent = await fill(layer, "channel", {"body": b"x" * 1000})
        assert sent > 500
        with pytest.raises(errors.MemoryFull, match="message_memory") as error:
            await layer.send("other", {"body": b"x" * 1000})
        assert isinstance(error.value, ChannelFull)
        layer._attachment.verify()
        assert len(await drain(layer, "channel")) == sent
    assert await receive_nowait(layer, "other") is None


async def test_a_little_reading_makes_a_little_room(make_layer):
    layer = make_layer(message_memory=MIB, capacity=100_000)
    await fill(layer, "channel", {"body": b"x" * 1000})
    for _ in range(100):
        # A page is given back when the last of its messages is.
        for _ in range(4):
            await layer.receive("channel")
        await layer.send("channel", {"body": b"x" * 1000})


async def test_a_large_message_fits_wherever_its_room_is(make_layer):
    layer = make_layer(message_memory=3 * MIB, capacity=100_000)
    body = {"body": b"x" * 3000}
    sent, _ = await until_full(lambda number: layer.send(f"channel.{number % 2}", body))
    # Every other message goes: what is free is in the smallest pieces.
    assert len(await drain(layer, "channel.0")) == (sent + 1) // 2
    await layer.send("large", {"body": b"y" * MIB})

    assert await receive_nowait(layer, "large") == {"body": b"y" * MIB}
    assert len(await drain(layer, "channel.1")) == sent // 2


async def test_group_send_with_no_memory_left(make_layer):
    layer = make_layer(message_memory=MIB, capacity=100_000)
    await layer.group_add("group", "member")
    sent = await fill(layer, "channel", {"body": b"x" * 3000})
    # The specification: a group send cannot raise ChannelFull.
    await layer.group_send("group", {"body": b"x" * 3000})

    assert await receive_nowait(layer, "member") is None
    assert len(await drain(layer, "channel")) == sent
    await layer.group_send("group", {"type": "again"})
    assert await receive_nowait(layer, "member") == {"type": "again"}


async def test_group_memory_full_says_so_and_the_layer_works_on(make_layer):
    layer = make_layer(group_memory=MIB)
    for _ in range(3):
        added, error = await until_full(
            lambda number: layer.group_add(f"group.{number}", f"member.{number}")
        )
        assert added > 1000
        assert "group_memory" in str(error)
        layer._attachment.verify()
        for number in range(added):
            await layer.group_discard(f"group.{number}", f"member.{number}")
    await layer.group_add("group", "member")
    await layer.group_send("group", {"type": "test"})
    assert await receive_nowait(layer, "member") == {"type": "test"}


@pytest.mark.parametrize("normal", [True, False], ids=["normal", "specific"])
async def test_many_channels_for_as_long_as_memory_lasts(make_layer, normal):
    layer = make_layer()
    name = "channel." if normal else (await layer.new_channel()).partition("!")[0] + "!"
    made, error = await until_full(
        lambda number: layer.send(f"{name}{number}", {"number": number})
    )
    assert re.search("group_memory|message_memory", str(error))
    layer._attachment.verify()

    assert made >= 50_000
    for number in range(made):
        assert run_alone(layer.receive(f"{name}{number}")) == {"number": number}
    await layer.send(f"{name}again", {"type": "test"})
    assert await receive_nowait(layer, f"{name}again") == {"type": "test"}


def test_a_group_of_ten_thousand_over_four_processes(make_peer, layer):
    peers = [make_peer() for _ in range(4)]
    channels = [peer.run(join, 2500) for peer in peers]
    for number in range(3):
        run_alone(layer.group_send("group", {"number": number}))

    for peer, own in zip(peers, channels, strict=True):
        expected = [[{"number": number} for number in range(3)]] * 2500
        assert peer.run(take_each, own) == expected


def test_more_processes_than_slots(make_layer):
    """In children of one process, since each needs no more than to be there."""
    layer = make_layer()
    reading, writing = os.pipe()
    stay, leave = os.pipe()
    children = []
    for _ in range(SLOTS + 2):
        pid = os.fork()
        if pid == 0:
            os.close(leave)
            os.write(writing, attach_and_tell(layer))
            os.read(stay, 1)
            os._exit(0)
        children.append(pid)
    os.close(writing)
    os.close(stay)
    try:
        with os.fdopen(reading) as pipe:
            lines = [pipe.readline() for _ in children]
    finally:
        os.close(leave)
        for pid in children:
            os.waitpid(pid, 0)

    refused = [line for line in lines if line != "attached\n"]
    assert len(refused) == 2
    for line in refused:
        assert re.match(r"NoFreeSlot: .*256", line), line
    # They have gone, and so there is room again.
    run_alone(layer.send("channel", {"type": "test"}))
    assert run_alone(layer.receive("channel")) == {"type": "test"}


def attach_and_tell(layer: Any) -> bytes:
    try:
        run_alone(layer.new_channel())
    except Exception as error:
        return f"{type(error).__name__}: {error}\n".encode()
    return b"attached\n"
