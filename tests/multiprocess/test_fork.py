"""A layer used before os.fork(): a new process in the child, as before in the parent."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import select
import signal
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from inspect import signature
from typing import TYPE_CHECKING, Any

import pytest

from asgi_shm import ShmChannelLayer, errors, unlink
from tests.support import TIMEOUT, receive_nowait, run_alone, soon

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


class Fork:
    """A forked child that runs a function and ends with its success."""

    def __init__(self, function: Callable[[], object]) -> None:
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                function()
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)

    def join(self) -> None:
        ended = os.pidfd_open(self.pid)
        if not select.select([ended], [], [], TIMEOUT)[0]:
            os.kill(self.pid, signal.SIGKILL)
        os.close(ended)
        _, status = os.waitpid(self.pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """With a private segment as well, where no other program takes part."""
    if "kind" in metafunc.fixturenames:
        named = {"make_peer", "prefix"} & signature(metafunc.function).parameters.keys()
        metafunc.parametrize("kind", ["named"] if named else ["named", "private"])


@pytest.fixture
def make_layer(kind: str, make_layer: Callable[..., Any]) -> Callable[..., Any]:
    return make_layer if kind == "named" else partial(make_layer, prefix=None)


def in_child(function: Callable[[], object]) -> None:
    Fork(function).join()


def client(layer: Any) -> str:
    """The part of a new channel's name that says whose it is."""
    return run_alone(layer.new_channel()).partition("!")[0]


def test_the_child_is_a_process_of_its_own(layer):
    before = client(layer)

    def child() -> None:
        assert client(layer) != before
        assert layer._attachment.info().attached == 2

    in_child(child)
    assert client(layer) == before


def test_the_child_may_not_receive_what_is_its_parents(layer):
    channel = run_alone(layer.new_channel())
    run_alone(layer.send(channel, {"to": "parent"}))

    def child() -> None:
        with pytest.raises(errors.NotOwner):
            run_alone(layer.receive(channel))

    in_child(child)
    assert run_alone(layer.receive(channel)) == {"to": "parent"}


def test_parent_and_child_talk_both_ways(layer):
    parents = run_alone(layer.new_channel())

    async def child() -> None:
        own = await layer.new_channel()
        await layer.group_add("group", own)
        await layer.send(parents, {"reply": own})
        for number in range(100):
            assert await soon(layer.receive(own)) == {"number": number}
            await layer.send(parents, {"number": number})

    async def parent() -> None:
        reply = (await soon(layer.receive(parents)))["reply"]
        for number in range(100):
            if number % 2:
                await layer.send(reply, {"number": number})
            else:
                await layer.group_send("group", {"number": number})
            assert await soon(layer.receive(parents)) == {"number": number}

    forked = Fork(lambda: asyncio.run(child()))
    asyncio.run(parent())
    forked.join()


@pytest.mark.parametrize("closing", [True, False], ids=["close", "exit"])
def test_the_end_of_the_child_leaves_the_parents_channels_and_groups(layer, closing):
    channel = run_alone(layer.new_channel())
    run_alone(layer.group_add("group", channel))
    run_alone(layer.send(channel, {"number": 1}))

    def child() -> None:
        run_alone(layer.group_add("group", run_alone(layer.new_channel())))
        if closing:
            asyncio.run(layer.close())

    in_child(child)
    run_alone(layer.group_send("group", {"number": 2}))

    assert run_alone(layer.receive(channel)) == {"number": 1}
    assert run_alone(layer.receive(channel)) == {"number": 2}


def test_a_close_in_the_child_before_any_use_leaves_the_parent_alone(layer):
    channel = run_alone(layer.new_channel())
    in_child(lambda: asyncio.run(layer.close()))
    run_alone(layer.send(channel, {"type": "test"}))

    assert run_alone(layer.receive(channel)) == {"type": "test"}


def test_the_child_goes_on_after_the_parent(layer, make_peer):
    run_alone(layer.new_channel())
    peer = make_peer()
    orphan = peer.run(fork_and_go)
    peer.close()
    run_alone(layer.send(orphan, {"number": 1}))

    async def answer() -> Any:
        return await soon(layer.receive("answer"))

    assert asyncio.run(answer()) == {"number": 1}


@pytest.mark.parametrize("used", [True, False], ids=["child uses it", "child does not"])
def test_a_dead_parent_is_dead_though_its_child_lives(layer, make_peer, until, used):
    run_alone(layer.new_channel())
    parent = make_peer()
    child = parent.run(join_and_fork, used)
    assert layer._attachment.info().memberships == 1
    parent.kill()
    try:
        until(lambda: layer._attachment.tick() or layer._attachment.info().memberships == 0)
        assert layer._attachment.info().attached == (2 if used else 1)
    finally:
        os.kill(child, signal.SIGKILL)


async def join_and_fork(layer: Any, say: Any, used: bool) -> int:  # noqa: FBT001
    """Be in a group, and have a child that lives until it is killed; its PID."""
    await layer.group_add("group", await layer.new_channel())
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        if used:
            await layer.send("channel", {"type": "test"})
        os.write(writing, b".")
        while True:
            signal.pause()
    os.read(reading, 1)
    return child


async def fork_and_go(layer: Any, say: Any) -> str:
    """Leave a child behind that answers one message; the name of its channel."""
    await layer.new_channel()
    reading, writing = os.pipe()
    if os.fork() == 0:
        try:
            in_a_thread(orphan(layer, writing))
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        return pipe.read()


async def orphan(layer: Any, writing: int) -> None:
    channel = await layer.new_channel()
    os.write(writing, channel.encode())
    os.close(writing)
    await layer.send("answer", await soon(layer.receive(channel)))


def test_a_layer_that_was_never_used_before_the_fork(make_layer):
    layer = make_layer()
    names: list[str] = []
    reading, writing = os.pipe()
    for _ in range(3):
        in_child(lambda: os.write(writing, client(layer).encode() + b"\n"))
    os.close(writing)
    with os.fdopen(reading) as pipe:
        names = pipe.read().split()

    assert len({*names, client(layer)}) == 4


def test_grandchildren(layer):
    run_alone(layer.send("parent", {"type": "test"}))

    def grandchild() -> None:
        run_alone(layer.send("grandchild", {"type": "test"}))

    def child() -> None:
        run_alone(layer.send("child", {"type": "test"}))
        in_child(grandchild)

    in_child(child)
    for channel in ("parent", "child", "grandchild"):
        assert run_alone(layer.receive(channel)) == {"type": "test"}


async def test_a_fork_under_receivers_that_wait(layer):
    channels = [await layer.new_channel() for _ in range(10)]
    receivers = [asyncio.create_task(layer.receive(channel)) for channel in channels]
    shared = asyncio.create_task(layer.receive("shared"))
    await asyncio.sleep(0)

    async def child() -> None:
        for number, channel in enumerate(channels):
            await layer.send(channel, {"number": number})
        await layer.send("shared", {"to": "parent"})
        own = await layer.new_channel()
        waiting = asyncio.create_task(layer.receive(own))
        await asyncio.sleep(0)
        await layer.send(own, {"to": "child"})
        assert await soon(waiting) == {"to": "child"}

    forked = Fork(lambda: in_a_thread(child()))
    messages = await soon(asyncio.gather(*receivers))
    assert [message["number"] for message in messages] == list(range(10))
    assert await soon(shared) == {"to": "parent"}
    forked.join()


async def test_the_child_waits_where_its_parent_waited(layer):
    receivers = [asyncio.create_task(layer.receive("channel")) for _ in range(3)]
    await asyncio.sleep(0)
    reading, writing = os.pipe()

    async def wait() -> None:
        receiver = asyncio.create_task(layer.receive("channel"))
        await asyncio.sleep(0)
        os.write(writing, b".")
        await layer.send("answer", await soon(receiver))

    forked = Fork(lambda: in_a_thread(wait()))
    os.read(reading, 1)
    for receiver in receivers:
        receiver.cancel()
    await asyncio.wait(receivers)
    await layer.send("channel", {"type": "test"})

    assert await soon(layer.receive("answer")) == {"type": "test"}
    forked.join()


def in_a_thread(main: Coroutine[Any, Any, None]) -> None:
    """Run in a new event loop; the parent's counts as running in the thread that forked."""
    with ThreadPoolExecutor(1) as threads:
        threads.submit(asyncio.run, main).result()


def test_forks_while_other_threads_wait(make_layer):
    layer = make_layer(capacity=100_000)
    over = threading.Event()

    async def churn() -> None:
        while not over.is_set():
            receivers = [asyncio.ensure_future(layer.receive("channel")) for _ in range(3)]
            await asyncio.sleep(0)
            for receiver in receivers:
                receiver.cancel()
            await asyncio.wait(receivers)

    async def ping(number: int) -> None:
        own = await layer.new_channel()
        receiver = asyncio.ensure_future(layer.receive(own))
        await asyncio.sleep(0)
        await layer.send(own, {"number": number})
        await layer.send("forked", await soon(receiver))

    threads = [threading.Thread(target=asyncio.run, args=(churn(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for number in range(40):
            in_child(lambda number=number: asyncio.run(ping(number)))
    finally:
        over.set()
        for thread in threads:
            thread.join(TIMEOUT)

    assert [run_alone(layer.receive("forked"))["number"] for _ in range(40)] == list(range(40))


def test_forks_while_other_threads_use_the_layer(make_layer):
    layer = make_layer(capacity=100_000)
    over = threading.Event()
    sent = [0, 0]

    def use(index: int) -> None:
        while not over.is_set():
            run_alone(layer.send(f"thread.{index}", {"number": sent[index]}))
            run_alone(layer.group_add("group", f"thread.{index}"))
            sent[index] += 1
            if sent[index] % 100 == 0:
                for _ in range(100):
                    run_alone(layer.receive(f"thread.{index}"))

    threads = [threading.Thread(target=use, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    try:
        for number in range(40):
            in_child(lambda number=number: send_number(layer, number))
    finally:
        over.set()
        for thread in threads:
            thread.join(TIMEOUT)

    assert [run_alone(layer.receive("forked"))["number"] for _ in range(40)] == list(range(40))


def test_forks_while_other_threads_make_and_close_layers(make_layer, prefix):
    """The C library keeps a lock in sem_open() that a child would find locked for ever."""
    over = threading.Event()

    def come_and_go(own: str) -> None:
        while not over.is_set():
            layer = ShmChannelLayer(prefix=own)
            run_alone(layer.send("channel", {"type": "test"}))
            run_alone(layer.close())
            unlink(own)

    threads = [
        threading.Thread(target=come_and_go, args=(f"{prefix}.{index}",)) for index in range(2)
    ]
    for thread in threads:
        thread.start()
    try:
        for number in range(60):
            layer = make_layer()
            in_child(lambda layer=layer, number=number: send_number(layer, number))
    finally:
        over.set()
        for thread in threads:
            thread.join(TIMEOUT)

    layer = make_layer()
    assert [run_alone(layer.receive("forked"))["number"] for _ in range(60)] == list(range(60))


def send_number(layer: Any, number: int) -> None:
    run_alone(layer.send("forked", {"number": number}))


def in_the_pool(number: int) -> int:
    assert POOL_LAYER is not None
    run_alone(POOL_LAYER.send("pool", {"number": number}))
    return os.getpid()


POOL_LAYER: Any = None


def test_a_pool_of_forked_processes(make_layer):
    global POOL_LAYER  # noqa: PLW0603 -- what is forked is found by its name
    POOL_LAYER = layer = make_layer(capacity=1000)
    run_alone(layer.new_channel())
    with multiprocessing.get_context("fork").Pool(3) as pool:
        pool.map(in_the_pool, range(200), chunksize=5)
    numbers = [run_alone(layer.receive("pool"))["number"] for _ in range(200)]

    assert sorted(numbers) == list(range(200))


async def test_what_waits_for_the_parent_is_not_taken_by_the_child(layer):
    await layer.send("channel", {"number": 1})
    in_child(lambda: None)

    assert await receive_nowait(layer, "channel") == {"number": 1}
