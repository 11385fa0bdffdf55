"""What outlives a process, what goes with it, and what unlink() removes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from asgi_shm import unlink
from tests.support import SHM, leftovers, receive_nowait, run_alone, soon


async def send_numbers(layer: Any, say: Any, channel: str, total: int) -> None:
    for number in range(total):
        await layer.send(channel, {"number": number, "body": b"x" * 100 * number})


async def take_numbers(layer: Any, say: Any, channel: str) -> list[int]:
    numbers = []
    while (message := await receive_nowait(layer, channel)) is not None:
        numbers.append(message["number"])
    return numbers


async def make_member(layer: Any, say: Any) -> str:
    channel: str = await layer.new_channel()
    await layer.group_add("group", channel)
    return channel


def is_alone(layer: Any) -> bool:
    """Look after the dead, as whoever waits does; whether this process alone is attached."""
    layer._attachment.tick()
    attached: int = layer._attachment.info().attached
    return attached == 1


@pytest.mark.parametrize("killed", [False, True], ids=["ended", "killed"])
def test_messages_outlive_every_process(make_peer, killed):
    first = make_peer()
    first.run(send_numbers, "channel", 50)
    if killed:
        first.kill()
    else:
        first.close()

    assert make_peer().run(take_numbers, "channel") == list(range(50))


def test_what_one_process_left_is_read_while_new_ones_come(make_peer):
    for number in range(5):
        make_peer().run(send_numbers, f"channel.{number}", 20)
    reader = make_peer()

    for number in range(5):
        assert reader.run(take_numbers, f"channel.{number}") == list(range(20))


@pytest.mark.parametrize("killed", [False, True], ids=["ended", "killed"])
def test_the_channels_and_memberships_of_a_process_go_with_it(make_peer, layer, until, killed):
    run_alone(layer.group_add("group", "mine"))
    peer = make_peer()
    channel = peer.run(make_member)
    run_alone(layer.send(channel, {"type": "unread"}))
    assert layer._attachment.info().memberships == 2
    if killed:
        peer.kill()
    else:
        peer.close()
    until(lambda: is_alone(layer))
    info = layer._attachment.info()

    assert (info.memberships, info.messages) == (1, 0)
    run_alone(layer.send(channel, {"type": "to nobody"}))
    run_alone(layer.group_send("group", {"type": "group"}))
    assert run_alone(layer.receive("mine")) == {"type": "group"}


def test_a_new_process_does_not_inherit_the_name_of_a_dead_one(make_peer, layer, until):
    names = set()
    for _ in range(5):
        peer = make_peer()
        channel = peer.run(make_member)
        peer.kill()
        until(lambda: is_alone(layer))
        run_alone(layer.send(channel, {"to": "the dead"}))
        names.add(channel.partition("!")[0])

    assert len(names) == 5


def test_unlink_removes_every_object_of_the_prefix(make_peer, prefix):
    peers = [make_peer() for _ in range(3)]
    for peer in peers:
        peer.run(make_member)
        peer.begin_receive("channel")
    assert leftovers(prefix)
    unlink(prefix)
    assert leftovers(prefix) == []
    for peer in peers:
        peer.kill()


def test_unlink_leaves_a_longer_prefix_alone(make_peer, make_layer, prefix):
    other = make_layer(prefix=f"{prefix}.longer")
    run_alone(other.send("channel", {"type": "test"}))
    make_peer().run(send_numbers, "channel", 1)
    unlink(prefix)

    assert run_alone(make_layer(prefix=f"{prefix}.longer").receive("channel")) == {
        "type": "test"
    }
    unlink(f"{prefix}.longer")


def test_unlink_of_what_is_not_there_does_nothing(prefix):
    unlink(prefix)
    unlink(prefix)


def test_a_new_layer_starts_clean_after_unlink(make_layer, prefix):
    run_alone(make_layer().send("channel", {"type": "old"}))
    unlink(prefix)
    layer = make_layer()
    run_alone(layer.send("channel", {"type": "new"}))

    assert run_alone(layer.receive("channel")) == {"type": "new"}


@pytest.mark.parametrize("how", ["unlink", "rm"])
def test_a_process_follows_when_the_segment_is_replaced(make_peer, make_layer, prefix, how):
    peer = make_peer(ticks=True)
    peer.begin_receive("channel")
    if how == "unlink":
        unlink(prefix)
    else:
        for name in leftovers(prefix):
            (SHM / name).unlink()
    layer = make_layer()
    run_alone(layer.send("channel", {"type": "test"}))

    assert peer.hear() == {"type": "test"}


def test_a_sender_follows_when_the_segment_is_replaced(make_peer, make_layer, prefix):
    old = make_layer()
    run_alone(old.send("other", {"type": "lost"}))
    unlink(prefix)
    peer = make_peer()
    peer.begin_receive("channel")

    async def send_until_it_arrives() -> None:
        # The loss is noticed within a second; what is sent until then is lost.
        while not peer.speaks():
            await old.send("channel", {"type": "test"})
            await asyncio.sleep(0.05)

    asyncio.run(soon(send_until_it_arrives()))
    assert peer.hear() == {"type": "test"}


def test_expiry_holds_across_processes_and_restarts(make_peer):
    sender = make_peer(expiry=0.2)
    sender.run(send_numbers, "channel", 3)
    sender.close()
    reader = make_peer()
    patient = make_peer(expiry=60)
    patient.run(send_numbers, "patient", 3)

    reader.run(wait_for_expiry, 3)
    assert reader.run(take_numbers, "channel") == []
    assert reader.run(take_numbers, "patient") == [0, 1, 2]


async def wait_for_expiry(layer: Any, say: Any, remaining: int) -> None:
    """Wait, without reading, until no more than so many messages are left."""

    async def gone() -> None:
        while layer._attachment.info().messages > remaining:
            layer._attachment.sweep()
            await asyncio.sleep(0.02)

    await soon(gone())
