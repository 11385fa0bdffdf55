"""A sender that waits until a full channel has room."""

from __future__ import annotations

import asyncio

import pytest

from asgi_shm import ChannelFull, ConfigError, LayerClosed, LockTimeout, MemoryFull
from tests.support import TIMEOUT, run_alone, soon

pytestmark = [
    pytest.mark.in_memory_differs("it has nothing of the kind"),
    pytest.mark.one_prefix,
]


async def begin_send(layer, number, **options):
    sender = asyncio.create_task(
        layer.send("channel", {"number": number}, **{"timeout": TIMEOUT, **options})
    )
    await asyncio.sleep(0)
    assert not sender.done()
    return sender


def refuse_once(layer, monkeypatch):
    """Have its first send not get a lock."""
    refusals = [LockTimeout("somebody has it")]
    send = layer._attachment.send

    def refuse(*arguments):
        if refusals:
            raise refusals.pop()
        send(*arguments)

    monkeypatch.setattr(layer._attachment, "send", refuse)


@pytest.fixture
def full(make_layer):
    """Two layers, and a channel with its capacity of one message."""
    layers = make_layer(capacity=1), make_layer(capacity=1)
    run_alone(layers[0].send("channel", {"number": 0}))
    return layers


async def test_without_a_timeout_it_does_not_wait(full):
    one, _ = full
    with pytest.raises(ChannelFull):
        await one.send("channel", {})


async def test_a_receive_makes_room(full):
    one, other = full
    sender = await begin_send(one, 1)

    assert await other.receive("channel") == {"number": 0}
    await soon(sender)
    assert await other.receive("channel") == {"number": 1}


async def test_where_there_is_room_it_does_not_wait(full):
    one, _ = full
    await one.send("other", {"number": 1}, timeout=TIMEOUT)

    assert await one.receive("other") == {"number": 1}


async def test_the_time_is_over(full):
    one, other = full
    for timeout in (0, 0.01, -1):
        with pytest.raises(ChannelFull, match="capacity of 1"):
            await one.send("channel", {}, timeout=timeout)

    assert await other.channel_size("channel") == 1


async def test_a_sender_that_did_not_get_a_lock_at_first_waits_as_well(full, monkeypatch):
    one, other = full
    refuse_once(one, monkeypatch)
    sender = asyncio.create_task(one.send("channel", {"number": 1}, timeout=TIMEOUT))
    while not one._receiver._senders:
        await asyncio.sleep(0)
        assert not sender.done()

    assert await other.receive("channel") == {"number": 0}
    await soon(sender)


async def test_many_senders_of_two_layers(full):
    one, _ = full
    senders = [await begin_send(layer, number) for number in range(1, 6) for layer in full]
    received = [(await soon(one.receive("channel")))["number"] for _ in range(11)]
    for sender in senders:
        await soon(sender)

    assert sorted(received) == sorted([0, *range(1, 6), *range(1, 6)])


async def test_who_is_cancelled_has_sent_nothing_and_hinders_nobody(full):
    one, other = full
    senders = [await begin_send(one, 1), await begin_send(other, 2), await begin_send(one, 3)]
    senders[0].cancel()
    senders[1].cancel()
    await one.receive("channel")
    await soon(senders[2])

    assert await one.receive("channel") == {"number": 3}
    assert await one.channel_size("channel") == 0
    assert not one._receiver._senders


async def test_a_flush_makes_room(full):
    one, other = full
    sender = await begin_send(one, 1)
    await other.flush()
    await soon(sender)

    assert await one.receive("channel") == {"number": 1}


async def test_a_channel_whose_process_goes(full):
    """The message is dropped, as any to a process that is gone."""
    one, other = full
    own = await other.new_channel()
    await one.send(own, {})
    sender = asyncio.create_task(one.send(own, {}, timeout=TIMEOUT))
    await asyncio.sleep(0)
    await other.close()

    await soon(sender)


async def test_close_ends_the_wait(full):
    one, _ = full
    sender = await begin_send(one, 1)
    await one.close()

    with pytest.raises(LayerClosed):
        await soon(sender)


async def test_receivers_and_senders_wait_in_one_layer(full):
    one, _ = full
    receiver = asyncio.create_task(one.receive("other"))
    sender = await begin_send(one, 1)
    await one.send("other", {"number": 2})
    assert await soon(receiver) == {"number": 2}
    await one.receive("channel")
    await soon(sender)


async def test_memory_is_not_waited_for(make_layer):
    layer = make_layer(message_memory=1 << 20, capacity=1000)
    with pytest.raises(MemoryFull):
        await asyncio.gather(
            *(
                layer.send("channel", {"body": b"x" * 10_000}, timeout=TIMEOUT)
                for _ in range(300)
            )
        )
    await layer.flush()


@pytest.mark.parametrize("timeout", [float("nan"), float("inf"), "5", True])
async def test_what_is_no_time_to_wait_is_refused(make_layer, timeout):
    layer = make_layer()
    with pytest.raises(
        ConfigError, match=r"timeout=.* is not allowed: None, or a number of seconds"
    ):
        await layer.send("channel", {"type": "test"}, timeout=timeout)
    assert await layer.channel_size("channel") == 0
