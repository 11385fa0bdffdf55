"""The soak's supervisor: starts processes, stops and kills them, waits for the calm, looks.

Storm: at least eight processes at a time, each of a short life; some are killed a moment after
they begin, some are stopped and continued. Calm: nobody sends any more, and two loops that were
never killed read what is left; a message that stays there is one that they were not told of.
End: everybody goes, and nothing may be left in the segment.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import random
import shutil
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asgi_shm import ShmChannelLayer, unlink
from tests.soak import tally, worker
from tests.support import leftovers

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.soak.arena import Arena

CROWD = 10
# Bounds for what is certain to happen; nothing measures them.
CALM = 20.0
END = 60.0

PR_SET_CHILD_SUBREAPER = 36


@dataclass
class Storm:
    arena: Arena
    seconds: float
    random: random.Random = field(init=False)
    crowd: dict[int, float] = field(default_factory=dict)  # pid: when it is killed
    stopped: dict[int, float] = field(default_factory=dict)  # pid: when it goes on
    counts: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    group_drops: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.arena.seed)

    def count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    # -- processes ----------------------------------------------------------------------

    def start(self, life: Callable[[], None]) -> int:
        pid = os.fork()
        if pid == 0:
            worker.begin_life(self.arena)
            worker.leave_at(self.arena, life)
        self.count("started")
        return pid

    def start_one(self) -> None:
        seconds = 10 ** self.random.uniform(-2, 0.3)
        pid = self.start(lambda: worker.live(self.arena, None, seconds))
        # A third dies in its first moments, a third later, a third of its own will.
        fate = self.random.random()
        lifetime = (
            10 ** self.random.uniform(-3, -1.3)
            if fate < 0.33
            else self.random.uniform(0.02, seconds + 0.05)
            if fate < 0.66
            else 3600.0
        )
        self.crowd[pid] = time.monotonic() + lifetime

    def signal(self, pid: int, number: int) -> None:
        os.kill(pid, number)  # not waited for yet, so the pid is still its own

    def reap(self) -> None:
        """Take leave of those that have ended, grandchildren among them."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self.crowd.pop(pid, None)
            self.stopped.pop(pid, None)
            self.note_end(pid, status)

    def note_end(self, pid: int, status: int) -> None:
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            self.count(signal.Signals(number).name)
            if number not in (signal.SIGKILL, signal.SIGALRM):
                self.problems.append(f"process {pid} ended by {signal.Signals(number).name}")
        else:
            self.count("exited")
            if os.WEXITSTATUS(status) != 0:
                self.problems.append(f"process {pid} ended with {os.WEXITSTATUS(status)}")

    def step(self) -> None:
        now = time.monotonic()
        self.reap()
        for pid, at in list(self.stopped.items()):
            if at <= now:
                self.signal(pid, signal.SIGCONT)
                del self.stopped[pid]
        for pid, at in list(self.crowd.items()):
            if at <= now:
                self.signal(pid, signal.SIGKILL)
                self.crowd[pid] = now + 3600
        if self.crowd and self.random.random() < 0.1:
            pid = self.random.choice(list(self.crowd))
            if pid not in self.stopped:
                self.signal(pid, signal.SIGSTOP)
                self.stopped[pid] = now + self.random.uniform(0.001, 0.2)
                self.count("SIGSTOP")
        while len(self.crowd) < CROWD:
            self.start_one()

    # -- the three parts ----------------------------------------------------------------

    def run(self) -> dict[str, Any]:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        (self.arena.directory / "own").mkdir(parents=True)
        sinks = {self.start(lambda: worker.sink(self.arena))}
        self.counts.clear()
        checker = ShmChannelLayer(prefix=self.arena.prefix, **self.arena.options)
        try:
            self.blow(checker)
            self.settle(checker)
            self.end(checker, sinks)
        finally:
            self.arena.stop()
            self.kill_all(sinks)
            asyncio.run(checker.close())
            unlink(self.arena.prefix)
        if left := leftovers(self.arena.prefix):
            self.problems.append(f"left in /dev/shm: {left}")
        report = tally.judge(self.arena, self.group_drops)
        self.problems += report.problems
        return {**self.counts, **report.figures}

    def blow(self, checker: ShmChannelLayer) -> None:
        until = time.monotonic() + self.seconds
        verify_at = 0.0
        while time.monotonic() < until and not self.problems:
            self.step()
            time.sleep(0.001)
            if time.monotonic() > verify_at:
                self.verify(checker)
                verify_at = time.monotonic() + 0.25
        self.arena.calm_down()
        for pid in self.stopped:
            self.signal(pid, signal.SIGCONT)

    def verify(self, checker: ShmChannelLayer) -> None:
        """Stopped processes may hold locks, so none is stopped meanwhile."""
        for pid in list(self.stopped):
            self.signal(pid, signal.SIGCONT)
            del self.stopped[pid]
        try:
            checker._attachment.verify()
        except Exception as error:
            kept = self.arena.directory / "segment"
            for path in Path("/dev/shm").glob(f"asgi_shm.*.{self.arena.prefix}"):
                shutil.copy(path, kept)
            self.problems.append(f"{type(error).__name__}: {error} (kept: {kept})")
        self.count("verified")

    def settle(self, checker: ShmChannelLayer) -> None:
        """Everybody but the sink goes, and the sink is told of all that is left."""
        self.wait(lambda: not self.crowd, CALM, "processes do not end")
        self.wait(
            lambda: checker._attachment.info().messages == 0, CALM, "messages are not read"
        )
        if checker._attachment.info().messages:
            self.problems.append(f"left: {checker._attachment.info()}")

    def end(self, checker: ShmChannelLayer, sinks: set[int]) -> None:
        self.arena.stop()
        self.wait(self.is_alone, END, "processes do not end")
        sinks.clear()
        attachment = checker._attachment
        self.verify(checker)
        counters = attachment.info()
        self.group_drops = counters.full + counters.unsent
        self.wait(lambda: self.look_after(checker).attached == 1, CALM, "slots are not freed")
        if not self.arena.flushes:
            asyncio.run(self.forget(checker))
        attachment.sweep()
        info = attachment.info()
        for name in (
            "messages",
            "memberships",
            "groups",
            "channels",
            "message_used",
            "group_used",
        ):
            if getattr(info, name):
                self.problems.append(f"{name} at the end: {getattr(info, name)}: {info}")
        bells = [name for name in leftovers(self.arena.prefix) if ":bell" in name]
        if bells:
            self.problems.append(f"bells at the end: {bells}")
        self.verify(checker)

    async def forget(self, checker: ShmChannelLayer) -> None:
        """Memberships of normal channels outlive those who made them."""
        await checker.flush()

    def look_after(self, checker: ShmChannelLayer) -> Any:
        checker._attachment.tick()
        return checker._attachment.info()

    def is_alone(self) -> bool:
        self.reap()
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return True
        return False

    def wait(self, done: Callable[[], bool], seconds: float, otherwise: str) -> None:
        until = time.monotonic() + seconds
        while not done():
            self.reap()
            if time.monotonic() > until:
                self.problems.append(f"{otherwise}; {self.stacks()}")
                return
            time.sleep(0.01)

    def stacks(self) -> str:
        for pid in self.crowd:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGUSR1)
        time.sleep(0.5)
        return "\n".join(
            f"{path.name}:\n{path.read_text()}"
            for path in self.arena.directory.glob("*.stacks")
            if path.stat().st_size
        )

    def kill_all(self, sinks: set[int]) -> None:
        for pid in [*self.crowd, *sinks]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until = time.monotonic() + 5
        while time.monotonic() < until and not self.is_alone():
            time.sleep(0.01)
