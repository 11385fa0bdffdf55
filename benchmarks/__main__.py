"""The command line: ``python -m benchmarks [--quick] [options]``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import report
from .layers import chosen
from .loops import LOOPS
from .runner import Plan, run, workloads

RESULTS = Path(__file__).parent / "results"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under five minutes")
    parser.add_argument(
        "--layer", action="append", default=[], metavar="BACKEND[=CONFIG]",
        help="a layer to measure, CONFIG as JSON; may be repeated (default: ours, the"
             " in-memory layer, and what the environment's BACKEND and CONFIG name)",
    )  # fmt: skip
    parser.add_argument("--workload", action="append", default=[], metavar="KEY")
    parser.add_argument("--loop", action="append", choices=LOOPS, help="default: both")
    parser.add_argument("--repetitions", type=int, metavar="N", help="default: 7, quick 3")
    parser.add_argument("--seconds", type=float, metavar="S", help="default: 2, quick 0.3")
    parser.add_argument(
        "--output", default="latest", metavar="NAME", help="of the files in results/"
    )
    return parser.parse_args()


def main() -> None:
    """Measure, print the table, and write it and the JSON to results/."""
    given = _arguments()
    plan = Plan(
        layers=tuple(chosen(given.layer)),
        loops=tuple(given.loop or LOOPS),
        workloads=workloads(given.workload),
        repetitions=given.repetitions or (3 if given.quick else 7),
        seconds=given.seconds or (0.3 if given.quick else 2.0),
        quick=given.quick,
    )
    found = run(plan, lambda text: print(text, file=sys.stderr))
    RESULTS.mkdir(exist_ok=True)
    table = report.markdown(found)
    (RESULTS / f"{given.output}.md").write_text(table)
    (RESULTS / f"{given.output}.json").write_text(report.as_json(found))
    print(table)


if __name__ == "__main__":
    main()
