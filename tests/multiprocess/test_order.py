"""Order between processes: what one writer sends, one reader sees in that order."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from asgi_shm import ChannelFull

TOTAL = 2000


async def read(layer: Any, say: Any, channel: str | None, total: int) -> list[Any]:
    """Receive so many messages of a channel; of a new one, whose name is said, if None."""
    if channel is None:
        channel = await layer.new_channel()
        await layer.group_add("readers", channel)
        say(channel)
    return [await layer.receive(channel) for _ in range(total)]


async def write(layer: Any, say: Any, channel: str, writer: int, total: int) -> None:
    """Send so many numbered messages; when the channel is full, try again."""
    for number in range(total):
        while True:
            try:
                await layer.send(channel, {"writer": writer, "number": number})
                break
            except ChannelFull:
                await asyncio.sleep(0.001)


async def write_mixed(layer: Any, say: Any, channel: str, total: int) -> None:
    """Send by name and through the group in turn."""
    for number in range(total):
        if number % 3:
            await layer.send(channel, {"number": number})
        else:
            await layer.group_send("readers", {"number": number})


@pytest.mark.parametrize("normal", [True, False], ids=["normal", "specific"])
def test_one_writer_and_one_reader(make_peer, normal):
    writer, reader = make_peer(), make_peer()
    reader.begin(read, "channel" if normal else None, TOTAL)
    writer.begin(write, "channel" if normal else reader.hear(), 0, TOTAL)

    assert [message["number"] for message in reader.hear()] == list(range(TOTAL))
    assert writer.hear() is None


def test_send_and_group_send_mixed(make_peer):
    writer, reader = make_peer(capacity=TOTAL), make_peer(capacity=TOTAL)
    reader.begin(read, None, TOTAL)
    writer.run(write_mixed, reader.hear(), TOTAL)

    assert [message["number"] for message in reader.hear()] == list(range(TOTAL))


def test_many_writers_each_in_its_order(make_peer):
    reader, writers = make_peer(), [make_peer() for _ in range(3)]
    reader.begin(read, None, 3 * TOTAL)
    channel = reader.hear()
    for index, writer in enumerate(writers):
        writer.begin(write, channel, index, TOTAL)
    messages = reader.hear()

    for index in range(3):
        numbers = [message["number"] for message in messages if message["writer"] == index]
        assert numbers == list(range(TOTAL))
    assert [writer.hear() for writer in writers] == [None] * 3
