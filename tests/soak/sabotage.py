"""python -m tests.soak.sabotage LOSS: a short storm in which something is wrong on purpose.

It ends well if the storm's judgement names what is wrong.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asgi_shm import ShmChannelLayer, segment, unlink
from tests.soak import storm, worker
from tests.soak.__main__ import SHAPES
from tests.soak.arena import Arena
from tests.support import fresh_prefix, run_alone

if TYPE_CHECKING:
    from collections.abc import Callable

say = print

# Where the machine is busy, little goes on in one.
STORMS = 20

Got = worker.Worker.got
MakeChannels = worker.Worker.make_channels
Look = storm.Storm.look


def now_and_then(self: worker.Worker) -> bool:
    return self.random.random() < 0.1


def lose(self: worker.Worker, channel: str, message: dict[str, Any]) -> None:
    """Take a message of a channel that anybody may read, and say nothing."""
    if channel in self.own or not now_and_then(self):
        Got(self, channel, message)


def lose_own(self: worker.Worker, channel: str, message: dict[str, Any]) -> None:
    """The same of a channel that one process reads."""
    if channel not in self.own or not now_and_then(self):
        Got(self, channel, message)


def repeat(self: worker.Worker, channel: str, message: dict[str, Any]) -> None:
    Got(self, channel, message)
    if now_and_then(self):
        Got(self, channel, message)


def damage(self: worker.Worker, channel: str, message: dict[str, Any]) -> None:
    if now_and_then(self):
        message["data"] += b"!"
    Got(self, channel, message)


async def leave_a_descriptor(self: worker.Worker) -> None:
    os.open("/dev/null", os.O_RDONLY)
    await MakeChannels(self)


def leave_a_message(self: storm.Storm, checker: ShmChannelLayer) -> None:
    Look(self, checker)
    run_alone(checker.send("nobody", {"type": "unread"}))
    self.note_what_is_left(checker)


def leave_a_slot(self: storm.Storm, checker: ShmChannelLayer) -> None:
    other = ShmChannelLayer(prefix=self.arena.prefix)
    run_alone(other.new_channel())
    Look(self, checker)
    run_alone(other.close())


def leave_a_bell(self: storm.Storm, checker: ShmChannelLayer) -> None:
    path = segment.object_path(self.arena.prefix)
    os.mkfifo(f"{path}:bell.0.0.0")
    Look(self, checker)


# Name: what is put in whose place, and what is to be said of it.
LOSSES: dict[str, tuple[type, str, Callable[..., Any], str]] = {
    "lost": (worker.Worker, "got", lose, "lost, and nobody held them"),
    "lost of one reader": (worker.Worker, "got", lose_own, "misses"),
    "twice": (worker.Worker, "got", repeat, "came twice"),
    "damaged": (worker.Worker, "got", damage, "is damaged"),
    "descriptor": (worker.Worker, "make_channels", leave_a_descriptor, "descriptors before"),
    "memory": (storm.Storm, "look", leave_a_message, "message_used at the end"),
    "slot": (storm.Storm, "look", leave_a_slot, "slots are not freed"),
    "bell": (storm.Storm, "look", leave_a_bell, "came or went in /dev/shm: .*:bell"),
}


def problems_of_a_storm(seed: int) -> list[str]:
    options, circumstances = SHAPES["normal"]
    prefix = fresh_prefix()
    with tempfile.TemporaryDirectory() as directory:
        broken = storm.Storm(
            Arena(Path(directory), prefix, options, seed, **circumstances), seconds=1
        )
        try:
            broken.run()
        finally:
            unlink(prefix)
    return broken.problems


def main() -> int:
    owner, name, instead, said = LOSSES[sys.argv[1]]
    setattr(owner, name, instead)
    storm.CALM = 1.0
    for seed in range(STORMS):
        problems = problems_of_a_storm(seed)
        say(*problems, sep="\n")
        if any(re.search(said, problem) for problem in problems):
            return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
