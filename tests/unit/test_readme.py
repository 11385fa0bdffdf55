"""The README tells of each option what the code has."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import asgi_shm
from asgi_shm import errors
from asgi_shm.config import OPTIONS

README = (Path(__file__).parent.parent.parent / "README.md").read_text()
ROWS = {
    name: (unit.strip(), ast.literal_eval(default))
    for name, unit, default in re.findall(
        r"^\| `(\w+)` \| ([^|]*)\| `([^`]+)` \|", README, re.MULTILINE
    )
}


def test_the_table_of_options_is_that_of_the_code():
    options = {name: (option.unit, option.default) for name, option in OPTIONS.items()}
    assert options == ROWS


def test_every_exception_has_a_row():
    for name in errors.__all__:
        if name not in {"AsgiShmError", "ConfigError", "SegmentError", "SegmentReplaced"}:
            assert f"`{name}`" in README, name


@pytest.mark.parametrize(
    ("begin", "printed"),
    [
        ("import asyncio\nimport", "{'type': 'greeting', 'text': 'hello'}\n"),
        ("import asyncio\nfrom", "join 1 True False\nleave 0 False True\n"),
        (
            "import asgi_shm\n\nwith asgi_shm",
            "('work', {'type': 'job', 'number': 1})\n(None, None)\n",
        ),
        ("import asgi_shm\n\nwith \\(", "join work\nNone\n"),
    ],
)
def test_the_examples_without_django_run(begin, printed):
    (code,) = re.findall(rf"```python\n({begin}.*?)```", README, re.DOTALL)
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
        )
    finally:
        asgi_shm.unlink("readme")
    assert done.stdout == printed
