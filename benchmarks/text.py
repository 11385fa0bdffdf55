"""Writes figures for people: three digits and a unit that fits."""

from __future__ import annotations

_STEPS = {
    "ns": ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns")),
    "/s": ((1e6, "M/s"), (1e3, "k/s"), (1.0, "/s")),
    "B/s": ((1e9, "GB/s"), (1e6, "MB/s"), (1e3, "kB/s"), (1.0, "B/s")),
    "B": ((1e6, "MB"), (1e3, "kB"), (1.0, "B")),
}


def quantity(value: float, unit: str) -> str:
    """Write a figure with its unit."""
    for scale, name in _STEPS.get(unit, ((1.0, unit),)):
        if abs(value) >= scale or scale == 1.0:
            return f"{number(value / scale)} {name}".strip()
    raise AssertionError(unit)


def spread(values: list[float], unit: str) -> str:
    """Write the lowest and the highest."""
    low, high = quantity(min(values), unit), quantity(max(values), unit)
    if low.rpartition(" ")[2] == high.rpartition(" ")[2]:
        low = low.rpartition(" ")[0]
    return f"{low} to {high}"


def number(value: float) -> str:
    """Write three digits of a number."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value else "0"


def times(ratio: float | None) -> str:
    """Write a ratio."""
    return "" if ratio is None else f"{number(ratio)}×"


def percent(share: float) -> str:
    """Write a share; nothing for none, since most are."""
    if share == 0:
        return "0"
    return f"{number(100 * share)} %" if share >= 0.0001 else "< 0.01 %"


def table(headings: list[str], rows: list[list[str]], *, left: int = 1) -> list[str]:
    """Write a markdown table, whose first ``left`` columns are text."""
    ruler = ["---"] * left + ["---:"] * (len(headings) - left)
    return [_row(headings), _row(ruler), *map(_row, rows), ""]


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
