"""A segment of another layout, half-made, or garbage under our name.

Each is a clear error or a clean new start, never a signal and never a hang; so each is
opened in a process of its own.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from typing import TYPE_CHECKING, Any

import pytest

from asgi_shm import ShmChannelLayer, errors, unlink
from tests.multiprocess.peer import Peer
from tests.support import SHM, fresh_prefix, leftovers, run_alone, soon

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


async def talk(layer: Any, say: Any) -> str:
    """Use everything once."""
    channel = await layer.new_channel()
    await layer.group_add("group", channel)
    receiver = asyncio.create_task(layer.receive(channel))
    await asyncio.sleep(0)
    await layer.group_send("group", {"type": "test"})
    assert await soon(receiver) == {"type": "test"}
    layer._attachment.verify()
    return "works"


@pytest.fixture
def prefix() -> Iterator[str]:
    """A prefix whose segment need not be sound in the end."""
    name = fresh_prefix()
    yield name
    unlink(name)
    for left in leftovers(name):
        (SHM / left).unlink()


def segment_path(prefix: str) -> Path:
    """Where the segment of a prefix stands, as a layer makes it; none stands there after."""
    layer = ShmChannelLayer(prefix=prefix)
    run_alone(layer.send("channel", {"type": "test"}))
    paths = [SHM / name for name in leftovers(prefix)]
    asyncio.run(layer.close())
    largest = max(paths, key=lambda path: path.stat().st_size)
    unlink(prefix)
    assert leftovers(prefix) == []
    return largest


def works_or_says_why(prefix: str) -> str:
    """What a new process makes of what stands under the prefix's name."""
    peer = Peer(prefix)
    try:
        return peer.run(talk)
    except errors.SegmentError as error:
        return f"{type(error).__name__} of {prefix if prefix in str(error) else '?'}"
    finally:
        peer.close()


GARBAGE = {
    "text": b"this is no segment\n" * 1000,
    "random": secrets.token_bytes(1024 * 1024),
    "ones": b"\xff" * 1024 * 1024,
    "one byte": b"x",
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_under_our_name_is_refused_and_left_alone(prefix, garbage):
    path = segment_path(prefix)
    path.write_bytes(garbage)
    path.chmod(0o600)

    assert works_or_says_why(prefix) == f"SegmentForeign of {prefix}"
    assert path.read_bytes() == garbage
    unlink(prefix)
    assert works_or_says_why(prefix) == "works"


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 1024 * 1024, 200 * 1024 * 1024])
def test_a_segment_of_zeros_is_made_anew(prefix, size):
    """What a creator leaves that dies between making the object and formatting it."""
    path = segment_path(prefix)
    path.touch(0o600)
    os.truncate(path, size)

    assert works_or_says_why(prefix) == "works"


@pytest.mark.parametrize("pages", [0, 1, 2, 100])
def test_a_truncated_segment_is_refused_or_made_anew(prefix, pages):
    path = segment_path(prefix)
    first = Peer(prefix)
    assert first.run(talk) == "works"
    first.close()
    os.truncate(path, 4096 * pages)

    assert works_or_says_why(prefix) in {
        "works",
        f"SegmentCorrupt of {prefix}",
        f"SegmentForeign of {prefix}",
    }
    unlink(prefix)
    assert works_or_says_why(prefix) == "works"


def test_another_layout_is_refused(prefix):
    """The signature stands in the first page: any other value there is another build's."""
    path = segment_path(prefix)
    first = Peer(prefix)
    assert first.run(talk) == "works"
    first.close()
    with path.open("r+b") as file:
        magic = file.read(8)
        signature = file.read(8)
        file.seek(8)
        file.write(bytes(byte ^ 1 for byte in signature))
    assert magic != bytes(8)

    assert works_or_says_why(prefix) == f"SegmentLayoutMismatch of {prefix}"
    unlink(prefix)
    assert works_or_says_why(prefix) == "works"


def test_lost_semaphores_are_replaced(prefix):
    """tmpfiles cleaners and careless rm commands take single files."""
    first = Peer(prefix)
    assert first.run(talk) == "works"
    first.close()
    for name in leftovers(prefix):
        if name.startswith("sem."):
            (SHM / name).unlink()

    assert works_or_says_why(prefix) == "works"
