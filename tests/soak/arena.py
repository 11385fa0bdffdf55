"""What the processes of a soak share: options, names, a word that says stop, and journals.

Each thread of a process has a journal. A line is one write(), so it outlives a kill. A kill
within the write may leave the beginning of it, where a page of the file ends: that does not
count.

    P pid           the process
    I id channel    about to send; of a group: "group:<name>" in the channel's place
    S id            sent
    F id why        refused: no room in the channel, or no memory
    D id            to a group, and dropped by some or all for want of memory
    B channel       about to read a channel
    U channel       does not read it any more
    R id channel    received
    J group channel joined
    L group channel about to leave
    O channel how   made a channel of its own; how: solo (one reader at a time) or shared
    E               ended of its own will
    X text          what must not happen

and each begins with the time in nanoseconds.
"""

from __future__ import annotations

import mmap
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NORMAL = [f"normal.{n}" for n in range(6)]
FAMILY = [f"family!{n}" for n in range(3)]  # any process reads them, as "family!"
GROUPS = [f"group.{n}" for n in range(4)]
# A group whose members are these from the first message to the last. One is of the family, so
# that whoever reads "family!" knows where a message to the group was.
IN_ALL = FAMILY[0]
ALL, MEMBERS = "all", [*NORMAL[4:], IN_ALL]


@dataclass
class Arena:
    """Made before the processes are forked."""

    directory: Path
    prefix: str
    options: dict[str, Any]
    seed: int
    flushes: bool = False  # messages may go for other reasons than being received
    greed: int = 0  # how many at once, where somebody wants all the memory there is
    control: mmap.mmap = field(default_factory=lambda: mmap.mmap(-1, mmap.PAGESIZE))

    def __post_init__(self) -> None:
        (self.directory / "own").mkdir()

    def calm_down(self) -> None:
        """Nobody begins anything new; what is queued is read."""
        self.control[0] = 1

    def stop(self) -> None:
        self.control[0] = 2

    @property
    def is_storming(self) -> bool:
        return self.control[0] == 0

    @property
    def is_stopped(self) -> bool:
        return self.control[0] == 2

    def journal(self) -> Journal:
        return Journal(self.directory / f"{os.urandom(4).hex()}.journal")

    # -- channels of processes, known to the others by files of these names --------------

    def advertise(self, channel: str) -> None:
        (self.directory / "own" / f"{os.getpid()}:{channel}").touch()

    def withdraw(self, channel: str) -> None:
        (self.directory / "own" / f"{os.getpid()}:{channel}").unlink(missing_ok=True)

    def advertised(self) -> list[str]:
        names = os.listdir(self.directory / "own")  # noqa: PTH208 -- names, and often
        return [name.partition(":")[2] for name in names]

    def forget(self, pids: set[int]) -> None:
        """Withdraw what processes have advertised that are no more."""
        for path in (self.directory / "own").iterdir():
            if int(path.name.partition(":")[0]) in pids:
                path.unlink(missing_ok=True)


class Journal:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.stem
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self.note("P", os.getpid())

    def note(self, kind: str, *words: object) -> None:
        text = " ".join(map(str, (time.monotonic_ns(), kind, *words)))
        os.write(self._fd, text.replace("\n", " | ").encode() + b"\n")

    def close(self) -> None:
        os.close(self._fd)
