"""The command line: ``python -m benchmarks [--quick | --compare] [options]``."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from .contenders import BASELINE, KNOWN, PEERS, chosen
from .loops import LOOPS
from .plan import Plan, workloads
from .publish import publish
from .runner import run
from .store import Results

RESULTS = Path(__file__).parent / "results"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure channel layers.",
        epilog=f"layers: {', '.join(KNOWN)}; workloads: {', '.join(workloads([]))}",
    )  # fmt: skip
    add = parser.add_argument
    add("--quick", action="store_true", help="ours and the in-memory layer, under five minutes")
    add("--compare", action="store_true", help="all peers, with their servers")
    add(
        "--layer", action="append", default=[], metavar="LAYER",
        help="a layer to measure: a name of those below, or BACKEND=CONFIG with CONFIG as"
             " JSON; may be repeated (default: ours, the in-memory layer, and what the"
             " environment's BACKEND and CONFIG name)",
    )  # fmt: skip
    add("--workload", action="append", default=[], metavar="NAME", help="or how names begin")
    add("--loop", action="append", choices=LOOPS, help="default: both")
    add("--repetitions", type=int, metavar="N", help="default: 7; quick and compare 3")
    add("--seconds", type=float, metavar="S", help="default: 2; compare 0.5, quick 0.3")
    add("--minutes", type=float, metavar="M", help="begin no repetition that ends later;"
        " default: compare 25, quick 5")  # fmt: skip
    add("--resume", action="store_true", help="go on with a run that was ended")
    add(
        "--again", action="append", default=[], metavar="NAME",
        help="with --resume: measure workloads, or layers, of this name anew",
    )  # fmt: skip
    add("--render", action="store_true", help="measure nothing: write tables and plots anew")
    add("--docs", action="store_true", help="write them into README.md and docs/ as well")
    add("--output", default="latest", metavar="NAME", help="of the files in results/")
    return parser.parse_args()


def _plan(given: argparse.Namespace) -> Plan:
    short = given.quick or given.compare
    return Plan(
        contenders=(*BASELINE, *PEERS) if given.compare else chosen(given.layer),
        loops=tuple(given.loop or LOOPS),
        workloads=workloads(given.workload),
        repetitions=given.repetitions or (3 if short else 7),
        seconds=given.seconds or (0.3 if given.quick else 0.5 if given.compare else 2.0),
        quick=given.quick,
        minutes=given.minutes or (25.0 if given.compare else 5.0 if given.quick else None),
    )


def main() -> None:
    """Measure, and write what was found."""
    given = _arguments()
    path = RESULTS / f"{given.output}.jsonl"
    # So that the servers are stopped when we are.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if given.render:
        results = Results.read(path)
    else:
        results = run(
            _plan(given), path, lambda text: print(text, file=sys.stderr, flush=True),
            resume=given.resume, again=tuple(given.again),
        )  # fmt: skip
    print(publish(results, RESULTS, given.output, docs=given.docs))


if __name__ == "__main__":
    main()
