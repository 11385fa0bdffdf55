"""docs/api.md is what the docstrings say."""

from __future__ import annotations

import importlib.util
import itertools
import re

import asgi_shm
import asgi_shm.inspect
from tests.docs.snippets import DOCS


def written() -> str:
    """What docs/make_api.py would write."""
    spec = importlib.util.spec_from_file_location("make_api", DOCS / "make_api.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.api()


def test_it_is_up_to_date():
    assert written() == (DOCS / "api.md").read_text(), "run make api"


def test_everything_public_is_in_it():
    text = (DOCS / "api.md").read_text()
    heads = set(re.findall(r"^### `asgi_shm(?:\.inspect)?\.(\w+)", text, re.MULTILINE))

    assert set(asgi_shm.__all__) <= heads
    assert set(asgi_shm.inspect.__all__) - {"COUNTERS"} <= heads


def test_everything_in_it_says_something():
    text = (DOCS / "api.md").read_text()
    paragraphs = text.split("\n\n")

    for head, next_one in itertools.pairwise(paragraphs):
        if head.startswith("###"):
            assert not next_one.startswith("#"), head
