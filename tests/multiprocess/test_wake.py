"""A receiver that waits is woken by a send from any other process."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

import pytest

from asgi_shm import _receiver
from tests.support import TIMEOUT, run_alone, soon


async def answer(layer: Any, say: Any, total: int) -> None:
    """Send each message back to the channel that it names."""
    channel = await layer.new_channel()
    say(channel)
    for _ in range(total):
        message = await layer.receive(channel)
        await layer.send(message["reply"], message)


async def join_and_receive(layer: Any, say: Any, total: int) -> list[Any]:
    channel = await layer.new_channel()
    await layer.group_add("group", channel)
    say(channel)
    return [await layer.receive(channel) for _ in range(total)]


async def receive_by_prefix(layer: Any, say: Any, total: int) -> list[Any]:
    channel = await layer.new_channel()
    await layer.group_add("group", channel)
    say(channel)
    return [await layer.receive(channel.partition("!")[0] + "!") for _ in range(total)]


@pytest.mark.parametrize("channel", ["normal", "server.http!client"])
def test_a_send_wakes_another_process(make_peer, layer, channel):
    peer = make_peer()
    for number in range(50):
        peer.begin_receive(channel)
        run_alone(layer.send(channel, {"number": number}))
        assert peer.hear() == {"number": number}


async def test_a_ring_that_was_lost_is_made_good_by_the_tick(make_peer, layer, monkeypatch):
    """As where a sender was killed between its message and the write that wakes."""
    monkeypatch.setattr(_receiver, "TICK", 0.05)
    receiver = asyncio.ensure_future(layer.receive("channel"))
    await asyncio.sleep(0)
    make_peer().call("send", "channel", {"number": 1})
    os.read(layer._attachment.bell(), 4096)

    assert await soon(receiver) == {"number": 1}


async def test_two_processes_answer_each_other(make_peer, layer):
    peer = make_peer()
    mine = await layer.new_channel()
    peer.begin(answer, 1000)
    theirs = peer.hear()
    for number in range(1000):
        await layer.send(theirs, {"reply": mine, "number": number})
        assert (await layer.receive(mine))["number"] == number
    assert peer.hear() is None


def test_a_group_send_wakes_every_process(make_peer, layer):
    peers = [make_peer() for _ in range(3)]
    for peer in peers:
        peer.begin(join_and_receive, 50)
        peer.hear()
    for number in range(50):
        run_alone(layer.group_send("group", {"number": number}))

    for peer in peers:
        assert [message["number"] for message in peer.hear()] == list(range(50))


def test_a_receiver_of_its_process_prefix_is_woken(make_peer, layer):
    peer = make_peer()
    peer.begin(receive_by_prefix, 60)
    channel = peer.hear()
    for number in range(20):
        run_alone(layer.send(channel, {"number": 3 * number}))
        run_alone(layer.group_send("group", {"number": 3 * number + 1}))
        run_alone(layer.send(channel + "x", {"number": 3 * number + 2}))

    assert [message["number"] for message in peer.hear()] == list(range(60))


def test_any_thread_of_another_process_wakes(make_peer, layer):
    peer = make_peer()
    for number in range(50):
        peer.begin_receive("channel")
        sender = threading.Thread(
            target=run_alone, args=(layer.send("channel", {"number": number}),)
        )
        sender.start()
        assert peer.hear() == {"number": number}
        sender.join(TIMEOUT)


def test_a_process_that_is_stopped_is_alive(make_peer, layer):
    peer = make_peer()
    peer.begin(join_and_receive, 10)
    peer.hear()
    peer.stop()
    for number in range(10):
        run_alone(layer.group_send("group", {"number": number}))
    layer._attachment.sweep()
    peer.resume()

    assert [message["number"] for message in peer.hear()] == list(range(10))
