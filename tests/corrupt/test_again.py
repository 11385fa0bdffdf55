"""SegmentCorrupt is not for ever: once the segment is removed the same layer works again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from asgi_shm import SegmentCorrupt, SegmentForeign, ShmChannelLayer, unlink
from asgi_shm.segment import object_path
from tests.support import soon

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MESSAGE = {"type": "test"}
GARBAGE = b"\xa5"


@pytest.fixture
async def layer(prefix: str) -> AsyncIterator[Any]:
    layer = ShmChannelLayer(prefix=prefix)
    yield layer
    await layer.close()


def damage(prefix: str, first: int) -> None:
    """Everything from an offset to what is in use."""
    with object_path(prefix).open("r+b") as file:
        file.seek(first)
        file.write(GARBAGE * (0x100000 - first))


async def works(layer: Any) -> None:
    mine = await layer.new_channel()
    await layer.group_add("group", mine)
    await layer.group_send("group", MESSAGE)
    assert await soon(layer.receive(mine)) == MESSAGE
    layer._attachment.verify()


async def fails(layer: Any) -> None:
    for call in (layer.send("channel", MESSAGE), layer.receive("channel"), layer.flush()):
        with pytest.raises(SegmentCorrupt, match=r"asgi_shm\.unlink"):
            await soon(call)


async def test_one_that_is_attached(layer, prefix):
    await works(layer)
    damage(prefix, 4096)
    await fails(layer)
    unlink(prefix)
    await works(layer)


async def test_one_that_opens_it(layer, prefix):
    other = ShmChannelLayer(prefix=prefix)
    await works(other)
    damage(prefix, 0)
    with pytest.raises((SegmentCorrupt, SegmentForeign), match=r"remove|asgi_shm\.unlink"):
        await layer.send("channel", MESSAGE)
    unlink(prefix)
    await works(layer)
    await other.close()


async def test_one_that_waits(layer, prefix):
    """A receiver is told of the damage; one that comes later waits in the new segment."""
    receiver = asyncio.ensure_future(layer.receive("channel"))
    await asyncio.sleep(0)
    damage(prefix, 4096)
    with pytest.raises(SegmentCorrupt):
        await soon(receiver)
    unlink(prefix)
    receiver = asyncio.ensure_future(layer.receive("channel"))
    await asyncio.sleep(0)
    await layer.send("channel", MESSAGE)
    assert await soon(receiver) == MESSAGE


async def test_one_in_a_segment_that_another_process_made_anew(layer, prefix):
    await works(layer)
    damage(prefix, 4096)
    unlink(prefix)
    other = ShmChannelLayer(prefix=prefix)
    await other.send("channel", MESSAGE)
    assert await soon(layer.receive("channel")) == MESSAGE
    await other.close()
