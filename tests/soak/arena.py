"""What the processes of a soak share: options, names, a word that says stop, and journals.

Each thread of a process has a journal. A line is one write(), so it outlives a kill:

    I id channel    about to send; of a group: "group:<name>" in the channel's place
    S id            sent
    F id            refused: the channel or the memory is full
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


@dataclass
class Arena:
    """Made before the processes are forked."""

    directory: Path
    prefix: str
    options: dict[str, Any]
    seed: int
    flushes: bool = False  # messages may go for other reasons than being received
    control: mmap.mmap = field(default_factory=lambda: mmap.mmap(-1, mmap.PAGESIZE))

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


class Journal:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.stem
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def note(self, kind: str, *words: object) -> None:
        text = " ".join(map(str, (time.monotonic_ns(), kind, *words)))
        os.write(self._fd, text.replace("\n", " | ").encode() + b"\n")

    def close(self) -> None:
        os.close(self._fd)


def advertise(directory: Path, channel: str) -> None:
    """Let the others know of a channel of this process's own."""
    (directory / "own" / channel).touch()


def advertised(directory: Path) -> list[str]:
    return os.listdir(directory / "own")  # noqa: PTH208 -- names, and often


def withdraw(directory: Path, channel: str) -> None:
    (directory / "own" / channel).unlink(missing_ok=True)
