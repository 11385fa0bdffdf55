"""What a killed process had is gone within a second, and others get what it did not take."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from asgi_shm import SyncShmChannelLayer, errors
from asgi_shm._attachment import TICK
from tests.support import Clock, leftovers, receive_nowait, run_alone

MIB = 1024 * 1024
CAPACITY = 100_000
# Within so many seconds what a killed process had is to be gone.
PROMISE = 1.0
# Just more than MAINTAIN_INTERVAL of csrc/maintain.h.
AN_INTERVAL = 0.101


async def settle_in(layer: Any, say: Any, total: int) -> None:
    """Have a channel with messages and memberships, and wait for two others until the end."""
    channel = await layer.new_channel()
    for number in range(total):
        await layer.send(channel, {"number": number, "body": b"x" * 1000 * number})
        await layer.group_add(f"group.{number}", channel)
    receivers = [asyncio.ensure_future(layer.receive(name)) for name in ("one", "two")]
    await asyncio.sleep(0)
    say(channel)
    await asyncio.gather(*receivers)


async def fill_memory(layer: Any, say: Any) -> int:
    """Queue messages to a channel of its own until there is no memory; how many."""
    channel = await layer.new_channel()
    for number in range(CAPACITY):
        try:
            await layer.send(channel, {"body": b"x" * 1000})
        except errors.MemoryFull:  # noqa: PERF203 -- the last round
            return number
    raise AssertionError("there is no end to it")


async def wait_in_a_loop(layer: Any, say: Any, prefix: str) -> Any:
    return await layer.receive("survivor")


async def wait_without_a_loop(layer: Any, say: Any, prefix: str) -> Any:
    with SyncShmChannelLayer(prefix=prefix) as own:
        return own.receive(["survivor"], block=True)[1]


async def take(layer: Any, say: Any, total: int) -> list[int]:
    """Wait for messages of "work"; their numbers."""
    first = asyncio.ensure_future(layer.receive("work"))
    await asyncio.sleep(0)
    say("waiting")
    rest = [(await layer.receive("work"))["number"] for _ in range(total - 1) if await first]
    return [(await first)["number"], *rest]


def bells(prefix: str) -> list[str]:
    return [name for name in leftovers(prefix) if ":bell" in name]


def is_alone(layer: Any) -> bool:
    """Whether nothing is there of any other process."""
    info = layer._attachment.info()
    return (info.attached, info.messages, info.memberships) == (1, 0, 0)


@pytest.fixture
def clock(layer: Any) -> Clock:
    """The clock of the test's own layer, which has done the work of the interval just now."""
    clock = Clock()
    clock.follow(layer)
    layer._attachment.tick()
    return clock


@pytest.fixture
def victim(clock: Clock, make_peer: Any) -> Any:
    peer = make_peer()
    peer.begin(settle_in, 10)
    peer.hear()
    return peer


# A process may be killed just after somebody has looked for the dead. A loop that waits ticks
# each TICK seconds. So one of its ticks is in the last TICK seconds of those that are promised,
# and that one has to find it.


def test_it_is_gone_by_a_tick_of_one_that_waits(layer, clock, victim, prefix):
    victim.kill()
    layer._attachment.tick()
    assert not is_alone(layer)
    clock.advance(PROMISE - TICK)
    layer._attachment.tick()

    assert is_alone(layer)
    assert bells(prefix) == []


def test_it_is_gone_by_an_operation_of_one_that_works(layer, clock, victim, prefix):
    victim.kill()
    run_alone(layer.group_add("group", "channel"))
    run_alone(layer.group_discard("group", "channel"))
    assert not is_alone(layer)
    clock.advance(AN_INTERVAL)
    run_alone(layer.group_discard("group", "channel"))

    assert is_alone(layer)
    assert bells(prefix) == []


def test_it_is_gone_though_the_one_that_looked_was_killed_at_it(
    make_peer, layer, clock, prefix
):
    """The turn to look that a process has taken with it is another's an interval later."""
    for _ in range(3):
        peer = make_peer()
        peer.begin(settle_in, 1)
        peer.hear()
        clock.advance(AN_INTERVAL)
        run_alone(layer.send("channel", {"type": "test"}))
        run_alone(layer.receive("channel"))
        peer.kill()
    clock.advance(PROMISE - TICK)
    layer._attachment.tick()

    assert is_alone(layer)
    assert bells(prefix) == []


@pytest.mark.parametrize("wait", [wait_in_a_loop, wait_without_a_loop])
def test_one_that_only_waits_looks_after_the_dead(make_peer, make_layer, prefix, until, wait):
    """No process does anything but wait: the test has no layer yet."""
    survivor = make_peer(ticks=True)
    survivor.begin(wait, prefix)
    # The name that it is made under ends with one number more.
    until(lambda: any(re.search(r":bell\.\w+\.\d+$", name) for name in bells(prefix)))
    own = bells(prefix)
    victims = [make_peer() for _ in range(3)]
    for victim in victims:
        victim.begin(settle_in, 5)
        victim.hear()
    assert len(bells(prefix)) == len(own) + 3
    for victim in victims:
        victim.kill()

    until(lambda: bells(prefix) == own)
    run_alone(make_layer().send("survivor", {"type": "test"}))
    assert survivor.hear() == {"type": "test"}


def test_its_memory_is_there_at_once_for_who_needs_it(make_peer, make_layer):
    layer = make_layer(message_memory=MIB, group_memory=MIB)
    clock = Clock()
    clock.follow(layer)
    layer._attachment.tick()
    victim = make_peer(capacity=CAPACITY)
    assert victim.run(fill_memory) > 500
    with pytest.raises(errors.MemoryFull):
        run_alone(layer.send("channel", {"body": b"x" * 5000}))
    victim.kill()
    clock.advance(0.02)  # memory is not looked for again and again

    for number in range(100):
        run_alone(layer.send("channel", {"number": number, "body": b"x" * 5000}))


@pytest.mark.parametrize("ticks", [True, False], ids=["survivor", "third process"])
def test_what_it_was_told_of_and_had_not_taken_another_gets(make_peer, layer, until, ticks):
    """Found to be dead by the one that waits, or by a third, which wakes the one that waits."""
    victim, survivor = make_peer(), make_peer(ticks=ticks)
    for peer in (victim, survivor):
        peer.begin(take, 5)
        peer.hear()
    victim.stop()
    for number in range(5):
        run_alone(layer.send("work", {"number": number}))
    victim.kill()
    if not ticks:
        until(lambda: layer._attachment.tick() or layer._attachment.info().attached == 2)

    assert survivor.hear() == [0, 1, 2, 3, 4]


def test_what_it_had_taken_nobody_gets_again(make_peer, layer, until):
    victim, survivor = make_peer(), make_peer()
    for number in range(5):
        run_alone(layer.send("work", {"number": number}))
    assert victim.call("receive", "work") == {"number": 0}
    victim.kill()
    until(lambda: layer._attachment.tick() or layer._attachment.info().attached == 1)

    assert asyncio.run(receive_nowait(layer, "work")) == {"number": 1}
    survivor.begin(take, 3)
    survivor.hear()
    assert survivor.hear() == [2, 3, 4]
