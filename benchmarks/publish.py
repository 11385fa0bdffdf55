"""Writes the files of a report: beside the results, and into the documents.

What is written into a document stands between two marks, and is never edited by hand.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
from pathlib import Path

from . import plots, report
from .store import Results

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
DOCUMENT = ROOT / "docs" / "benchmarks.md"
FILES = ROOT / "docs" / "benchmarks"

BLOCK = re.compile(
    r"(<!-- benchmarks: begin[^>]*-->\n).*?(<!-- benchmarks: end -->)", re.DOTALL
)

ABOUT = {
    "overview": "Layers beside one another: bars, logarithmic",
    "latency": "The round trip between two processes, from median to 99th percentile",
    "fan_out": "A group message against the size of the group",
    "stream": "A one-way stream against the size of a message",
    "growth": "The cost of an operation against the number of channels, groups and processes",
}


def publish(results: Results, directory: Path, name: str, *, docs: bool) -> str:
    """Write all files of a report, and give its text."""
    directory.mkdir(parents=True, exist_ok=True)
    text = report.markdown(results)
    (directory / f"{name}.md").write_text(text)
    (directory / f"{name}.json").write_text(report.as_json(results))
    drawn = []
    if importlib.util.find_spec("matplotlib") is None:
        text += "\nNo plots: matplotlib is not installed.\n"
    else:
        drawn = plots.draw(results, directory, name)
    if docs:
        FILES.mkdir(exist_ok=True)
        shutil.copyfile(directory / f"{name}.json", FILES / "figures.json")
        _into_documents(results, text, drawn, name)
    return text


def _into_documents(results: Results, text: str, drawn: list[Path], name: str) -> None:
    pictures = ["[figures.json](benchmarks/figures.json) has every figure of every run.", ""]
    for path in drawn:
        title = path.stem.removeprefix(f"{name}-")
        shutil.copyfile(path, FILES / f"{title}.svg")
        pictures += [f"![{ABOUT[title]}](benchmarks/{title}.svg)", ""]
    replace_block(DOCUMENT, "\n".join(["", *pictures, text]))
    replace_block(README, "\n".join(summary(results)))


def summary(results: Results) -> list[str]:
    """Write the part of the README."""
    machine = results.header["machine"]
    return [
        "",
        f"![{ABOUT['overview']}](docs/benchmarks/overview.svg)",
        "",
        *report.glance(results),
        (
            "Lost and twice are the worst share of messages that did not arrive, or arrived"
            f" again, in any of the workloads. Measured on {machine['processor']} with"
            f" {machine['processors usable']} processors,"
            f" {machine['python'].partition(',')[0]}, {machine['when'].partition('T')[0]}."
        ),
        "",
    ]


def replace_block(document: Path, text: str) -> None:
    """Put ``text`` between the marks of a document."""
    whole, count = BLOCK.subn(lambda m: m[1] + text + m[2], document.read_text())
    if count != 1:
        raise ValueError(f"{document} needs one block <!-- benchmarks: begin --> … end -->")
    document.write_text(whole)
