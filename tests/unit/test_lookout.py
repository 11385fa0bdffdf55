"""_lookout.py: when a loop looks for more messages, and that it sleeps otherwise."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest

from asgi_shm import ShmChannelLayer, _lookout, _receiver
from asgi_shm._lookout import LOOK, TRIAL, Lookout
from asgi_shm._receiver import Receiver
from tests.support import soon

MANY = 10


class Clock:
    now = 1000.0
    used = 0.0  # of the thread's processor


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(_lookout, "monotonic", lambda: clock.now)
    monkeypatch.setattr(_lookout, "thread_time", lambda: clock.used)
    return clock


def go_on(clock, seconds):
    """Time passes, in which this thread runs."""
    clock.now += seconds
    clock.used += seconds


def looked_in_vain(lookout, clock, times):
    """For messages that come far apart: was there a look after each?"""
    looked = []
    for _ in range(times):
        looked.append(lookout.messages_came())
        assert lookout.is_over() != looked[-1]
        go_on(clock, LOOK)
        assert lookout.is_over()
        assert not lookout.looks
    return looked


def test_it_is_tried_at_first_and_now_and_then(clock):
    looked = looked_in_vain(Lookout(), clock, 1 + 3 * TRIAL)
    looks = [number for number, look in enumerate(looked) if look]
    assert looks == [0, TRIAL, 2 * TRIAL, 3 * TRIAL]


def test_a_look_ends_when_nothing_comes(clock):
    lookout = Lookout()
    assert lookout.is_over()
    assert lookout.messages_came()
    go_on(clock, 2 * LOOK)  # something else was to be done first
    assert not lookout.is_over()
    go_on(clock, 0.9 * LOOK)
    assert lookout.looks
    assert not lookout.is_over()
    go_on(clock, 0.2 * LOOK)
    assert lookout.is_over()
    assert not lookout.looks


def test_where_it_is_worth_it_it_goes_on(clock, monkeypatch):
    yields = []
    monkeypatch.setattr(os, "sched_yield", lambda: yields.append(1))
    lookout = Lookout()
    for number in range(MANY):
        assert lookout.messages_came()
        assert not lookout.is_over()
        go_on(clock, 0.9 * LOOK)
        assert not lookout.is_over()
        assert len(yields) == 2 * (number + 1)  # whoever needs the processor has it


def test_where_it_is_not_any_more_it_is_given_up(clock):
    lookout = Lookout()
    for _ in range(MANY):
        lookout.messages_came()
        lookout.is_over()
    looked = looked_in_vain(lookout, clock, 2 * MANY)
    assert 1 < looked.index(False) < MANY
    assert not any(looked[looked.index(False) :])


def test_where_others_need_the_processor_it_is_not_worth_it(clock):
    lookout = Lookout()
    looked = []
    for _ in range(MANY):
        looked.append(lookout.messages_came())
        lookout.is_over()
        clock.now += 0.2 * LOOK  # in which a peer may have answered
    assert looked == [True] + [False] * (MANY - 1)


def test_messages_that_come_without_a_look_say_nothing_of_it(clock):
    lookout = Lookout()
    for _ in range(MANY):
        lookout.messages_came()  # and there is always something to do
        go_on(clock, 2 * LOOK)
    assert looked_in_vain(lookout, clock, 3) == [True, False, False]


async def converse(prefix, monkeypatch):
    """How often the bell was rung for each of two that answer one another."""
    rung = []
    on_bell = Receiver._on_bell

    def count(receiver, watch):
        rung.append(receiver)
        on_bell(receiver, watch)

    monkeypatch.setattr(Receiver, "_on_bell", count)
    monkeypatch.setattr(_receiver, "TICK", 60.0)  # so that it is not what finds a message
    layers = [ShmChannelLayer(prefix=prefix) for _ in range(2)]
    near, far = [await layer.new_channel() for layer in layers]

    async def answer():
        for _ in range(MANY):
            await layers[0].send(far, await layers[0].receive(near))

    answering = asyncio.create_task(answer())
    for number in range(MANY):
        await asyncio.sleep(0.001)
        await layers[1].send(near, {"number": number})
        assert await soon(layers[1].receive(far)) == {"number": number}
    await answering
    for layer in layers:
        await layer.close()
    return len(rung)


def test_whoever_looks_is_not_rung_for(prefix, monkeypatch):
    monkeypatch.setattr(_lookout, "TRIAL", 1)
    monkeypatch.setattr(_lookout, "LOOK", 60.0)
    assert asyncio.run(converse(prefix, monkeypatch)) <= 4


def test_whoever_has_looked_in_vain_is(prefix, monkeypatch):
    monkeypatch.setattr(_lookout, "TRIAL", 1)
    monkeypatch.setattr(_lookout, "LOOK", 1e-9)
    assert asyncio.run(converse(prefix, monkeypatch)) >= MANY


async def stop_while_another_waits(layer, other, waits_first):
    """Whether this loop, which looks, has left the bell armed when it stops."""
    done = threading.Event()
    waits = threading.Event()

    async def wait_elsewhere():
        waiting = asyncio.create_task(layer.receive("elsewhere"))
        await asyncio.sleep(0)
        waits.set()
        assert await soon(waiting) == {"number": 2}

    thread = threading.Thread(target=lambda: (asyncio.run(wait_elsewhere()), done.set()))
    waiting = asyncio.create_task(layer.receive("here"))
    await asyncio.sleep(0.01)
    if waits_first:
        thread.start()
        waits.wait(5)
    await other.send("here", {"number": 1})
    assert await soon(waiting) == {"number": 1}
    if not waits_first:
        thread.start()
        waits.wait(5)
    await asyncio.sleep(0.02)  # rounds in which this one would look
    await other.send("elsewhere", {"number": 2})
    assert done.wait(5)  # while this loop does not run
    thread.join()


@pytest.mark.parametrize("waits_first", [False, True])
def test_a_loop_that_looks_and_stops_leaves_the_bell_to_others(
    prefix, monkeypatch, waits_first
):
    monkeypatch.setattr(_lookout, "LOOK", 60.0)
    monkeypatch.setattr(_receiver, "TICK", 60.0)
    layer, other = [ShmChannelLayer(prefix=prefix) for _ in range(2)]
    asyncio.run(stop_while_another_waits(layer, other, waits_first))
    for each in (layer, other):
        asyncio.run(each.close())


async def leave(prefix):
    """Whoever leaves, or closes the layer, while its loop looks."""
    layer, other = [ShmChannelLayer(prefix=prefix) for _ in range(2)]
    channel = await layer.new_channel()
    waiting = [asyncio.create_task(layer.receive(channel)) for _ in range(2)]
    await asyncio.sleep(0.01)
    await other.send(channel, {"number": 1})
    done, (left,) = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    assert [task.result() for task in done] == [{"number": 1}]
    left.cancel()
    await asyncio.sleep(0.01)
    await other.send(channel, {"number": 2})
    assert await soon(layer.receive(channel)) == {"number": 2}
    await layer.close()
    await asyncio.sleep(0.01)
    await other.close()


@pytest.mark.parametrize("seconds", [1e-9, 0.005, 60.0])
def test_whoever_leaves_while_its_loop_looks(prefix, monkeypatch, seconds):
    monkeypatch.setattr(_lookout, "TRIAL", 1)
    monkeypatch.setattr(_lookout, "LOOK", seconds)
    asyncio.run(leave(prefix))
