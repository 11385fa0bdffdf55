"""``status``: a segment at a glance, once; and the plain lines of ``top``."""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace
from typing import Final

from asgi_shm.inspect import COUNTERS, Memory

from .command import Command, Exit
from .snapshot import DROPS, Rates, Snapshot, take
from .target import resolve
from .text import amount, duration, say, show_json, table

__all__ = ["COMMANDS", "HEADS", "line", "processes_table", "summary"]

HEADS: Final = (
    "    TIME  PROCESSES  RECEIVED/S   PENDING   OLDEST  CHANNELS   MEMORY  DROPPED/S  WAITS/S"
)
_FEW: Final = 10


def _part(memory: Memory) -> str:
    return f"{amount(memory.used)} of {amount(memory.size)} ({memory.used / memory.size:.0%})"


def summary(now: Snapshot, rates: Rates) -> list[tuple[str, str]]:
    """Return the figures of the whole segment, by what they are."""
    totals, per_second, counters = now.totals, rates.counters, now.totals.counters
    alive = sum(process.alive for process in now.processes)
    gone = len(now.processes) - alive
    traffic = f"{per_second['sent']:.0f}/s in, {per_second['received']:.0f}/s out"
    memory = f"messages {_part(totals.messages_memory)}; groups {_part(totals.groups_memory)}"
    waits = f"{counters['lock_waits']} waits, {counters['lock_wait_ns'] / 1e9:.3f} s"
    return [
        ("processes", f"{alive}{f' and {gone} gone' if gone else ''}"),
        ("messages", f"{totals.pending} unread; {traffic}"),
        ("dropped", ", ".join(f"{counters[name]} {name}" for name in DROPS)),
        (
            "channels",
            f"{totals.channels}; {totals.members} members in {now.group_count} groups",
        ),
        ("memory", f"{memory}; {amount(totals.reserved)} of /dev/shm"),
        ("locks", f"{waits}; {per_second['lock_waits']:.0f}/s"),
    ]


def line(now: Snapshot, rates: Rates) -> str:
    """Return a snapshot as one line under HEADS."""
    totals = now.totals
    return (
        f"{time.strftime('%H:%M:%S')}  {totals.processes:9}  "
        f"{rates.counters['received']:10.0f}  {totals.pending:8}  {duration(now.oldest):>7}  "
        f"{totals.channels:8}  {totals.messages_memory.used / totals.messages_memory.size:7.0%}"
        f"  {rates.drops:9.0f}  {rates.counters['lock_waits']:7.0f}"
    )


def processes_table(now: Snapshot, rates: Rates) -> str:
    """Return the processes, with what they do."""
    return table(
        ("slot", "pid", "age", "waiting", "pending", "in/s", "out/s", "command"),
        [
            (
                process.slot,
                process.pid,
                duration(process.age),
                process.waiting,
                process.pending,
                f"{rates.sent[process.slot]:.0f}",
                f"{rates.received[process.slot]:.0f}",
                process.command if process.alive else f"(gone) {process.command}",
            )
            for process in now.processes
        ],
    )


def _status(arguments: Namespace) -> int:
    with resolve(arguments).observe() as observer:
        before = take(observer, _FEW)
        time.sleep(arguments.interval)
        now = take(observer, _FEW)
    rates = Rates.between(before, now)
    if arguments.json:
        show_json(
            {
                "prefix": now.prefix,
                "totals": now.totals,
                "rates": rates.counters,
                "processes": now.processes,
                "channels": now.channels,
                "groups": now.groups,
                "locks": now.locks,
                "counters": {counter.name: counter._asdict() for counter in COUNTERS},
            }
        )
        return Exit.OK
    say(f"prefix     {now.prefix}")
    for name, text in summary(now, rates):
        say(f"{name:9}  {text}")
    say()
    say(processes_table(now, rates))
    busy = [channel for channel in now.channels if channel.pending]
    if busy:
        say()
        say(
            table(
                ("pending", "capacity", "oldest", "channel"),
                [(one.pending, one.capacity, duration(one.age), one.name) for one in busy],
            )
        )
    if now.groups:
        say()
        say(table(("members", "group"), [(one.members, one.name) for one in now.groups]))
    for lock in now.locks:
        say(f"process {lock.pid} holds the {lock.what} lock, and others wait for it")
    return Exit.OK


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument(
        "--interval",
        type=float,
        default=0.5,
        metavar="SECONDS",
        help="over which rates are measured; default: %(default)s",
    )


COMMANDS: Final = (
    Command(
        "status",
        "show a segment at a glance: processes, traffic, memory, drops",
        _status,
        _arguments,
        ("asgi-shm status", "asgi-shm status --django mysite.settings --json"),
        "With the fullest channels and the largest groups.",
    ),
)
