"""The lives of a soak's processes, from the fork to the end.

They have threads with an event loop, which share a layer, and some without one. Children that
a process forks live the same life, and it kills some of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asgi_shm import ShmChannelLayer
from tests.soak import blocking
from tests.soak.arena import NORMAL
from tests.soak.timer import KillTimer
from tests.soak.worker import DROPPED, Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.soak.arena import Arena, Journal


class Parent(Worker):
    """In the first thread of a process, which alone forks."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.children: list[int] = []

    def acts(self) -> list[Callable[[], Any]]:
        return [*super().acts(), self.fork, self.kill_a_child]

    async def fork(self) -> None:
        if self.random.random() > 0.15:
            return
        death = draw_death(self.random)
        pid = os.fork()
        if pid == 0:
            # The parent's loop, readers and names are none of the child's business.
            seconds = 10 ** self.random.uniform(-2.5, -0.5)
            leave_at(self.arena, lambda: live(self.arena, self.layer, seconds, death))
        self.children.append(pid)

    async def kill_a_child(self) -> None:
        if self.children and self.random.random() < 0.3:
            # Not waited for, so the PID is still its own, though it may be dead.
            os.kill(self.children.pop(), signal.SIGKILL)


def draw_death(rng: random.Random) -> float:
    """When a process is killed, in seconds of its life; 0: not by its own timer.

    Some are killed before they are attached, some at it, some in their first operations.
    """
    return 10 ** rng.uniform(-4.3, -1.7) if rng.random() < 0.4 else 0.0


def live(arena: Arena, layer: ShmChannelLayer | None, seconds: float, death: float) -> None:
    """The life of a process, up to its own end or to the moment when it is killed."""
    timer = KillTimer()
    timer.set(death)
    journal = arena.journal()
    rng = random.Random(f"{arena.seed}+{journal.name}")
    threads = rng.choice([1, 1, 1, 2, 3])
    before = descriptors()
    inherited = layer is not None
    if layer is None:
        layer = make_layer(arena)
    others = [
        threading.Thread(target=work, args=(arena, layer, timer, seconds))
        if rng.random() < 0.5
        else threading.Thread(target=blocking.work, args=(arena, timer, seconds))
        for _ in range(threads - 1)
    ]
    for thread in others:
        thread.start()
    work(arena, layer, timer, seconds, journal)
    for thread in others:
        thread.join()
    timer.set(0)
    if rng.random() < 0.7:
        asyncio.run(layer.close())
        del layer, others  # descriptors go with the last reference
        gc.collect()
        if not inherited and (after := descriptors()) != before:
            journal.note("X", f"descriptors before {before}, and after {after}")
    journal.note("E")


def make_layer(arena: Arena) -> ShmChannelLayer:
    layer = ShmChannelLayer(prefix=arena.prefix, **arena.options)
    layer._attachment._unsent = DROPPED
    return layer


def work(
    arena: Arena,
    layer: ShmChannelLayer,
    timer: KillTimer,
    seconds: float,
    main: Journal | None = None,
) -> None:
    """A thread with a loop; the first has the journal of the process."""
    own = main or arena.journal()
    worker = (Parent if main else Worker)(arena, layer, own, timer)
    try:
        asyncio.run(worker.run(seconds))
    except BaseException:
        own.note("X", traceback.format_exc())
        raise
    if not main:
        own.note("E")
        own.close()


def sink(arena: Arena) -> None:
    """A process that is never killed: it reads what anybody may read, from two loops."""
    layer = make_layer(arena)

    def loop() -> None:
        async def main() -> None:
            worker = Worker(arena, layer, arena.journal())
            for channel in [*NORMAL, "family!", *NORMAL]:
                worker.start_reader(channel)
            while not arena.is_stopped:
                await asyncio.sleep(0.1)
                for task in worker.readers:
                    if task.done():
                        task.result()
            await worker.stop_readers(list(worker.readers))
            worker.journal.note("E")
            worker.journal.close()

        asyncio.run(main())

    thread = threading.Thread(target=loop)
    thread.start()
    loop()
    thread.join()
    asyncio.run(layer.close())


def leave_at(arena: Arena, life: Callable[[], None]) -> None:
    """In a forked child: live, and go without what Python does at its end."""
    code = 1
    try:
        life()
        code = 0
    except BaseException:
        arena.journal().note("X", traceback.format_exc())
    finally:
        sys.stdout.flush()
        os._exit(code)


def descriptors() -> int:
    with contextlib.suppress(OSError):
        return len(list(Path("/proc/self/fd").iterdir()))
    return 0
