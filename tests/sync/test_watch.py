"""_watching.py: threads that are told who joins, leaves and dies in a group."""

from __future__ import annotations

import gc
import os
import signal
from contextlib import suppress
from queue import SimpleQueue

import pytest

from asgi_shm import ConfigError, InvalidName, LayerClosed, LockTimeout, _blocking, unlink
from tests.support import TIMEOUT, join, leave
from tests.sync.conftest import (
    DESCRIPTORS,
    Interrupted,
    Task,
    begin_receive,
    begin_watch,
    switches,
    until,
    watching,
)


def watched(layer):
    """How many buckets the layer's process watches, as it knows; verify knows if it is so."""
    layer._attachment.verify()
    return len(layer._receiver.watchers._by_bucket)


def test_it_begins_with_those_who_are_there(layer):
    for channel in ("one", "two"):
        layer.group_add("room", channel)
    with layer.watch_group("room") as watch:
        told = [next(watch) for _ in range(2)]
        assert watch.get(timeout=0) is None
    assert {event.channel for event in told} == {"one", "two"}
    assert [(event.count, event.first) for event in told] == [(1, True), (2, False)]


def test_who_waits_is_woken(make_layer):
    layer, other = make_layer(), make_layer()
    with layer.watch_group("room") as watch:
        for _ in range(50):
            task = begin_watch(layer, watch)
            other.group_add("room", "one")
            assert task.result() == join("one", 1)
            task = begin_watch(layer, watch)
            layer.group_discard("room", "one")
            assert task.result() == leave("one", 0)


def test_it_is_an_iterator_without_an_end(layer):
    layer.group_add("room", "one")
    seen = []
    with layer.watch_group("room") as watch:
        for event in watch:
            seen.append(event)
            layer.discard_all(event.channel)
            if event.last:
                break
        assert iter(watch) is watch
    assert seen == [join("one", 1), leave("one", 0)]


def test_a_time_that_is_over_ends_nothing(layer):
    watch = layer.watch_group("room")
    assert watch.get(timeout=0) is None
    assert watch.get(timeout=0.01) is None
    assert watch.get(timeout=-1) is None
    layer.group_add("room", "one")
    assert watch.get(timeout=0) == join("one", 1)
    with pytest.raises(ConfigError):
        watch.get(timeout="soon")
    watch.close()


def test_a_slow_consumer_sees_the_difference(layer):
    with layer.watch_group("room") as watch:
        layer.group_add("room", "one")
        assert next(watch) == join("one", 1)
        for number in range(100):
            layer.group_add("room", f"passing.{number}")
            layer.group_discard("room", f"passing.{number}")
        layer.group_add("room", "two")
        layer.group_discard("room", "one")
        assert [next(watch), next(watch)] == [join("two", 2), leave("one", 1)]
        assert watch.get(timeout=0) is None


def test_a_wrong_name_is_told_at_once(layer):
    for wrong in ("a b", "", 7):
        with pytest.raises(InvalidName):
            layer.watch_group(wrong)


# -- many -------------------------------------------------------------------------------


def test_watchers_and_receivers_of_one_layer(layer, make_layer):
    """Whichever thread the doorbell wakes tells the others."""
    other = make_layer()
    rooms = [f"room.{number}" for number in range(8)]
    watches = [layer.watch_group(room) for room in rooms for _ in range(2)]
    for _ in range(20):
        tasks = [begin_watch(layer, watch) for watch in watches]
        receiver = begin_receive(layer, "work")
        for room in rooms:
            other.group_add(room, "one")
        other.send("work", {})
        assert [task.result() for task in tasks] == [join("one", 1)] * 16
        receiver.result()
        other.discard_all("one")
        assert [watch.get(TIMEOUT) for watch in watches] == [leave("one", 0)] * 16
    for watch in watches:
        watch.close()
    assert watched(layer) == 0


def test_threads_that_share_one_get_each_event_once(layer, make_layer):
    other = make_layer()
    told = SimpleQueue()

    def see():
        for event in watch:
            told.put(event)

    with layer.watch_group("room") as watch:
        tasks = [Task(see) for _ in range(3)]
        until(lambda: watching(layer) == 3)
        for number in range(100):
            other.group_add("room", f"n{number}")
        seen = [told.get(timeout=TIMEOUT) for _ in range(100)]
        other.flush()
        seen += [told.get(timeout=TIMEOUT) for _ in range(100)]
        assert watch.get(timeout=0) is None
    for task in tasks:
        task.result()
    assert told.empty()
    members = {f"n{number}" for number in range(100)}
    assert {event.channel for event in seen[:100] if event.kind == "join"} == members
    assert {event.channel for event in seen[100:] if event.kind == "leave"} == members


# -- the end of things ------------------------------------------------------------------


@pytest.mark.parametrize("end", ["close", "with", "forget", "break"])
def test_nothing_is_left_behind(layer, end):
    layer.group_add("room", "one")
    if end == "close":
        watch = layer.watch_group("room")
        next(watch)
        watch.close()
        watch.close()
    elif end == "with":
        with layer.watch_group("room") as watch:
            next(watch)
    else:
        if end == "forget":
            watch = layer.watch_group("room")
            next(watch)
            watch.circle = watch
            del watch
        else:
            for _ in layer.watch_group("room"):
                break
        gc.collect()
        assert watched(layer) == 1  # it is done by whoever comes by next
        layer.watch_group("other").close()
    assert watched(layer) == 0


def test_the_tick_tidies_up(layer, monkeypatch):
    monkeypatch.setattr(_blocking, "TICK", 0.01)
    layer.watch_group("room").get(timeout=0)
    gc.collect()
    assert watched(layer) == 1
    task = begin_receive(layer, "a")
    until(lambda: watched(layer) == 0)
    layer.send("a", {})
    task.result()


def test_after_a_close_there_is_nothing(layer):
    layer.group_add("room", "one")
    layer.group_add("room", "two")
    watch = layer.watch_group("room")
    next(watch)
    watch.close()
    assert watch.get() is None
    assert list(watch) == []
    assert watched(layer) == 0


def test_a_close_ends_the_wait_of_another_thread(layer):
    watch = layer.watch_group("room")
    waits = begin_watch(layer, watch)
    iterates = Task(list, watch)
    until(lambda: watching(layer) == 2)
    watch.close()
    assert waits.result() is None
    assert iterates.result() == []


def test_the_end_of_the_layer_ends_the_wait(layer):
    watch = layer.watch_group("room")
    task = begin_watch(layer, watch)
    layer.close()
    with pytest.raises(LayerClosed):
        task.result()
    with pytest.raises(LayerClosed):
        watch.get()
    watch.close()
    assert watch.get() is None


def test_descriptors_come_back(layer):
    gc.collect()
    watch = layer.watch_group("room")
    found = set()
    for _ in range(10):
        task = begin_watch(layer, watch)
        switches(task)  # it sleeps, so the bell is open, which stays so
        layer.group_add("room", "one")
        task.result()
        layer.group_discard("room", "one")
        watch.get()
        found.add(len(list(DESCRIPTORS.iterdir())))
    assert len(found) == 1
    watch.close()


def test_who_watches_uses_no_processor(layer):
    with layer.watch_group("room") as watch:
        task = begin_watch(layer, watch)
        before = switches(task)
        for _ in range(20):
            layer.send("other", {})
            layer.receive(["other"])
        assert switches(task) == before
        layer.group_add("room", "one")
        assert task.result() == join("one", 1)


# -- what comes between -----------------------------------------------------------------


def test_what_a_handler_raises_ends_the_wait_alone(layer, on_signal):
    def interrupt(number, frame):
        raise KeyboardInterrupt

    watch = layer.watch_group("room")
    task = on_signal(layer, interrupt)
    with pytest.raises(KeyboardInterrupt):
        next(watch)
    task.result()
    assert watching(layer) == 0
    layer.group_add("room", "one")
    assert next(watch) == join("one", 1)
    watch.close()


@pytest.mark.parametrize("call", ["group_channels", "is_gone"])
def test_a_look_that_is_interrupted_is_made_again(layer, monkeypatch, call):
    def interrupt(name):
        raise Interrupted

    watch = layer.watch_group("room")
    layer.group_add("room", "one")
    next(watch)
    layer.group_discard("room", "one")
    with monkeypatch.context() as patch:
        patch.setattr(layer._attachment, call, interrupt)
        with pytest.raises(Interrupted):
            watch.get(timeout=0)
    assert watch.get(timeout=0) == leave("one", 0)
    watch.close()


def test_a_lock_that_is_not_had(make_layer, monkeypatch):
    layer = make_layer(lock_timeout=0.01)
    refusals = []

    def refuse(name):
        refusals.append(name)
        raise LockTimeout("it is stopped")

    watch = layer.watch_group("room")
    layer.group_add("room", "one")
    with monkeypatch.context() as patch:
        patch.setattr(layer._attachment, "group_channels", refuse)
        with pytest.raises(LockTimeout):
            next(watch)
    assert len(refusals) > 1
    assert next(watch) == join("one", 1)
    watch.close()


def test_a_handler_that_forks(layer, on_signal):
    """The child watches on, as a process of its own."""
    parent = os.getpid()

    def fork(number, frame):
        if os.fork() != 0:
            layer.group_add("room", "one")
        else:
            signal.alarm(int(TIMEOUT))

    watch = layer.watch_group("room")
    task = on_signal(layer, fork)
    event = next(watch)
    if os.getpid() != parent:
        with suppress(BaseException):
            layer._attachment.verify()
            os._exit(0 if event == join("one", 1) and watching(layer) == 0 else 1)
        os._exit(2)
    task.result()
    assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
    assert event == join("one", 1)
    watch.close()


def test_a_child_goes_on_with_what_its_parent_watches(layer, monkeypatch):
    monkeypatch.setattr(_blocking, "TICK", 0.05)  # for the end of the child
    layer.group_add("room", "one")
    watch = layer.watch_group("room")
    next(watch)
    task = begin_watch(layer, watch)
    if (child := os.fork()) == 0:
        signal.alarm(int(TIMEOUT))
        with suppress(BaseException):
            own = layer.new_channel()
            task = Task(next, watch)
            layer.group_add("room", own)
            assert task.result() == join(own, 2)
            watch.close()
            layer._attachment.verify()
            os._exit(0)
        os._exit(1)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert task.result().count == 2
    assert watch.get(TIMEOUT).kind == "death"
    watch.close()


def test_the_segment_is_replaced(make_layer, prefix, monkeypatch):
    monkeypatch.setattr(_blocking, "TICK", 0.01)
    layer, other = make_layer(), make_layer()
    layer.group_add("room", "one")
    with layer.watch_group("room") as watch:
        assert next(watch) == join("one", 1)
        task = begin_watch(layer, watch)
        unlink(prefix)
        assert task.result() == leave("one", 0)
        task = begin_watch(layer, watch)
        other._attachment._lose(other._attachment.handles.current)
        other.group_add("room", "two")
        assert task.result() == join("two", 1)


def test_who_is_killed_is_found_by_who_watches(layer, monkeypatch):
    monkeypatch.setattr(_blocking, "TICK", 0.05)
    with layer.watch_group("room") as watch:
        if (child := os.fork()) == 0:
            signal.alarm(int(TIMEOUT))
            layer.group_add("room", layer.new_channel())
            signal.pause()
        joined = watch.get(TIMEOUT)
        task = begin_watch(layer, watch)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert task.result() == leave(joined.channel, 0, "death")
