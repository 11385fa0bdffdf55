"""The bytes of a segment in use, to damage copies of it."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from asgi_shm import ShmChannelLayer
from asgi_shm.segment import object_path

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1 << 20
PAGE = 4096
ZEROS = bytes(PAGE)
OPTIONS: dict[str, Any] = {
    "capacity": 1000,
    "message_memory": MIB,
    "group_memory": MIB,
    "max_message_size": MIB // 4,
}
NORMAL = [f"normal.{n}" for n in range(12)]
FAMILY = [f"family!{n}" for n in range(3)]
GROUPS = [f"group.{n}" for n in range(4)]


@dataclass
class Image:
    """A segment as a process would find it."""

    data: bytes
    own: list[str]  # channels of processes that are gone

    def used_pages(self) -> list[int]:
        return [
            at for at in range(0, len(self.data), PAGE) if self.data[at : at + PAGE] != ZEROS
        ]

    def header_words(self) -> list[int]:
        """Offsets of the header's words, up to the last that is not zero."""
        end = max(at for at in range(PAGE) if self.data[at])
        return list(range(0, end + 4, 4))


def take_image(prefix: str) -> Image:
    """Everything that a segment may hold, left by processes that were killed."""
    layer = ShmChannelLayer(prefix=prefix, **OPTIONS)
    asyncio.run(fill_commons(layer))
    readers = [start_reader(prefix) for _ in range(2)]
    own = [line for _, line in readers]
    asyncio.run(fill_own(layer, own))
    data = object_path(prefix).read_bytes()
    for pid, _ in readers:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    asyncio.run(layer.close())
    return Image(data, own)


async def fill_commons(layer: ShmChannelLayer) -> None:
    """Rings of each size, messages of each size, groups, memberships."""
    for number, channel in enumerate([*NORMAL, *FAMILY]):
        for serial in range((0, 1, 3, 10, 40, 100, 200, 280, 600)[number % 9]):
            size = (0, 100, 1000, 3000)[serial % 4] if serial < 20 else 0
            await layer.send(channel, {"type": "some", "data": b"x" * size})
    await layer.send(NORMAL[0], {"type": "large", "data": b"x" * 50_000})
    for number in range(60):
        await layer.group_add(GROUPS[number % 4], f"member.{number % 20}")
    for group in GROUPS:
        await layer.group_send(group, {"type": "some"})


async def fill_own(layer: ShmChannelLayer, own: list[str]) -> None:
    """Messages of others, and broadcasts that nobody has settled."""
    for channel in own:
        for group in GROUPS:
            await layer.group_add(group, channel)
    for group in GROUPS:
        await layer.group_send(group, {"type": "some", "data": b"y" * 300})


def start_reader(prefix: str) -> tuple[int, str]:
    """A process that waits for many channels and then goes no further."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            asyncio.run(wait_for_many(prefix, theirs))
        finally:
            os._exit(1)
    os.close(theirs)
    with os.fdopen(ours) as pipe:
        return pid, pipe.readline().strip()


async def wait_for_many(prefix: str, pipe: int) -> None:
    layer = ShmChannelLayer(prefix=prefix, **OPTIONS)
    own = await layer.new_channel()
    channels = [own, "family!", *(f"empty.{n}" for n in range(10)), *FAMILY, NORMAL[0]]
    tasks = [asyncio.ensure_future(layer.receive(channel)) for channel in channels]
    await asyncio.sleep(0.05)
    os.write(pipe, f"{own}\n".encode())
    signal.pause()
    del tasks


# -- damage -----------------------------------------------------------------------------

VALUES = (0, 1, 2, 7, 255, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def word_values(old: int, rng: random.Random) -> Iterator[int]:
    """What a word of 32 bits is set to."""
    yield from (value for value in VALUES if value != old)
    yield old ^ 1 << rng.randrange(32)
    yield (old + 1) & 0xFFFFFFFF
    yield rng.getrandbits(32)


def with_word(data: bytes, at: int, value: int) -> bytearray:
    damaged = bytearray(data)
    damaged[at : at + 4] = value.to_bytes(4, "little")
    return damaged


def scribble(image: Image, pages: list[int], rng: random.Random) -> bytearray:
    """Damage a few words, or many, in pages that are in use."""
    damaged = bytearray(image.data)
    for _ in range(rng.choice((1, 2, 5, 20, 100, 1000))):
        at = rng.choice(pages) + rng.randrange(PAGE // 4) * 4
        old = int.from_bytes(damaged[at : at + 4], "little")
        if old == 0 and rng.random() < 0.7:  # what is in use says more
            continue
        value = rng.choice(list(word_values(old, rng)))
        damaged[at : at + 4] = value.to_bytes(4, "little")
    return damaged
