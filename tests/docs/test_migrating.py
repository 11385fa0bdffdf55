"""docs/migrating.md: its settings and its code work, its tables name options that exist."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys

import pytest
from channels.layers import InMemoryChannelLayer

from asgi_shm import IPCChannelLayer, ShmChannelLayer
from asgi_shm.config import OPTIONS
from tests.docs.snippets import DOCS, SITE, snippets
from tests.support import TIMEOUT

DOCUMENT = "migrating.md"
TEXT = (DOCS / DOCUMENT).read_text()
PYTHON = snippets(DOCUMENT, "python")
ROWS = re.findall(r"^\| ([^|]*`[^|]*) \| ([^|]+) \|", TEXT, re.MULTILINE)


def names(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", cell)


@pytest.mark.parametrize("snippet", [one for one in PYTHON if "# after" in one.text])
def test_settings(snippet):
    found: dict[str, dict[str, dict[str, object]]] = {}
    exec(snippet.text, found)
    layer = found["CHANNEL_LAYERS"]["default"]

    assert layer["BACKEND"] == "asgi_shm.ShmChannelLayer"
    ShmChannelLayer(**layer["CONFIG"])


def test_only_what_has_to_change_changes():
    before, after = (
        set(one.text.splitlines()) for one in PYTHON[:2] if "CHANNEL_LAYERS" in one.text
    )

    assert len(before - after) == 3  # the comment, BACKEND, hosts


def test_the_code_for_asgi_ipc(prefix):
    (snippet,) = (one for one in PYTHON if "IPCChannelLayer" in one.text)
    code = snippet.text.replace(f'"{SITE}"', f'"{prefix}"')
    subprocess.run([sys.executable, "-c", code], check=True, timeout=4 * TIMEOUT)


def test_options_of_ours_exist():
    assert len(ROWS) >= 20
    for theirs, ours in ROWS:
        wanted = names(theirs) if ours == "the same" else names(ours)
        assert set(wanted) <= OPTIONS.keys(), theirs


def test_every_option_of_the_in_memory_layer_has_its_row():
    signature = inspect.signature(InMemoryChannelLayer.__init__)
    options = set(signature.parameters) - {"self", "kwargs"}
    section = TEXT.partition("## From the in-memory layer")[2].partition("\n## ")[0]

    assert options <= set(names(section))


def test_the_methods_of_asgi_ipc_are_there():
    section = TEXT.partition("## From asgi_ipc")[2]
    for method in ("send", "receive", "new_channel", "flush"):
        assert f"`{method}" in section
        assert callable(getattr(IPCChannelLayer, method))
