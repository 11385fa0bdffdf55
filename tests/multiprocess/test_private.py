"""prefix=None: a segment of the process and the children that it forks, and of nobody else."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from asgi_shm import ShmChannelLayer, SyncShmChannelLayer, errors, unlink
from asgi_shm.inspect import Observer
from tests.multiprocess.test_fork import Fork, in_child
from tests.support import TIMEOUT, run_alone, soon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root may do that to a process")


@pytest.fixture
def layer() -> Iterator[ShmChannelLayer]:
    private = ShmChannelLayer(prefix=None)
    yield private
    private._attachment.verify()
    run_alone(private.close())


# -- who shares it ----------------------------------------------------------------------


def test_each_layer_has_its_own(layer):
    other, blocking = ShmChannelLayer(prefix=None), SyncShmChannelLayer(prefix=None)
    run_alone(layer.send("channel", {"number": 1}))

    assert run_alone(other.channel_size("channel")) == 0
    assert blocking.receive(["channel"]) == (None, None)
    assert run_alone(layer.receive("channel")) == {"number": 1}
    run_alone(other.close())
    blocking.close()


def test_a_child_forked_before_the_first_use(layer):
    in_child(lambda: run_alone(layer.send("channel", {"number": 1})))

    assert run_alone(layer.receive("channel")) == {"number": 1}


async def test_a_child_wakes_its_parent_and_is_woken(layer):
    def answer() -> None:
        asyncio.run(answer_one(layer))

    child = Fork(answer)
    await layer.send("question", await soon(layer.receive("ready")))

    assert await soon(layer.receive("answer")) == {"type": "ready"}
    child.join()


async def answer_one(layer: ShmChannelLayer) -> None:
    waiting = asyncio.create_task(layer.receive("question"))
    await asyncio.sleep(0)
    await layer.send("ready", {"type": "ready"})
    await layer.send("answer", await soon(waiting))


def test_threads_that_wait_are_woken_over_a_fork():
    layer = SyncShmChannelLayer(prefix=None)

    def answer() -> None:
        _, message = layer.receive(["question"], block=True, timeout=TIMEOUT)
        layer.send("answer", message or {})

    child = Fork(answer)
    layer.send("question", {"number": 1})

    assert layer.receive(["answer"], block=True, timeout=TIMEOUT) == ("answer", {"number": 1})
    child.join()
    layer.close()


async def test_a_group_over_forks(layer):
    children = [Fork(lambda: asyncio.run(join_and_tell(layer))) for _ in range(3)]
    for _ in children:
        await soon(layer.receive("joined"))
    await layer.group_send("group", {"number": 1})

    assert [await soon(layer.receive("got")) for _ in children] == [{"number": 1}] * 3
    for child in children:
        child.join()


async def join_and_tell(layer: ShmChannelLayer) -> None:
    channel = await layer.new_channel()
    await layer.group_add("group", channel)
    waiting = asyncio.create_task(layer.receive(channel))
    await asyncio.sleep(0)
    await layer.send("joined", {})
    await layer.send("got", await soon(waiting))


@needs_root
async def test_a_child_that_becomes_another_user_wakes_and_is_woken(layer):
    def answer() -> None:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        asyncio.run(answer_one(layer))

    child = Fork(answer)
    await layer.send("question", await soon(layer.receive("ready")))

    assert await soon(layer.receive("answer")) == {"type": "ready"}
    child.join()


# -- what is left -----------------------------------------------------------------------


def test_what_a_killed_child_had_goes(layer, until):
    reading, writing = os.pipe()

    def join_and_stay() -> None:
        channel = run_alone(layer.new_channel())
        run_alone(layer.group_add("group", channel))
        os.write(writing, b"x")
        signal.pause()

    child = Fork(join_and_stay)
    os.read(reading, 1)
    assert run_alone(layer.group_count("group")) == 1
    os.kill(child.pid, signal.SIGKILL)
    os.waitpid(child.pid, 0)
    os.close(reading)
    os.close(writing)

    def tick() -> bool:
        layer._attachment.tick()
        return run_alone(layer.group_count("group")) == 0

    until(tick)


def test_children_that_are_killed_somewhere_between_their_fork_and_their_work(layer, until):
    run_alone(layer.group_add("group", run_alone(layer.new_channel())))

    def work() -> None:
        while True:
            channel = run_alone(layer.new_channel())
            run_alone(layer.group_add("group", channel))
            run_alone(layer.send(channel, {}))

    for delay in range(60):
        child = Fork(work)
        for _ in range(delay):  # so many chances to come a little further
            time.sleep(0)
        os.kill(child.pid, signal.SIGKILL)
        os.waitpid(child.pid, 0)

    def alone() -> bool:
        layer._attachment.tick()
        layer._attachment.verify()
        return layer._attachment.info().attached == 1

    until(alone)
    assert run_alone(layer.group_count("group")) == 1


PROGRAM = """
import asyncio, os, signal, sys
from asgi_shm import ShmChannelLayer

async def wait():
    message = asyncio.ensure_future(layer.receive("channel"))
    await asyncio.sleep(0)
    await layer.send("waiting", {})
    await asyncio.wait_for(message, 60)

def open_files():
    for line in open("/proc/self/maps"):
        yield line.split(maxsplit=5)[-1]
    for number in os.listdir("/proc/self/fd"):
        try:
            yield os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:
            pass

layer = ShmChannelLayer(prefix=None)
child = os.fork()
if child == 0:
    asyncio.run(wait())
assert asyncio.run(layer.receive("waiting")) == {}
print(child, [name for name in open_files() if "/dev/shm" in name], flush=True)
signal.pause()
"""


def test_nothing_of_it_is_a_file_and_nothing_is_left(until):
    before = set(abstract_sockets())
    program = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE)
    assert program.stdout is not None
    child, _, files = program.stdout.readline().decode().partition(" ")
    sockets = set(abstract_sockets()) - before
    os.kill(int(child), signal.SIGKILL)
    program.kill()
    program.wait()
    program.stdout.close()

    assert files.strip() == "[]"
    assert sockets  # the child waits, and this is what it would be woken by
    until(lambda: not sockets & set(abstract_sockets()))


def abstract_sockets() -> list[str]:
    lines = Path("/proc/net/unix").read_text().splitlines()
    return [line.split()[-1] for line in lines if "@asgi_shm." in line]


def test_closed_descriptors_and_mappings(layer):
    def held() -> tuple[int, int]:
        gc.collect()
        maps = Path("/proc/self/maps").read_text()
        return len(os.listdir("/proc/self/fd")), maps.count("memfd:asgi_shm")  # noqa: PTH208

    before = held()
    for _ in range(3):
        with SyncShmChannelLayer(prefix=None) as other:
            other.send("channel", {})
            other.receive(["other"], block=True, timeout=0.001)
        in_child(lambda other=other: None)
        del other

    assert held() == before


# -- who does not -----------------------------------------------------------------------


def test_a_spawned_process_is_refused(layer):
    with pytest.raises(TypeError, match="only forked children share"):
        pickle.dumps(layer)
    process = multiprocessing.get_context("spawn").Process(target=print, args=(layer,))
    with pytest.raises(TypeError, match="cannot be pickled"):
        process.start()


@pytest.mark.parametrize("look", [Observer, unlink])
def test_it_has_no_name(look: Callable[[Any], object]):
    with pytest.raises(errors.SegmentNotFound, match="has no name"):
        look(None)


# -- what programs do to their descriptors, and to /proc ---------------------------------


def test_a_descriptor_that_the_program_has_closed(layer, caplog):
    reading, writing = os.pipe()

    def daemon() -> None:
        os.dup2(writing, 100)
        os.closerange(3, 100)
        run_alone(layer.send("channel", {}))
        alone = run_alone(layer.channel_size("channel"))
        os.write(100, f"{alone} {caplog.text}".encode())

    in_child(daemon)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        told = pipe.read()

    assert told.startswith("1 ")
    assert "has closed the descriptor of a private segment" in told
    assert run_alone(layer.channel_size("channel")) == 0


@needs_root
def test_without_proc(layer, tmp_path):
    def jailed() -> None:
        os.chroot(tmp_path)
        with pytest.raises(errors.SegmentError, match="reached through /proc"):
            ShmChannelLayer(prefix=None)
        with pytest.raises(errors.SegmentError, match="reached through /proc"):
            run_alone(layer.send("channel", {}))

    in_child(jailed)


# -- losses -----------------------------------------------------------------------------


def test_losses_are_told(caplog, monkeypatch):
    monkeypatch.setattr("asgi_shm._losses.LOG_INTERVAL", 0)
    layer = ShmChannelLayer(prefix=None, capacity=1)
    layer._attachment.tick()
    run_alone(layer.send("small", {}))
    with pytest.raises(errors.ChannelFull):
        run_alone(layer.send("small", {}))
    layer._attachment.tick()

    assert "prefix None: 1 messages were refused" in caplog.text
    assert "'small' (capacity 1)" in caplog.text
    run_alone(layer.close())
