"""_blocking.py: threads that wait, what wakes them, and what becomes of a turn not taken."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time

import pytest

from asgi_shm import (
    ChannelFull,
    LayerClosed,
    LockTimeout,
    ShmChannelLayer,
    _blocking,
    _receiver,
    unlink,
)
from tests.support import NO_TICK, TIMEOUT, soon
from tests.sync.conftest import (
    DESCRIPTORS,
    Interrupted,
    Task,
    begin_receive,
    switches,
    until,
    waiting,
)


def test_a_message_wakes_who_waits(make_layer):
    layer, other = make_layer(), make_layer()
    task = begin_receive(layer, "a", "b")
    other.send("b", {"number": 1})

    assert task.result() == ("b", {"number": 1})
    assert waiting(layer) == 0


def test_a_message_of_the_same_layer_wakes_too(layer):
    task = begin_receive(layer, "a")
    layer.send("a", {"number": 1})

    assert task.result() == ("a", {"number": 1})


def test_a_message_to_a_channel_of_a_prefix_wakes(layer):
    name = layer.new_channel("http.response!")
    task = begin_receive(layer, "http.response!")
    layer.send(name, {"number": 1})

    assert task.result() == (name, {"number": 1})


def test_a_group_message_wakes(make_layer):
    layer, other = make_layer(), make_layer()
    own = layer.new_channel()
    layer.group_add("group", own)
    task = begin_receive(layer, own)
    other.group_send("group", {"number": 1})

    assert task.result() == (own, {"number": 1})


def test_each_of_many_threads_gets_a_message(layer):
    tasks = [begin_receive(layer, "a") for _ in range(10)]
    for number in range(10):
        layer.send("a", {"number": number})

    assert sorted(task.result()[1]["number"] for task in tasks) == list(range(10))


def test_who_takes_another_passes_the_turn_on(layer):
    """Both messages are there before the first thread runs, and it takes one."""
    first = begin_receive(layer, "a", "b")
    second = begin_receive(layer, "b")
    with layer._receiver._lock:
        layer.send("a", {})
        layer.send("b", {})

    assert {first.result()[0], second.result()[0]} <= {"a", "b"}
    assert layer.channel_size("a") + layer.channel_size("b") == 0


def test_who_takes_another_passes_the_turn_on_to_another_layer(make_layer):
    first, second = make_layer(), make_layer()
    one = begin_receive(first, "a", "b")
    with first._receiver._lock:
        first.send("b", {})  # the turn is the first layer's
        two = begin_receive(second, "b")
        first.send("a", {})
    one.result()
    second.send("b", {})

    assert two.result()[0] == "b"


def test_a_turn_that_cannot_be_passed_on_is_passed_on_later(make_layer, monkeypatch):
    """By a thread that stays: of the lock that was not had the bell does not tell."""
    first, second = make_layer(), make_layer()
    goes, stays = begin_receive(first, "a", "b"), begin_receive(first, "c")
    other = begin_receive(second, "b")
    unwait, refused = first._attachment.unwait, []

    def refuse(channel):
        if channel == "b" and len(refused) < 3:
            refused.append(channel)
            raise LockTimeout("somebody has it")
        unwait(channel)

    monkeypatch.setattr(first._attachment, "unwait", refuse)
    with first._receiver._lock:
        first.send("b", {})  # the turn is the first layer's, which has waited longer
        first.send("a", {})

    assert goes.result()[0] == "a"
    assert other.result()[0] == "b"
    assert refused == ["b"] * 3
    first.send("c", {})
    stays.result()
    assert not first._receiver._behind


def test_who_comes_back_before_it_is_passed_on_waits_on(make_layer, monkeypatch):
    layer, other = make_layer(), make_layer()
    stays, goes = begin_receive(layer, "c"), begin_receive(layer, "a", "b")
    unwait, locked = layer._attachment.unwait, threading.Event()
    locked.set()

    def refuse(channel):
        if channel == "b" and locked.is_set():
            raise LockTimeout("somebody has it")
        unwait(channel)

    monkeypatch.setattr(layer._attachment, "unwait", refuse)
    layer.send("a", {})
    goes.result()
    assert layer._receiver._over == {"b"}
    comes = begin_receive(layer, "b")
    assert layer._receiver._over == set()
    locked.clear()
    other.send("b", {})
    assert comes.result()[0] == "b"
    other.send("c", {})
    stays.result()


def test_a_wait_that_is_over_passes_its_turn_on(make_layer):
    layer, other = make_layer(), make_layer()
    task = Task(layer.receive, ["a"], block=True, timeout=0.2)
    until(lambda: waiting(layer) == 1)
    another = begin_receive(other, "a")

    assert task.result() == (None, None)
    other.send("a", {})
    assert another.result() == ("a", {})


def test_nothing_is_lost_among_many(make_layer):
    """Threads that wait for one or several of three channels, in two layers, and give up."""
    layers = [make_layer(capacity=10_000), make_layer(capacity=10_000)]
    lists = [["a"], ["b", "a"], ["c", "b"], ["a", "b", "c"]]
    received, gone = [], threading.Event()

    def take(layer, names):
        while not gone.is_set():
            channel, message = layer.receive(names, block=True, timeout=0.01)
            if channel is not None:
                received.append(message["number"])

    tasks = [Task(take, layer, names) for layer in layers for names in lists]
    for number in range(3000):
        layers[number % 2].send("abc"[number % 3], {"number": number})
    until(lambda: len(received) >= 3000)
    gone.set()
    for task in tasks:
        task.result()

    assert sorted(received) == list(range(3000))
    assert [waiting(layer) for layer in layers] == [0, 0]


def test_nothing_is_lost_without_a_time_limit(layer):
    """No tick and no timeout makes a lost wake-up good."""
    layer.get_capacity = lambda channel: 10_000
    received = []

    def take(names):
        while (number := layer.receive(names, block=True)[1]["number"]) >= 0:
            received.append(number)

    tasks = [Task(take, names) for names in (["a"], ["b", "a"], ["a", "b"], ["b"])]
    for number in range(3000):
        layer.send("ab"[number % 2], {"number": number})
    until(lambda: len(received) >= 3000)
    for _ in tasks:  # those with two channels may take all of one but for the last
        layer.send("a", {"number": -1})
        layer.send("b", {"number": -1})
    for task in tasks:
        task.result()

    assert sorted(received) == list(range(3000))


async def test_a_loop_and_threads_wait_in_one_process(make_layer, prefix, monkeypatch):
    monkeypatch.setattr(_receiver, "TICK", NO_TICK)
    layer = make_layer()
    loops = ShmChannelLayer(prefix=prefix)
    coroutine = asyncio.create_task(loops.receive("to-loop"))
    await asyncio.sleep(0)
    task = begin_receive(layer, "to-thread")
    layer.send("to-loop", {"number": 1})
    await loops.send("to-thread", {"number": 2})

    assert await soon(coroutine) == {"number": 1}
    assert task.result() == ("to-thread", {"number": 2})
    await loops.close()


def begin_send(layer, channel, number):
    before = waiting_senders(layer)
    task = Task(layer.send, channel, {"number": number}, timeout=TIMEOUT)
    until(lambda: task.done() or waiting_senders(layer) > before)
    return task


def waiting_senders(layer):
    with layer._receiver._lock:
        return len(layer._receiver._senders)


def test_a_sender_waits_for_room(make_layer):
    layer, other = make_layer(capacity=1), make_layer(capacity=1)
    layer.send("a", {"number": 0})
    tasks = [begin_send(each, "a", number) for number in (1, 2) for each in (layer, other)]
    received = [other.receive(["a"], block=True)[1]["number"] for _ in range(5)]
    for task in tasks:
        task.result()

    assert sorted(received) == [0, 1, 1, 2, 2]
    assert waiting_senders(layer) == waiting_senders(other) == 0


def test_a_sender_whose_time_is_over(make_layer):
    layer = make_layer(capacity=1)
    layer.send("a", {"number": 0})
    for timeout in (0, 0.01):
        with pytest.raises(ChannelFull):
            layer.send("a", {}, timeout=timeout)

    assert layer.channel_size("a") == 1


def test_a_pipe_of_threads_loses_nothing(make_layer):
    """Senders and receivers wait for each other all the time; no tick helps."""
    layers = [make_layer(capacity=2), make_layer(capacity=2)]
    received = []

    def send(layer, first):
        for number in range(first, first + 500):
            layer.send("a", {"number": number}, timeout=TIMEOUT)

    def take(layer):
        while (number := layer.receive(["a"], block=True)[1]["number"]) >= 0:
            received.append(number)

    readers = [Task(take, layer) for layer in layers]
    writers = [Task(send, layers[index % 2], 1000 * index) for index in range(4)]
    for writer in writers:
        writer.result()
    for _ in readers:
        layers[0].send("a", {"number": -1}, timeout=TIMEOUT)
    for reader in readers:
        reader.result()

    assert sorted(received) == [1000 * i + n for i in range(4) for n in range(500)]


def test_close_ends_the_wait_of_a_sender(make_layer):
    layer = make_layer(capacity=1)
    layer.send("a", {})
    task = begin_send(layer, "a", 1)
    layer.close()

    with pytest.raises(LayerClosed):
        task.result()


def test_who_is_woken_has_not_gone(layer, monkeypatch):
    """Its event would be closed, and the number that of another file."""
    task = begin_receive(layer, "a")
    wake = _blocking._Waiter.wake
    free = []

    def is_free(lock):
        if not lock.acquire(blocking=False):
            return False
        lock.release()
        return True

    def look(waiter):
        free.append(Task(is_free, layer._receiver._lock).result())
        wake(waiter)

    monkeypatch.setattr(_blocking._Waiter, "wake", look)
    layer.close()
    with pytest.raises(LayerClosed):
        task.result()
    assert free == [False]


@pytest.fixture
def deaf(layer, monkeypatch):
    """A thread that waits for "a", and hears nothing but what other threads tell it."""
    reader, writer = os.pipe()
    asked = []
    with monkeypatch.context() as patched:
        patched.setattr(layer._attachment, "bell", lambda: asked.append(1) or reader)
        task = begin_receive(layer, "a")
        until(lambda: asked)
    yield task
    os.close(reader)
    os.close(writer)


def test_a_lock_of_another_channel_is_not_waited_for(make_layer, layer, deaf, monkeypatch):
    """Who finds it so takes its own message, and another is to look."""
    task = begin_receive(layer, "b")

    def refuse():
        with contextlib.suppress(BlockingIOError):  # as the native one does first
            os.read(layer._attachment.bell(), 4096)
        return [], LockTimeout("somebody has it")

    monkeypatch.setattr(layer._attachment, "ready", refuse)
    other = make_layer()
    with layer._receiver._lock:
        other.send("a", {"number": 1})
        other.send("b", {"number": 2})

    assert task.result() == ("b", {"number": 2})
    assert deaf.result() == ("a", {"number": 1})


def test_what_a_handler_raises_ends_the_wait(layer, on_signal):
    def interrupt(number, frame):
        raise Interrupted

    task = on_signal(layer, interrupt)
    with pytest.raises(Interrupted):
        layer.receive(["a", "b"], block=True)
    task.result()

    assert waiting(layer) == 0
    another = begin_receive(layer, "a")
    layer.send("a", {"number": 1})
    assert another.result() == ("a", {"number": 1})


def test_a_handler_that_raises_nothing_ends_nothing(layer, on_signal):
    ran = []

    def note(number, frame):
        ran.append(number)
        layer.send("a", {"number": 1})

    task = on_signal(layer, note)
    assert layer.receive(["a"], block=True) == ("a", {"number": 1})
    task.result()
    assert ran == [signal.SIGUSR1]


def test_a_handler_that_receives(layer, on_signal):
    """It waits inside of the wait of the same thread."""
    inner = []

    def receive(number, frame):
        sender = Task(layer.send, "b", {"number": 2})
        inner.append(layer.receive(["b"], block=True))
        sender.result()
        layer.send("a", {"number": 1})

    task = on_signal(layer, receive)
    assert layer.receive(["a"], block=True) == ("a", {"number": 1})
    task.result()
    assert inner == [("b", {"number": 2})]


def test_a_handler_that_forks(layer, on_signal):
    """The child waits on, as a process of its own."""
    parent = os.getpid()

    def fork(number, frame):
        if os.fork() != 0:
            layer.send("a", {"number": 1})
            layer.send("a", {"number": 2})

    task = on_signal(layer, fork)
    channel, message = layer.receive(["a"], block=True)
    if os.getpid() != parent:
        good = channel == "a" and message["number"] in {1, 2} and waiting(layer) == 0
        os._exit(0 if good else 1)
    task.result()
    assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
    assert channel == "a"


def test_close_ends_the_waits_of_other_threads(layer):
    tasks = [begin_receive(layer, "a"), begin_receive(layer, "a", "b")]
    layer.close()

    for task in tasks:
        with pytest.raises(LayerClosed):
            task.result()


def test_a_child_waits_for_itself(layer):
    task = begin_receive(layer, "a")
    if (child := os.fork()) == 0:
        layer.send("a", {"number": 1})
        own = layer.new_channel()
        layer.send(own, {})
        os._exit(0 if layer.receive([own], block=True)[0] == own else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert task.result() == ("a", {"number": 1})


def test_a_segment_that_is_removed_is_left(make_layer, prefix, monkeypatch):
    monkeypatch.setattr(_blocking, "TICK", 0.01)
    layer, other = make_layer(), make_layer()
    task = begin_receive(layer, "a")
    unlink(prefix)
    until(lambda: _sends(other, "a") or task.done())

    assert task.result()[0] == "a"


def _sends(layer, channel):
    """Into the old segment as long as it is not noticed that there is another."""
    layer._attachment.tick()
    layer.send(channel, {})
    time.sleep(0.02)
    return False


def test_the_tick_makes_a_lost_bell_good(layer, monkeypatch):
    deaf = os.eventfd(0)
    monkeypatch.setattr(_blocking, "TICK", 0.05)
    monkeypatch.setattr(layer._attachment, "bell", lambda: deaf)
    task = begin_receive(layer, "a")
    layer.send("a", {"number": 1})

    assert task.result() == ("a", {"number": 1})
    os.close(deaf)


def test_descriptors_come_back(layer):
    begin_receive(layer, "warm")
    layer.send("warm", {})
    until(lambda: waiting(layer) == 0)
    before = len(list(DESCRIPTORS.iterdir()))
    for _ in range(20):
        task = begin_receive(layer, "a")
        layer.send("a", {})
        task.result()

    assert len(list(DESCRIPTORS.iterdir())) == before


def test_who_waits_uses_no_processor(layer):
    """It makes no system call while nothing comes: it is switched away from once, and stays."""
    task = begin_receive(layer, "a")
    before = switches(task)
    for _ in range(20):
        layer.send("other", {})
        layer.receive(["other"])
    assert switches(task) == before
    layer.send("a", {})
    task.result()
