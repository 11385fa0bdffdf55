"""python -m tests.soak: a storm of one shape after the other, until the time is up."""

from __future__ import annotations

import argparse
import itertools
import json
import secrets
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.soak.arena import Arena
from tests.soak.storm import Storm
from tests.support import fresh_prefix

say = print  # the output of a program

MIB = 1 << 20
TINY = {"message_memory": MIB, "group_memory": MIB, "max_message_size": MIB // 4}

# Name: options of the layer, and whether messages go for other reasons than being read.
SHAPES: dict[str, tuple[dict[str, Any], bool]] = {
    "normal": ({"capacity": 10_000, "expiry": 3600}, False),
    "tiny": ({"capacity": 50, "expiry": 3600, **TINY}, False),
    "fleeting": ({"capacity": 5, "expiry": 0.05, "group_expiry": 0.1, **TINY}, True),
}


def run_round(shape: str, seconds: float, seed: int) -> bool:
    """One storm. What it wrote down stays if something is wrong."""
    options, flushes = SHAPES[shape]
    directory = Path(tempfile.mkdtemp(prefix="soak-"))
    storm = Storm(Arena(directory, fresh_prefix(), options, seed, flushes), seconds)
    figures = storm.run()
    say(f"{shape}, seed {seed}: {json.dumps(figures)}", flush=True)
    if storm.problems:
        say(*storm.problems[:20], sep="\n")
        say(f"{len(storm.problems)} problems; the journals are in {directory}", flush=True)
        return False
    shutil.rmtree(directory)
    return True


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--minutes", type=float, default=1, help="at least one round of each")
    parser.add_argument("--round", type=float, default=20, help="seconds of one storm")
    parser.add_argument("--shape", choices=SHAPES, action="append", help="default: all")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    parsed = parser.parse_args()
    shapes = parsed.shape or list(SHAPES)
    until = time.monotonic() + 60 * parsed.minutes
    for number, shape in enumerate(itertools.cycle(shapes)):
        if number >= len(shapes) and time.monotonic() > until:
            return 0
        if not run_round(shape, parsed.round, parsed.seed + number):
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
