"""The command line: ``python -m benchmarks [--quick | --compare] [options]``."""

from __future__ import annotations

import argparse
import math
import signal
import sys
from pathlib import Path

from .contenders import BASELINE, KNOWN, PEERS, chosen
from .loops import LOOPS
from .plan import UVLOOP, Plan, workloads
from .publish import publish
from .runner import run
from .store import Results

RESULTS = Path(__file__).parent / "results"


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("1 or more, please")
    return number


def _time(text: str) -> float:
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError("more than 0, please")
    return number


def _file(text: str) -> str:
    if not text or text != Path(text).name:
        raise argparse.ArgumentTypeError("a name without folders, please")
    return text


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
    add("--repetitions", type=_count, metavar="N", help="default: 7; quick and compare 3")
    add("--seconds", type=_time, metavar="S", help="default: 2; compare 0.5, quick 0.3")
    add("--minutes", type=_time, metavar="M", help="begin no repetition that ends later;"
        " default: compare 25, quick 5")  # fmt: skip
    add("--resume", action="store_true", help="go on with a run that was ended")
    add(
        "--again", action="append", default=[], metavar="NAME",
        help="with --resume: measure workloads, or layers, of this name anew",
    )  # fmt: skip
    add("--render", action="store_true", help="measure nothing: write tables and plots anew")
    add("--docs", action="store_true", help="write them into README.md and docs/ as well")
    add("--output", type=_file, default="latest", metavar="NAME", help="of files in results/")
    given = parser.parse_args()
    if given.again and not given.resume:
        parser.error("--again is for --resume")
    if given.docs and not given.render and (not given.compare or given.workload or given.loop):
        parser.error("--docs is for --compare with all workloads and loops, or for --render")
    return given


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


def _measurable(plan: Plan) -> Plan:
    """Raises SystemExit if there is nothing to measure."""
    if not any(contender for _, contender in plan.cells(0)):
        raise SystemExit(
            f"nothing to measure: {', '.join(plan.loops)} is measured in {', '.join(UVLOOP)}"
            " alone, and some workloads of some layers, see benchmarks/README.md"
        )
    return plan


def main() -> None:
    """Measure, and write what was found."""
    given = _arguments()
    path = RESULTS / f"{given.output}.jsonl"
    # So that the servers are stopped when we are.
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, lambda *_: sys.exit(1))
    if given.render:
        if not path.exists():
            raise SystemExit(f"{path}: no run of this name has been measured")
        results = Results.read(path)
    else:
        results = run(
            _measurable(_plan(given)), path,
            lambda text: print(text, file=sys.stderr, flush=True),
            resume=given.resume, again=tuple(given.again),
        )  # fmt: skip
    print(publish(results, RESULTS, given.output, docs=given.docs))
    if all(results.reason(key) for key in results.cells if key.contender):
        raise SystemExit("nothing could be measured: see the reasons above")


if __name__ == "__main__":
    main()
