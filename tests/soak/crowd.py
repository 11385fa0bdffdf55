"""The processes of a storm: started, stopped and continued, killed, and taken leave of."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.soak import lives

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from tests.soak.arena import Arena

# At least so many at a time, those that they fork themselves not counted.
SIZE = 10


@dataclass
class Crowd:
    """All are children of this process: those whose parent dies become so."""

    arena: Arena
    random: random.Random
    members: dict[int, float] = field(default_factory=dict)  # pid: when it is killed
    stopped: dict[int, float] = field(default_factory=dict)  # pid: when it goes on
    ended: dict[int, int] = field(default_factory=dict)  # pid: when, at the latest
    counts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def start(self, life: Callable[[], None]) -> int:
        pid = os.fork()
        if pid == 0:
            lives.leave_at(self.arena, life)
        return pid

    def start_one(self) -> None:
        """Two fifths have a timer, two fifths are killed by us, and the rest ends by itself."""
        death = lives.draw_death(self.random)
        seconds = 10 ** self.random.uniform(-2, 0.3)
        lifetime = self.random.uniform(0.002, 0.25) if self.random.random() < 0.7 else 3600
        pid = self.start(lambda: lives.live(self.arena, None, seconds, death))
        self.counts["started"] += 1
        self.members[pid] = time.monotonic() + lifetime

    def step(self) -> None:
        """What is to be done at a moment of the storm."""
        now = time.monotonic()
        self.reap()
        for pid, at in list(self.stopped.items()):
            if at <= now:
                self.go_on(pid)
        for pid, at in list(self.members.items()):
            if at <= now:
                os.kill(pid, signal.SIGKILL)  # not waited for yet, so the PID is its own
                self.members[pid] = now + 3600
        if self.members and self.random.random() < 0.5:
            self.stop(self.random.choice(list(self.members)))
        while len(self.members) < SIZE:
            self.start_one()

    def stop(self, pid: int) -> None:
        if pid not in self.stopped:
            os.kill(pid, signal.SIGSTOP)
            self.stopped[pid] = time.monotonic() + self.random.uniform(0.001, 0.2)
            self.counts["stopped"] += 1

    def go_on(self, pid: int) -> None:
        os.kill(pid, signal.SIGCONT)
        del self.stopped[pid]

    def all_go_on(self) -> None:
        for pid in list(self.stopped):
            self.go_on(pid)

    def reap(self) -> None:
        """Take leave of those that have ended, children of members among them."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self.members.pop(pid, None)
            self.stopped.pop(pid, None)
            self.ended[pid] = time.monotonic_ns()
            self.note_end(pid, os.waitstatus_to_exitcode(status))

    def note_end(self, pid: int, code: int) -> None:
        self.counts["forked"] += 1
        if code == -signal.SIGKILL:
            self.counts["killed"] += 1
        elif code != 0:
            how = signal.Signals(-code).name if code < 0 else f"code {code}"
            self.problems.append(f"process {pid} ended with {how}")

    def is_gone(self) -> bool:
        self.reap()
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return True
        return False

    # -- where something went wrong -----------------------------------------------------

    def show_stacks(self) -> list[int]:
        """Have everybody write down where it is; who they are."""
        pids = children()
        for pid in pids:
            os.kill(pid, signal.SIGUSR1)
        time.sleep(0.5)
        return pids

    def kill_all(self) -> None:
        """Nobody is to be in the way of what comes next."""
        until = time.monotonic() + 5
        while not self.is_gone() and time.monotonic() < until:
            for pid in children():
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)


def children() -> list[int]:
    """The processes that have this one as their parent, the dead among them."""
    listing = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return [int(pid) for pid in listing.split()]
