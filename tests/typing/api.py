"""The public API as its users write it: type-checked by `make lint`, never run."""

from __future__ import annotations

import re
from contextlib import aclosing
from typing import Any, Literal

from typing_extensions import assert_type

import asgi_shm
from asgi_shm import (
    ChannelFull,
    Delivery,
    GroupEvent,
    GroupWatch,
    MessageTooLarge,
    ShmChannelLayer,
    SyncShmChannelLayer,
)
from asgi_shm.errors import ConfigError, MemoryFull, SerializationError


def construct() -> ShmChannelLayer:
    try:
        return ShmChannelLayer(
            prefix="site",
            expiry=1.5,
            group_expiry=None,
            capacity=10,
            channel_capacity={"http.*": 5, re.compile(r"specific\."): 20},
            message_memory=1_000_000_000,
            group_memory=100_000_000,
            max_message_size=1_000_000,
            mode=0o660,
            group="www-data",
        )
    except ConfigError as error:
        assert_type(error.option, str)
        assert_type(error.value, object)
        assert_type(error.allowed, str)
    return ShmChannelLayer()


async def use(layer: ShmChannelLayer) -> None:
    channel = await layer.new_channel()
    assert_type(channel, str)
    await layer.new_channel(prefix="mine")
    await layer.group_add("room", channel)
    try:
        await layer.send(channel, {"type": "chat.message", "text": "hello"})
        await layer.group_send("room", {"type": "chat.message", "n": [1, 2.5, None, b"x"]})
    except SerializationError as error:
        assert_type(error.path, str)
    except (MemoryFull, MessageTooLarge, ChannelFull):
        pass
    assert_type(await layer.receive(channel), dict[str, Any])
    await layer.group_discard("room", channel)
    await layer.flush()
    await layer.close()


async def watch(layer: ShmChannelLayer) -> None:
    async with aclosing(layer.watch_group("room")) as events:
        async for event in events:
            assert_type(event, GroupEvent)
            assert_type(event.kind, Literal["join", "leave", "death"])
            assert_type(event.count, int)


def watch_in_a_thread(layer: SyncShmChannelLayer) -> None:
    with layer.watch_group("room") as watch:
        assert_type(watch, GroupWatch)
        assert_type(watch.get(timeout=1.5), GroupEvent | None)
        for event in watch:
            assert_type(event, GroupEvent)


async def look(layer: ShmChannelLayer) -> None:
    await layer.send("work", {}, expiry=1.5, timeout=2)
    assert_type(
        await layer.group_send("room", {}, exclude=["work"], report=True), Delivery | None
    )
    assert_type(await layer.group_channels("room"), list[str])
    assert_type(await layer.group_count("room"), int)
    assert_type(await layer.channel_size("work"), int)
    assert_type(await layer.channel_statistics("work"), dict[str, float])
    await layer.discard_all("work")


def without_a_loop() -> None:
    with SyncShmChannelLayer(prefix="site") as layer:
        assert_type(layer, SyncShmChannelLayer)
        layer.send("work", {}, timeout=1)
        channel, message = layer.receive(["work"], block=True, timeout=0.5)
        assert_type(channel, str | None)
        assert_type(message, dict[str, Any] | None)
        assert_type(layer.group_channels("room"), list[str])


def attributes(layer: ShmChannelLayer) -> None:
    assert_type(layer.extensions, list[str])
    assert_type(layer.expiry, float)
    assert_type(layer.group_expiry, float | None)
    assert_type(layer.capacity, int)
    full: type[Exception] = layer.ChannelFull
    large: type[Exception] = layer.MessageTooLarge
    assert full is not large


def clean_up() -> None:
    asgi_shm.unlink("site")
