"""Messages that nobody got are logged: which channels and groups, and what to change."""

from __future__ import annotations

import asyncio

import pytest

from asgi_shm import _losses, _receiver
from tests.support import fill, run_alone


@pytest.fixture(autouse=True)
def at_each_look(monkeypatch):
    monkeypatch.setattr(_losses, "LOG_INTERVAL", 0.0)


@pytest.fixture
def look(layer, caplog):
    """Has the layer look, and gives what it has logged since."""
    run_alone(layer.new_channel())
    layer._attachment.on_tick()

    def look():
        caplog.clear()
        layer._attachment.on_tick()
        return [record.getMessage() for record in caplog.records]

    return look


def test_nothing_was_lost(look, layer):
    run_alone(layer.send("work", {}))

    assert look() == []


def test_full_channels(look, layer, prefix):
    layer.get_capacity = lambda name: 2
    run_alone(fill(layer, "work"))
    (text,) = look()

    assert text == (
        f"prefix {prefix!r}: 1 messages were refused or dropped because their channels were "
        "full: channels 'work' (capacity 2). Read them faster, or raise capacity or "
        "channel_capacity"
    )
    assert look() == []


def test_groups_whose_members_are_full(look, layer):
    layer.get_capacity = lambda name: 1
    channel = run_alone(layer.new_channel())
    run_alone(layer.group_add("room", channel))
    for _ in range(3):
        run_alone(layer.group_send("room", {}))
    layer._attachment.sweep()
    (text,) = look()

    assert f"channels {channel!r} (capacity 1); sent to groups 'room'." in text
    assert ": 2 messages " in text


def test_expired_messages(look, layer):
    run_alone(layer.send("late", {}, expiry=1e-9))
    run_alone(layer.send("work", {}))
    layer._attachment.sweep()
    (text,) = look()

    assert ": 1 messages expired before anybody read them; others wait in 'work' (1, up" in text
    assert "raise expiry" in text


def test_one_process_tells_of_common_channels(look, layer, make_layer, caplog):
    other = make_layer(capacity=1)
    run_alone(other.new_channel())
    other._attachment.on_tick()
    run_alone(fill(other, "work"))
    own = run_alone(other.new_channel())
    run_alone(fill(layer, own))

    (first,) = look()
    assert "'work'" in first
    assert own not in first
    caplog.clear()
    other._attachment.on_tick()
    (second,) = (record.getMessage() for record in caplog.records)
    assert own in second
    assert "'work'" not in second


def test_what_was_lost_before_is_no_news(layer, make_layer, caplog):
    layer.get_capacity = lambda name: 1
    run_alone(fill(layer, "work"))
    run_alone(layer.close())
    late = make_layer()
    for _ in range(2):
        late._attachment.on_tick()

    assert caplog.records == []


def test_not_too_often(look, layer, monkeypatch):
    monkeypatch.setattr(_losses, "LOG_INTERVAL", 3600.0)
    layer.get_capacity = lambda name: 1
    run_alone(fill(layer, "one"))
    assert len(look()) == 1
    run_alone(fill(layer, "two"))
    assert look() == []


def test_a_large_segment_is_not_searched_to_the_end(look, layer, monkeypatch):
    monkeypatch.setattr(_losses, "_SEARCHED", 0)
    layer.get_capacity = lambda name: 1
    run_alone(fill(layer, "work"))

    assert "their channels were full. Read them faster" in look()[0]


def test_few_are_named(look, layer):
    layer.get_capacity = lambda name: 1
    for number in range(8):
        run_alone(fill(layer, f"work-{number}"))

    assert " and 3 more." in look()[0]


async def test_the_tick_of_a_loop_looks(prefix, monkeypatch, make_layer):
    monkeypatch.setattr(_receiver, "TICK", 0.01)
    looked = asyncio.Event()
    layer = make_layer()
    layer._attachment.on_tick = looked.set
    receiver = asyncio.create_task(layer.receive("work"))
    await asyncio.wait_for(looked.wait(), 30)
    receiver.cancel()
