"""After close(): clear errors, nothing that hangs, and nothing of others that is lost."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from asgi_shm import LayerClosed
from tests.support import TIMEOUT, receive_nowait, run_alone, soon

pytestmark = pytest.mark.in_memory_differs("its close() does nothing")


async def test_receivers_that_wait_are_told(layer):
    channels = ["one", "one", await layer.new_channel(), "process!"]
    receivers = [asyncio.create_task(layer.receive(channel)) for channel in channels]
    await asyncio.sleep(0)
    await layer.close()

    outcomes = await soon(asyncio.gather(*receivers, return_exceptions=True))
    assert [type(outcome) for outcome in outcomes] == [LayerClosed] * 4


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("send", ("channel", {"type": "test"})),
        ("receive", ("channel",)),
        ("new_channel", ()),
        ("group_add", ("group", "channel")),
        ("group_discard", ("group", "channel")),
        ("group_send", ("group", {"type": "test"})),
        ("flush", ()),
    ],
)
@pytest.mark.parametrize("used", [True, False], ids=["used", "never used"])
async def test_every_later_use_is_told(layer, method, arguments, used):
    if used:
        await layer.send("channel", {"type": "test"})
    await layer.close()
    with pytest.raises(LayerClosed, match="closed"):
        await soon(getattr(layer, method)(*arguments))


@pytest.mark.one_prefix
async def test_what_is_in_normal_channels_stays(make_layer):
    one, two = make_layer(), make_layer()
    await one.send("channel", {"type": "test"})
    await one.group_add("group", "member")
    await one.close()
    await two.group_send("group", {"type": "group"})

    assert await receive_nowait(two, "channel") == {"type": "test"}
    assert await receive_nowait(two, "member") == {"type": "group"}


@pytest.mark.one_prefix
async def test_what_was_its_own_goes(make_layer):
    one, two = make_layer(), make_layer()
    channel = await one.new_channel()
    await one.group_add("group", channel)
    await one.send(channel, {"type": "unread"})
    await one.close()
    await two.group_send("group", {"type": "to nobody"})
    await two.send(channel, {"type": "to nobody"})
    info = two._attachment.info()

    assert (info.messages, info.memberships, info.attached) == (0, 0, 1)


@pytest.mark.one_prefix
async def test_a_turn_that_it_had_passes_to_another_layer(make_layer):
    one, two = make_layer(), make_layer()
    for first, second in ((one, two), (two, make_layer())):
        leaving = asyncio.create_task(first.receive("channel"))
        await asyncio.sleep(0)
        staying = asyncio.create_task(second.receive("channel"))
        await asyncio.sleep(0)
        run_alone(second.send("channel", {"type": "test"}))
        await first.close()
        assert await soon(staying) == {"type": "test"}
        with pytest.raises(LayerClosed):
            await soon(leaving)


def test_a_close_while_receives_begin_in_other_threads(make_layer):
    for _ in range(100):
        layer = make_layer()
        begin = threading.Barrier(4)
        with ThreadPoolExecutor(3) as threads:
            receivers = [
                threads.submit(asyncio.run, use_and_wait(layer, begin)) for _ in range(3)
            ]
            begin.wait(TIMEOUT)
            run_alone(layer.close())
            for receiver in receivers:
                with pytest.raises(LayerClosed):
                    receiver.result(2 * TIMEOUT)


async def use_and_wait(layer: Any, begin: threading.Barrier) -> None:
    channel = await layer.new_channel()
    begin.wait(TIMEOUT)
    for _ in range(3):
        await layer.send(channel, {"type": "test"})
        await soon(layer.receive(channel))
    await soon(layer.receive("nobody.sends"))
