"""How ``top`` looks, drawn with rich."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from .snapshot import Rates, Snapshot
from .status import summary
from .text import duration
from .view import HELP, View

__all__ = ["draw", "picture"]

# What stands on the screen beside the three tables' rows.
_FRAME = 19


def _table(title: str, heads: Sequence[str], rows: Iterable[Sequence[Text | str]]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, expand=True)
    for head in heads[:-1]:
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column(heads[-1], no_wrap=True, overflow="ellipsis", ratio=1)
    for row in rows:
        table.add_row(*row)
    return table


def _head(now: Snapshot, rates: Rates, view: View) -> Text:
    text = Text(f"asgi-shm  {now.prefix}", "bold")
    if view.paused:
        text.append("  paused", "yellow")
    bad = rates.drops > 0
    for name, value in summary(now, rates):
        text.append(f"\n{name:9}  ", "dim")
        text.append(value, "bold red" if bad and name == "dropped" else "")
    for lock in now.locks:
        text.append(f"\nprocess {lock.pid} holds the {lock.what} lock", "bold red")
    return text


def _processes(now: Snapshot, rates: Rates, view: View, rows: int) -> Table:
    heads = ("slot", "pid", "age", "waiting", "pending", "in/s", "out/s", "process")
    arrow = "▲" if view.reverse else "▼"
    return _table(
        "Processes",
        [f"{head} {arrow}" if head == view.order else head for head in heads],
        [
            [
                str(process.slot),
                str(process.pid),
                duration(process.age),
                str(process.waiting),
                str(process.pending),
                f"{rates.sent[process.slot]:.0f}",
                f"{rates.received[process.slot]:.0f}",
                Text(process.command, "" if process.alive else "red strike"),
            ]
            for process in view.processes(now, rates)[:rows]
        ],
    )


def _channels(now: Snapshot, view: View, rows: int) -> Table:
    return _table(
        "Fullest channels",
        ("pending", "capacity", "oldest", "full", "channel"),
        [
            [
                Text(str(one.pending), "bold red" if one.pending >= one.capacity else ""),
                str(one.capacity),
                duration(one.age),
                str(one.full),
                one.name,
            ]
            for one in view.channels(now)[:rows]
        ],
    )


def _groups(now: Snapshot, view: View, rows: int) -> Table:
    return _table(
        "Largest groups",
        ("members", "full", "group"),
        [[str(one.members), str(one.full), one.name] for one in view.groups(now)[:rows]],
    )


def draw(now: Snapshot, rates: Rates, view: View, height: int) -> RenderableType:
    """Return the screen, of so many lines."""
    room = max(6, height - _FRAME - len(now.locks))
    channels, groups = min(room // 3, len(view.channels(now))), min(room // 4, len(now.groups))
    if view.editing or view.filter:
        foot = Text(f"filter: {view.filter}{'_' if view.editing else ''}", "yellow")
    else:
        foot = Text(f"{HELP}  (every {view.interval:g} s)", "dim")
    return Group(
        _head(now, rates, view),
        _processes(now, rates, view, room - channels - groups),
        _channels(now, view, channels),
        _groups(now, view, groups),
        foot,
    )


def picture(now: Snapshot, rates: Rates, view: View, width: int, height: int) -> str:
    """Return the screen as SVG."""
    with open("/dev/null", "w") as nowhere:  # noqa: PTH123 - no file
        console = Console(
            record=True, width=width, height=height, file=nowhere, force_terminal=True
        )
        console.print(draw(now, rates, view, height))
        return console.export_svg(title=f"asgi-shm top --prefix {now.prefix}")
