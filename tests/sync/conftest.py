"""Layers without a loop, and threads that wait in them."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from asgi_shm import SyncShmChannelLayer, _blocking
from tests.support import NO_TICK, TIMEOUT, Clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


DESCRIPTORS = Path("/proc/self/fd")


class Interrupted(Exception):
    pass


class Task:
    """A call in a thread of its own."""

    def __init__(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> None:
        self._outcome: Any = None
        self._thread = threading.Thread(
            target=self._run, args=(call, arguments, options), daemon=True
        )
        self._thread.start()

    def _run(self, call: Any, arguments: Any, options: Any) -> None:
        try:
            self._outcome = call(*arguments, **options)
        except BaseException as error:
            self._outcome = error

    def result(self) -> Any:
        self._thread.join(TIMEOUT)
        assert not self._thread.is_alive(), "the thread does not end"
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        return self._outcome

    def done(self) -> bool:
        return not self._thread.is_alive()


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + TIMEOUT
    while not condition():
        time.sleep(0.002)
        assert time.monotonic() < end, "it does not come about"


def waiting(layer: Any) -> int:
    """How many threads wait in a layer, or are about to sleep."""
    with layer._receiver._lock:
        return sum(1 for waiter in layer._receiver._waiters if waiter.entries)


def watching(layer: Any) -> int:
    """How many threads wait for what happens in a group, likewise."""
    with layer._receiver._lock:
        return sum(1 for waiter in layer._receiver._waiters if waiter.watcher)


def begin_watch(layer: Any, watch: Any) -> Task:
    """Start a thread that waits for the next event, and return when it waits."""
    before = watching(layer)
    task = Task(watch.get)
    until(lambda: task.done() or watching(layer) > before)
    return task


def switches(task: Task) -> int:
    """Wait until a thread sleeps; tell how often it was switched away from of its own will."""
    thread = Path(f"/proc/self/task/{task._thread.native_id}")
    until(lambda: "poll" in (thread / "wchan").read_text())
    lines = (thread / "status").read_text().splitlines()
    return int(dict(line.split(":", 1) for line in lines)["voluntary_ctxt_switches"])


def begin_receive(layer: Any, *channels: str) -> Task:
    """Start a thread that receives, and return when it waits."""
    before = waiting(layer)
    task = Task(layer.receive, list(channels), block=True)
    until(lambda: task.done() or waiting(layer) > before)
    return task


@pytest.fixture(autouse=True)
def no_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_blocking, "TICK", NO_TICK)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make_layer(prefix: str, request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    layers: list[Any] = []
    clock = request.getfixturevalue("clock") if "clock" in request.fixturenames else None

    def make(**options: Any) -> Any:
        layer = SyncShmChannelLayer(**{"prefix": prefix, **options})
        layers.append(layer)
        if clock is not None:
            clock.follow(layer)
        return layer

    yield make
    with SyncShmChannelLayer(prefix=prefix) as witness:
        witness._attachment.verify()
    for layer in layers:
        layer.close()


@pytest.fixture
def layer(make_layer: Callable[..., Any]) -> Any:
    return make_layer()


@pytest.fixture
def on_signal() -> Iterator[Callable[..., Task]]:
    """Runs a handler in the main thread when it waits; returns what starts that."""
    before = signal.getsignal(signal.SIGUSR1)

    def arm(layer: Any, handler: Callable[..., None]) -> Task:
        signal.signal(signal.SIGUSR1, handler)

        def shoot() -> None:
            until(lambda: waiting(layer) + watching(layer) == 1)
            time.sleep(0.01)  # so that it most likely sleeps; it works before that as well
            os.kill(os.getpid(), signal.SIGUSR1)

        return Task(shoot)

    yield arm
    signal.signal(signal.SIGUSR1, before)
