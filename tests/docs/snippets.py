"""The pieces of code in a document, and how they are run.

A command of ours runs as it stands, on a site of the test's own. What is for other programs
(docker, systemd, Prometheus) is parsed, and the commands of ours in it are understood.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.support import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SITE = "mysite"  # the prefix that documents use


class Snippet(NamedTuple):
    document: str
    language: str
    text: str


class Line(NamedTuple):
    """A command of a ``console`` block, and how it ends."""

    command: str
    code: int


def snippets(document: str, *languages: str) -> list[Snippet]:
    text = (DOCS / document).read_text()
    found = re.findall(r"^```(\w+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [Snippet(document, kind, body) for kind, body in found if kind in languages]


def console(document: str) -> Iterator[Line]:
    for snippet in snippets(document, "console"):
        for line in snippet.text.splitlines():
            command, _, code = line.removeprefix("$ ").partition("  # exit code ")
            assert line.startswith("$ "), line
            yield Line(command, int(code or 0))


def run(line: Line, prefix: str) -> subprocess.CompletedProcess[str]:
    """Run a command as an operator would, on the segment of the test."""
    words = shlex.split(line.command.replace(SITE, prefix))
    if words[0] == "asgi-shm":
        command = [sys.executable, "-m", "asgi_shm", *words[1:]]
    else:
        assert words[:2] == ["python", "manage.py"], line
        command = [sys.executable, "-m", "django", *words[2:]]
    if words[1] == "top":
        command += ["--count", "1", "--interval", "0.01"]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=4 * TIMEOUT,
        check=False,
        cwd=ROOT,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.deploy.project.settings",
            "TEST_PREFIX": prefix,
        },
    )


def ours(document: str) -> set[str]:
    """Every command of ours that stands anywhere in a document, without its end."""
    text = (DOCS / document).read_text()
    inline = re.findall(r"`(asgi-shm [^`]+)`", text)
    in_units = re.findall(r"^ExecStart=\S*/(asgi-shm .*)$", text, re.MULTILINE)
    return {command for command in inline + in_units if "..." not in command}
