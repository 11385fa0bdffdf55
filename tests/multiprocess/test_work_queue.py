"""A normal channel that several processes read: at most once, shared, and nobody starves."""

from __future__ import annotations

import asyncio
import itertools
import random
from typing import Any

import pytest

from tests.crew import Hand
from tests.multiprocess.peer import hear_from
from tests.support import run_alone


async def work(layer: Any, say: Any) -> list[int]:
    """Take numbers until a message says that it is over."""
    taken: list[int] = []
    while (number := (await layer.receive("work"))["number"]) is not None:
        taken.append(number)
    return taken


async def work_and_tell(layer: Any, say: Any) -> None:
    """Take numbers and say each at once, until a message says that it is over."""
    while (number := (await layer.receive("work"))["number"]) is not None:
        say(number)


async def write(layer: Any, say: Any, total: int, workers: int) -> None:
    for number in [*range(total), *[None] * workers]:
        await layer.send("work", {"number": number})
        if number is not None and number % 20 == 0:
            await asyncio.sleep(0.0005)


def test_four_processes_take_every_message_once(make_peer):
    total = 4000
    workers = [make_peer(capacity=total + 4) for _ in range(4)]
    for worker in workers:
        worker.begin(work)
    make_peer(capacity=total + 4).run(write, total, 4)

    taken = [worker.hear() for worker in workers]
    assert sorted(itertools.chain(*taken)) == list(range(total))


def test_each_of_four_that_wait_gets_one_of_four(make_peer, layer):
    workers = [make_peer() for _ in range(4)]
    for start in range(0, 200, 4):
        for worker in workers:
            worker.begin_receive("work")
        for number in range(start, start + 4):
            run_alone(layer.send("work", {"number": number}))
        taken = sorted(worker.hear()["number"] for worker in workers)
        assert taken == list(range(start, start + 4))


def test_a_killed_reader_loses_at_most_what_it_held(make_peer, make_layer):
    total = 2000
    layer = make_layer(capacity=total + 1)
    *victims, survivor = [make_peer(ticks=True) for _ in range(4)]
    for worker in (*victims, survivor):
        worker.begin(work_and_tell)
    taken = []
    for number in range(total):
        run_alone(layer.send("work", {"number": number}))
        if number in (300, 600, 900):
            victim = victims.pop()
            victim.kill()
            taken += victim.heard()
    run_alone(layer.send("work", {"number": None}))
    while (number := survivor.hear()) is not None:
        taken.append(number)

    assert len(taken) == len(set(taken))
    assert set(taken) <= set(range(total))
    assert len(taken) >= total - 3


async def lend_a_hand(layer: Any, say: Any, channels: list[str], seed: int) -> None:
    """Wait for the channels, and churn as the messages to a channel of its own ask."""
    control = await layer.new_channel()
    hand = Hand(layer, channels, say, random.Random(seed))
    hand.begin()
    say(control)
    while rounds := (await layer.receive(control))["rounds"]:
        await hand.churn(rounds)
        say("churned")
    await hand.end()


def test_bursts_to_cancelled_receivers_in_several_processes(make_peer, make_layer):
    layer = make_layer(capacity=1000)
    channels = ["one", "two"]
    peers = [make_peer() for _ in range(4)]
    for seed, peer in enumerate(peers):
        peer.begin(lend_a_hand, channels, seed)
    controls = [peer.hear() for peer in peers]
    rng = random.Random(40)
    for burst in range(100):
        for control in controls:
            run_alone(layer.send(control, {"rounds": 20}))
        numbers = range(30 * burst, 30 * burst + 30)
        for number in numbers:
            run_alone(layer.send(rng.choice(channels), {"number": number}))
        words = hear_from(peers, len(peers) + len(numbers))
        assert sorted(word for word in words if word != "churned") == list(numbers)
    for control, peer in zip(controls, peers, strict=True):
        run_alone(layer.send(control, {"rounds": 0}))
        assert peer.hear() is None


@pytest.mark.parametrize("first", [0, 1])
def test_the_turn_of_a_killed_reader_passes_to_another(make_peer, layer, first):
    readers = [make_peer(ticks=True), make_peer(ticks=True)]
    for reader in (readers[first], readers[1 - first]):
        reader.begin_receive("work")
    victim, survivor = readers
    victim.stop()
    run_alone(layer.send("work", {"number": 1}))
    victim.kill()

    assert survivor.hear() == {"number": 1}
