"""One storm, from a segment that holds nothing to one that holds nothing.

Storm: at least ten processes at a time, each of a short life; most are killed, many of them a
moment after they begin, and some are stopped and continued. Calm: nobody sends any more, and
two loops that were never killed read what is left; a message that stays there is one that they
were not told of. End: everybody goes, and the segment is to be as it was before.
"""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import random
import shutil
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import posix_ipc

from asgi_shm import ShmChannelLayer
from tests.soak import lives, tally
from tests.soak.arena import ALL, MEMBERS
from tests.soak.crowd import Crowd
from tests.support import leftovers, run_alone

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.soak.arena import Arena

# Bounds for what is certain to happen; nothing measures them.
CALM = 20.0
END = 60.0

# What is nothing at the end, of a segment's figures.
EMPTY = ("messages", "memberships", "groups", "channels", "message_used", "group_used")
# A post too many wakes a waiter in vain, once. A kill may leave one, but they do not pile up.
POSTS = 50

PR_SET_CHILD_SUBREAPER = 36


@dataclass
class Storm:
    arena: Arena
    seconds: float
    crowd: Crowd = field(init=False)
    problems: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.crowd = Crowd(self.arena, random.Random(self.arena.seed))
        self.problems = self.crowd.problems

    def run(self) -> dict[str, int]:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        stacks = (self.arena.directory / "stacks").open("w")
        faulthandler.register(signal.SIGUSR1, file=stacks, all_threads=True)
        before = lives.descriptors()
        try:
            full = self.blow_over()
        finally:
            gc.unfreeze()
            self.crowd.kill_all()
        gc.collect()
        if (after := lives.descriptors()) != before:
            self.problems.append(f"{after} descriptors at the end, and {before} before")
        faulthandler.unregister(signal.SIGUSR1)
        stacks.close()
        report = tally.judge(self.arena, self.crowd.ended, group_drops=full)
        self.problems += report.problems
        return {**self.crowd.counts, **report.figures}

    def blow_over(self) -> int:
        """How many messages there was no room for."""
        checker = ShmChannelLayer(prefix=self.arena.prefix, **self.arena.options)
        for channel in MEMBERS:
            run_alone(checker.group_add(ALL, channel))
        objects = leftovers(self.arena.prefix)
        full = checker._attachment.info().full
        # What is here now is never garbage, so no child needs to look, and copy its pages.
        gc.collect()
        gc.freeze()
        self.crowd.start(lambda: lives.sink(self.arena))
        self.blow(checker)
        self.settle(checker)
        self.arena.stop()
        self.wait(self.crowd.is_gone, END, "processes do not end")
        self.look(checker)
        if strange := sorted(set(leftovers(self.arena.prefix)) ^ set(objects)):
            self.problems.append(f"came or went in /dev/shm: {strange}")
        full = checker._attachment.info().full - full
        run_alone(checker.close())
        return full

    # -- the three parts ----------------------------------------------------------------

    def blow(self, checker: ShmChannelLayer) -> None:
        until = time.monotonic() + self.seconds
        look_at = 0.0
        dead: set[int] = set()
        while time.monotonic() < until and not self.problems:
            self.crowd.step()
            time.sleep(0.001)
            if time.monotonic() > look_at:
                self.verify(checker)
                # Some time later: there are to be some messages to the dead.
                self.arena.forget(dead)
                dead = set(self.crowd.ended)
                look_at = time.monotonic() + 0.25
        self.arena.calm_down()
        self.crowd.all_go_on()

    def settle(self, checker: ShmChannelLayer) -> None:
        """Everybody but the sink goes, and the sink is told of all that is left."""
        attachment = checker._attachment
        self.wait(lambda: not self.crowd.members, CALM, "processes do not end")
        self.wait(lambda: attachment.info().messages == 0, CALM, "messages are not read")

    def look(self, checker: ShmChannelLayer) -> None:
        """Nobody else is there: nothing is left of them."""
        attachment = checker._attachment
        self.verify(checker)
        self.wait(
            lambda: attachment.tick() or attachment.info().attached == 1,
            CALM,
            "slots are not freed",
        )
        # Memberships of normal channels outlive those who made them.
        if self.arena.flushes:
            time.sleep(self.arena.options["group_expiry"])
        else:
            run_alone(checker.flush())
        self.note_what_is_left(checker)
        self.note_posts()
        self.verify(checker)

    def note_what_is_left(self, checker: ShmChannelLayer) -> None:
        checker._attachment.sweep()
        info = checker._attachment.info()
        self.problems += [
            f"{name} at the end: {value}" for name in EMPTY if (value := getattr(info, name))
        ]

    def note_posts(self) -> None:
        objects = leftovers(self.arena.prefix)
        posts = [semaphore_value(name) for name in objects if name.startswith("sem.")]
        self.crowd.counts["posts left"] = max(posts)
        if max(posts) > POSTS:
            self.problems.append(f"posts of semaphores at the end: {posts}")

    # -- what they are made of ----------------------------------------------------------

    def verify(self, checker: ShmChannelLayer) -> None:
        """Stopped processes may hold locks, so none is stopped meanwhile."""
        self.crowd.all_go_on()
        try:
            checker._attachment.verify()
        except Exception as error:
            kept = self.arena.directory / "segment"
            for path in Path("/dev/shm").glob(f"asgi_shm.*.{self.arena.prefix}"):
                shutil.copy(path, kept)
            self.problems.append(f"{type(error).__name__}: {error} (kept: {kept})")
        self.crowd.counts["verified"] += 1

    def wait(self, done: Callable[[], Any], seconds: float, otherwise: str) -> None:
        until = time.monotonic() + seconds
        while not done():
            self.crowd.reap()
            if time.monotonic() > until:
                self.problems.append(f"{otherwise}: {self.crowd.show_stacks()}")
                return
            time.sleep(0.01)


def semaphore_value(name: str) -> int:
    semaphore = posix_ipc.Semaphore("/" + name.removeprefix("sem."))
    value: int = semaphore.value
    semaphore.close()
    return value
