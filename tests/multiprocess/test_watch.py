"""Who watches a group is told who joins and leaves it, and who dies in it, in any process."""

from __future__ import annotations

import asyncio
import gc
import threading
from contextlib import aclosing
from typing import Any

import pytest

from asgi_shm import (
    GroupEvent,
    InvalidName,
    LayerClosed,
    SyncShmChannelLayer,
    _blocking,
    _receiver,
    unlink,
)
from tests.multiprocess.test_fork import in_child
from tests.support import TIMEOUT, join, leave, soon


def watched(layer: Any) -> int:
    """The buckets that anybody watches, as the segment says."""
    layer._attachment.verify()
    return len(layer._receiver.watchers._by_bucket)


async def come_in(layer: Any, say: Any, total: int) -> None:
    """Join with some channels, one after another, and stay until the end."""
    for _ in range(total):
        channel = await layer.new_channel()
        await layer.group_add("room", channel)
        say(channel)
    await layer.receive(channel)


async def test_joins_and_leaves_of_another_process(make_peer, layer):
    peer = make_peer()
    async with aclosing(layer.watch_group("room")) as events:
        for _ in range(50):
            peer.call("group_add", "room", "one")
            assert await soon(anext(events)) == join("one", 1)
            waits = asyncio.ensure_future(anext(events))
            await asyncio.sleep(0)
            peer.call("group_add", "room", "two")
            assert await soon(waits) == join("two", 2)
            peer.call("group_discard", "room", "one")
            assert await soon(anext(events)) == leave("one", 1)
            waits = asyncio.ensure_future(anext(events))
            await asyncio.sleep(0)
            peer.call("discard_all", "two")
            assert await soon(waits) == leave("two", 0)


async def test_it_begins_with_those_who_are_there(layer):
    for channel in ("one", "two"):
        await layer.group_add("room", channel)
    async with aclosing(layer.watch_group("room")) as events:
        told = [await soon(anext(events)) for _ in range(2)]
    assert {event.channel for event in told} == {"one", "two"}
    assert [(event.count, event.first) for event in told] == [(1, True), (2, False)]


async def test_the_members_of_a_killed_process_die(make_peer, layer, monkeypatch):
    monkeypatch.setattr(_receiver, "TICK", 0.1)
    peer = make_peer()
    peer.begin(come_in, 3)
    channels = {peer.hear() for _ in range(3)}
    async with aclosing(layer.watch_group("room")) as events:
        assert {(await soon(anext(events))).channel for _ in range(3)} == channels
        peer.kill()
        dead = [await soon(anext(events)) for _ in range(3)]
    assert {event.channel for event in dead} == channels
    assert {event.kind for event in dead} == {"death"}
    assert dead[-1] == leave(dead[-1].channel, 0, "death")


def test_a_thread_sees_joins_leaves_and_deaths(make_peer, prefix, monkeypatch):
    monkeypatch.setattr(_blocking, "TICK", 0.1)
    peer, other = make_peer(), make_peer()
    with SyncShmChannelLayer(prefix=prefix) as layer, layer.watch_group("room") as events:
        for _ in range(50):
            peer.call("group_add", "room", "one")
            assert events.get(TIMEOUT) == join("one", 1)
            other.call("group_discard", "room", "one")
            assert events.get(TIMEOUT) == leave("one", 0)
        peer.begin(come_in, 3)
        channels = {peer.hear() for _ in range(3)}
        assert {events.get(TIMEOUT).channel for _ in range(3)} == channels
        peer.kill()
        dead = [events.get(TIMEOUT) for _ in range(3)]
        assert {event.channel for event in dead} == channels
        assert dead[-1] == leave(dead[-1].channel, 0, "death")
        assert {event.kind for event in dead} == {"death"}


async def test_a_slow_consumer_sees_the_difference(layer):
    async with aclosing(layer.watch_group("room")) as events:
        await layer.group_add("room", "one")
        assert await soon(anext(events)) == join("one", 1)
        for number in range(1000):
            await layer.group_add("room", f"passing.{number}")
            await layer.group_discard("room", f"passing.{number}")
        await layer.group_add("room", "two")
        await layer.group_discard("room", "one")
        assert await soon(anext(events)) == join("two", 2)
        assert await soon(anext(events)) == leave("one", 1)
        waits = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)
        await layer.flush()
        assert await soon(waits) == leave("two", 0)


async def test_a_membership_that_expires_leaves(make_layer, monkeypatch):
    monkeypatch.setattr(_receiver, "TICK", 0.1)
    layer = make_layer(group_expiry=1)
    async with aclosing(layer.watch_group("room")) as events:
        await layer.group_add("room", "one")
        assert await soon(anext(events)) == join("one", 1)
        assert await soon(anext(events)) == leave("one", 0)


@pytest.mark.parametrize("end", ["cancel", "close", "forget", "break"])
async def test_nothing_is_left_behind(layer, end):
    async def watch() -> None:
        async for event in layer.watch_group("room"):
            if event.channel == "end":
                break

    async with aclosing(layer.watch_group("other")) as other:
        await layer.group_add("other", "one")
        await soon(anext(other))
        before = watched(layer)
        if end == "close":
            events = layer.watch_group("room")
            await layer.group_add("room", "one")
            await soon(anext(events))
            await events.aclose()
        elif end == "forget":
            events = layer.watch_group("room")
            await layer.group_add("room", "one")
            await soon(anext(events))
            del events
            gc.collect()
            await asyncio.sleep(0.01)
        else:
            task = asyncio.ensure_future(watch())
            await asyncio.sleep(0)
            if end == "cancel":
                task.cancel()
                await asyncio.wait([task])
            else:
                await layer.group_add("room", "end")
                await soon(task)
                await asyncio.sleep(0.01)
        assert watched(layer) == before
    assert watched(layer) == 0
    assert all(watch.inside == 0 for watch in layer._receiver._watches.values())


async def test_two_loops_and_two_watchers_in_one(layer, make_layer):
    other = make_layer()
    seen: list[GroupEvent] = []

    async def watch() -> None:
        async with aclosing(layer.watch_group("room")) as events:
            async for event in events:
                seen.append(event)
                if event.last:
                    return

    thread = threading.Thread(target=asyncio.run, args=[watch()])
    thread.start()
    tasks = [asyncio.ensure_future(watch()) for _ in range(2)]
    await other.group_add("room", "stays")

    async def all_have_begun() -> None:
        while seen.count(join("stays", 1)) < 3:  # noqa: ASYNC110 - told by other loops
            await asyncio.sleep(0.01)

    await soon(all_have_begun())
    for number in range(100):
        await other.group_add("room", f"n{number}")
        await asyncio.sleep(0)
    await other.flush()
    await soon(asyncio.gather(*tasks))
    await asyncio.to_thread(thread.join, 30)
    assert not thread.is_alive()
    assert watched(layer) == 0


async def test_a_child_of_a_fork(layer):
    async with aclosing(layer.watch_group("room")) as events:
        await layer.group_add("room", "one")
        await soon(anext(events))

        def child() -> None:
            async def look() -> None:
                async with aclosing(layer.watch_group("room")) as own:
                    assert await soon(anext(own)) == join("one", 1)
                    await layer.group_add("room", "two")
                    assert await soon(anext(own)) == join("two", 2)
                await layer.close()
                ended.append(True)

            ended: list[bool] = []
            thread = threading.Thread(target=asyncio.run, args=[look()])
            thread.start()
            thread.join()
            assert ended

        in_child(child)
        assert await soon(anext(events)) == join("two", 2)


async def test_the_segment_is_replaced(layer, make_layer, prefix, monkeypatch):
    monkeypatch.setattr(_receiver, "TICK", 0.1)
    other = make_layer()
    async with aclosing(layer.watch_group("room")) as events:
        await other.group_add("room", "one")
        assert await soon(anext(events)) == join("one", 1)
        waits = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)
        unlink(prefix)
        assert await soon(waits) == leave("one", 0)
        waits = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)
        other._attachment._lose(other._attachment.handles.current)
        await other.group_add("room", "two")
        assert await soon(waits) == join("two", 1)


async def test_the_layer_is_closed(make_layer):
    layer = make_layer()
    waits = asyncio.ensure_future(anext(layer.watch_group("room")))
    await asyncio.sleep(0)
    await layer.close()
    with pytest.raises(LayerClosed):
        await soon(waits)


def test_a_wrong_name_is_told_at_once(layer):
    with pytest.raises(InvalidName):
        layer.watch_group("a b")
    with pytest.raises(InvalidName):
        layer.watch_group(7)
