"""Draws what a run has found, as SVG. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .measure import Figure
from .store import CellKey, Results
from .targets import MEMORY, OURS
from .text import quantity
from .workloads import CHANNELS, GROUP_SIZES, GROUPS, PROCESSES, blank
from .workloads.stream import SIZES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LOOP = "asyncio"
OUR_COLOUR, MEMORY_COLOUR, PEER_COLOUR = "#c1272d", "#4a4a4a", "#8fa3b5"
LINE_COLOURS = (
    "#1f77b4", "#17becf", "#2ca02c", "#98b954", "#9467bd", "#e6a117", "#8c564b", "#7f7f7f",
    "#bcbd22",
)  # fmt: skip
MARKERS = "sD^v<>pXh"

BARS = (
    ("send_receive", "time", "Send and receive, one process"),
    ("round_trip", "p50", "Round trip, two processes"),
    ("stream_100", "rate", "Stream of 100 B"),
    ("fan_out_1000", "last", "Group message to 1,000"),
    ("fan_out_1000", "deliveries", "Deliveries to 1,000"),
    ("queue", "rate", "Work queue, messages"),
)
SENSE = {True: "more is better", False: "less is better"}


@dataclass(frozen=True)
class Sweep:
    """Workloads that differ in a number alone, which goes along the axis."""

    kind: str
    sizes: Mapping[Any, int]
    """The ends of their keys, and the numbers."""

    label: str

    def figure(self, name: str) -> Figure:
        """What is known of one of their figures."""
        return blank(f"{self.kind}_{next(iter(self.sizes))}").figures[name]


def _sweep(kind: str, sizes: Sequence[int], label: str) -> Sweep:
    return Sweep(kind, {size: size for size in sizes}, label)


def draw(results: Results, directory: Path, name: str) -> list[Path]:
    """Draw all plots into ``directory``; give the files. Plots of nothing are left out."""
    import matplotlib as mpl

    mpl.use("svg")
    # The same figures give the same file.
    mpl.rcParams.update({
        "svg.hashsalt": "asgi_shm", "svg.fonttype": "none", "font.family": "sans-serif",
        "font.size": 9, "axes.spines.top": False, "axes.spines.right": False,
        "axes.titlesize": 10, "axes.titleweight": "bold", "axes.titlelocation": "left",
    })  # fmt: skip
    drawn = []
    for title, plot in PLOTS.items():
        figure = plot(results)
        if figure is not None:
            path = directory / f"{name}-{title}.svg"
            # White, so that it can be read where the page is dark.
            figure.savefig(path, facecolor="white", metadata={"Date": None})
            drawn.append(path)
    return drawn


def overview(results: Results) -> Any:
    """Draw bars for what people choose by."""
    return _bars(results, BARS, columns=2)


def latency(results: Results) -> Any:
    """Draw the round trip from median to 99th percentile, above its floors."""
    from matplotlib.figure import Figure as Canvas

    entries = [
        (label, results.median(CellKey(LOOP, work, key), "p50"),
         results.median(CellKey(LOOP, work, key), "p99"), key)
        for key, label, work in (
            ("", "floor: C over a FIFO", "c"),
            ("", "floor: asyncio over a FIFO", "fifo"),
            *((key, label, "round_trip") for key, label in _labels(results).items()),
        )
    ]  # fmt: skip
    found = sorted(
        (middle, high or middle, label, key) for label, middle, high, key in entries if middle
    )
    if len(found) < 2:
        return None
    figure = Canvas(figsize=(8, 0.9 + 0.3 * len(found)), layout="constrained")
    axes = figure.subplots()
    for at, (middle, high, _, key) in enumerate(found):
        colour = _colour(key) if key else "#cccccc"
        axes.plot([middle, high], [at, at], color=colour, linewidth=2)
        axes.plot([middle], [at], "o", color=colour)
        axes.annotate(
            quantity(middle, "ns"), (middle, at), xytext=(0, 5), textcoords="offset points",
            ha="center", fontsize=8,
        )  # fmt: skip
    axes.set_yticks(range(len(found)), [label for _, _, label, _ in found])
    axes.invert_yaxis()
    axes.set_xscale("log")
    _logarithmic(axes.xaxis, "ns")
    axes.set_title("Round trip: median (dot) to 99th percentile (less is better)")
    return figure


def fan_out(results: Results) -> Any:
    """Draw what a group message costs against the size of the group."""
    return _lines(results, _sweep("fan_out", GROUP_SIZES, "members of the group"), (
        ("call", "The group_send call"),
        ("last", "Until the last member has it"),
        ("deliveries", "Deliveries in bursts"),
    ))  # fmt: skip


def stream(results: Results) -> Any:
    """Draw the throughput against the size of a message."""
    return _lines(
        results,
        Sweep("stream", SIZES, "bytes of a message"),
        (("rate", "One-way stream, messages"), ("bytes", "One-way stream, payload")),
    )


def growth(results: Results) -> Any:
    """Draw what an operation costs beside more and more of something."""
    from matplotlib.figure import Figure as Canvas

    sweeps = (
        _sweep("channels", CHANNELS, "other channels, a message in each"),
        _sweep("groups", GROUPS, "other groups"),
        _sweep("processes", PROCESSES, "attached processes"),
    )
    figure = Canvas(figsize=(11, 3.8), layout="constrained")
    all_axes = figure.subplots(1, len(sweeps))
    drawn = 0
    for axes, sweep in zip(all_axes, sweeps, strict=True):
        drawn += _line_panel(results, axes, sweep, "time")
        what = "group_send and receive" if sweep.kind == "groups" else "send and receive"
        axes.set_title(f"One {what}")
    _legend(figure, all_axes)
    return figure if drawn else None


PLOTS: dict[str, Callable[[Results], Any]] = {
    "overview": overview,
    "latency": latency,
    "fan_out": fan_out,
    "stream": stream,
    "growth": growth,
}
"""Every plot by the end of its file's name."""


def _bars(results: Results, panels: Sequence[tuple[str, str, str]], columns: int) -> Any:
    from matplotlib.figure import Figure as Canvas

    drawable = [panel for panel in panels if _bar_values(results, panel)]
    if not drawable:
        return None
    rows = -(-len(drawable) // columns)
    most = max(len(_bar_values(results, panel)) for panel in drawable)
    figure = Canvas(figsize=(11, rows * (0.8 + 0.22 * most)), layout="constrained")
    all_axes = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes, panel in zip(all_axes, drawable, strict=False):
        _bar_panel(axes, results, panel)
        axes.set_ylim(most - 0.5, -0.5)  # bars of one thickness, the best on top
    figure.supxlabel(
        "Logarithmic: a bar that is a little longer is many times more", fontsize=8
    )
    for axes in all_axes[len(drawable) :]:
        axes.set_axis_off()
    return figure


def _bar_values(results: Results, panel: tuple[str, str, str]) -> dict[str, float]:
    workload, figure, _ = panel
    found = {
        key: results.median(CellKey(LOOP, workload, key), figure) for key in _labels(results)
    }
    return {key: value for key, value in found.items() if value}


def _bar_panel(axes: Axes, results: Results, panel: tuple[str, str, str]) -> None:
    workload, name, title = panel
    figure = blank(workload).figures[name]
    labels, values = _labels(results), _bar_values(results, panel)
    order = sorted(values, key=lambda key: values[key], reverse=figure.more_is_better)
    bars = axes.barh(
        range(len(order)), [values[key] for key in order], color=[_colour(key) for key in order]
    )
    axes.bar_label(
        bars, [quantity(values[key], figure.unit) for key in order], padding=3, fontsize=8
    )
    axes.set_yticks(range(len(order)), [labels[key] for key in order])
    for tick, key in zip(axes.get_yticklabels(), order, strict=True):
        tick.set_fontweight("bold" if key == OURS else "normal")
    axes.set_xscale("log")
    axes.set_xlim(min(values.values()) / 3, max(values.values()) * 8)
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)
    axes.set_title(f"{title} ({SENSE[figure.more_is_better]})")


def _lines(results: Results, sweep: Sweep, panels: Sequence[tuple[str, str]]) -> Any:
    from matplotlib.figure import Figure as Canvas

    figure = Canvas(figsize=(5 * len(panels), 4.6), layout="constrained")
    drawn = 0
    all_axes = figure.subplots(1, len(panels))
    for axes, (name, title) in zip(all_axes, panels, strict=True):
        drawn += _line_panel(results, axes, sweep, name)
        axes.set_title(f"{title} ({SENSE[sweep.figure(name).more_is_better]})")
    if not drawn:
        return None
    _legend(figure, all_axes)
    return figure


def _legend(figure: Any, all_axes: Sequence[Axes]) -> None:
    """Write one legend for all panels, below them."""
    known: dict[str, Any] = {}
    for axes in all_axes:
        handles, labels = axes.get_legend_handles_labels()
        known.update(zip(labels, handles, strict=True))
    if known:
        figure.legend(known.values(), known, loc="outside lower center", ncols=6, frameon=False)


def _line_panel(results: Results, axes: Axes, sweep: Sweep, name: str) -> int:
    """Draw one line for each layer; say how many there were."""
    drawn = 0
    for key, label in _labels(results).items():
        found = [
            (x, results.median(CellKey(LOOP, f"{sweep.kind}_{size}", key), name))
            for size, x in sweep.sizes.items()
        ]
        points = [(x, y) for x, y in found if y]
        if points:
            ours = key == OURS
            axes.plot(
                *zip(*points, strict=True), label=label, color=_line_colour(results, key),
                marker="o" if ours else _marker(results, key), markersize=6 if ours else 4,
                linewidth=2.6 if ours else 1.2, zorder=3 if ours else 2,
            )  # fmt: skip
            drawn += 1
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.grid(visible=True, color="#eeeeee")
    axes.set_xticks(list(sweep.sizes.values()), [f"{x:,}" for x in sweep.sizes.values()])
    axes.minorticks_off()
    axes.set_xlabel(sweep.label)
    _logarithmic(axes.yaxis, sweep.figure(name).unit)
    return drawn


def _logarithmic(axis: Any, unit: str) -> None:
    """Write the ticks of an axis with units that people read."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: quantity(value, unit)))
    axis.set_minor_formatter(NullFormatter())


def _labels(results: Results) -> dict[str, str]:
    return {key: label for key, (label, _) in results.header["contenders"].items()}


def _colour(key: str) -> str:
    return {OURS: OUR_COLOUR, MEMORY: MEMORY_COLOUR}.get(key, PEER_COLOUR)


def _line_colour(results: Results, key: str) -> str:
    if key in (OURS, MEMORY):
        return _colour(key)
    return LINE_COLOURS[_place(results, key) % len(LINE_COLOURS)]


def _marker(results: Results, key: str) -> str:
    return MARKERS[_place(results, key) % len(MARKERS)]


def _place(results: Results, key: str) -> int:
    """Number the layers that have no colour of their own."""
    peers = [one for one in _labels(results) if one not in (OURS, MEMORY)]
    return peers.index(key) if key in peers else 0
