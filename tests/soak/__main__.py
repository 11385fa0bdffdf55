"""python -m tests.soak: a storm of one shape after the other, until the time is up.

Each shape has one segment for all its storms.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import secrets
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from asgi_shm import unlink
from tests.soak.arena import Arena
from tests.soak.storm import Storm
from tests.support import fresh_prefix, leftovers

say = print  # the output of a program

MIB = 1 << 20
TINY = {"message_memory": MIB, "group_memory": MIB, "max_message_size": MIB // 4}

# Name: options of the layer, and of the arena.
SHAPES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "normal": ({"capacity": 10_000, "expiry": 3600}, {}),
    "tiny": ({"capacity": 50, "expiry": 3600, **TINY}, {"greed": 30}),
    "fleeting": (
        {"capacity": 5, "expiry": 0.05, "group_expiry": 0.1, **TINY},
        {"flushes": True, "greed": 30},
    ),
}


def run_round(shape: str, prefix: str, seconds: float, seed: int) -> Counter[str] | None:
    """One storm; None if something is wrong. What it wrote down stays then."""
    options, circumstances = SHAPES[shape]
    directory = Path(tempfile.mkdtemp(prefix="soak-"))
    storm = Storm(Arena(directory, prefix, options, seed, **circumstances), seconds)
    figures = storm.run()
    say(f"{shape}, seed {seed}: {json.dumps(figures)}", flush=True)
    if storm.problems:
        say(*storm.problems[:20], sep="\n")
        say(f"{len(storm.problems)} problems; the journals are in {directory}", flush=True)
        return None
    shutil.rmtree(directory)
    return Counter(figures)


def run_rounds(parsed: argparse.Namespace, prefixes: dict[str, str]) -> Counter[str] | None:
    """Storms until there was enough; None if one was not as it should be."""
    until = time.monotonic() + 60 * parsed.minutes
    total: Counter[str] = Counter()
    for number, shape in enumerate(itertools.cycle(prefixes)):
        if number >= len(prefixes) and (
            time.monotonic() > until and total["killed"] >= parsed.kills
        ):
            return total
        figures = run_round(shape, prefixes[shape], parsed.round, parsed.seed + number)
        if figures is None:
            return None
        posts = max(total["posts left"], figures["posts left"])
        total.update({**figures, "rounds": 1})
        total["posts left"] = posts
    raise AssertionError("there is always a next round")


def remove(prefix: str) -> bool:
    """The segment of a shape; whether nothing is left of it."""
    unlink(prefix)
    if left := leftovers(prefix):
        say(f"left in /dev/shm: {left}")
    return not left


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--minutes", type=float, default=1, help="at least one round of each")
    parser.add_argument("--kills", type=int, default=0, help="go on until there were so many")
    parser.add_argument("--round", type=float, default=20, help="seconds of one storm")
    parser.add_argument("--shape", choices=SHAPES, action="append", help="default: all")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    parsed = parser.parse_args()
    prefixes = {shape: fresh_prefix() for shape in parsed.shape or SHAPES}
    began = time.monotonic()
    try:
        total = run_rounds(parsed, prefixes)
    finally:
        clean = [remove(prefix) for prefix in prefixes.values()]
    if total is None or not all(clean):
        return 1
    seconds = round(time.monotonic() - began)
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.release()}"
    say(f"no problem in {seconds} s on {machine}: {json.dumps(total)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
