"""Every file and target that a document names is there."""

from __future__ import annotations

import re
import subprocess
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SOURCES = sorted(
    chain((ROOT / "csrc").glob("*.[ch]"), (ROOT / "docs" / "models").glob("*.pml"))
)

LINK = re.compile(r"\]\(([^)#\s]+)")
# `csrc/lock.h`, `lock.h`, `tests/docs`, but not `os.fork` or `/dev/shm`.
FILE = re.compile(
    r"`([\w-][\w./-]*\.(?:h|c|py|pml|txt|md|toml)|(?:csrc|tests|docs|asgi_shm)/[\w./-]+)`"
)
NAMED_IN_COMMENT = re.compile(r"\b((?:docs/models/)?\w+\.(?:pml|h))\b")
TARGET = re.compile(r"`make ([a-z-]+)")

# A file may be named without its directory, and a header of the system is not ours.
PLACES = [
    ROOT,
    ROOT / "csrc",
    ROOT / "asgi_shm",
    ROOT / "asgi_shm" / "cli",
    ROOT / "docs" / "models",
    ROOT / "tests",
    ROOT / "examples" / "chat",
]


def is_there(name: str) -> bool:
    return any((place / name).exists() for place in PLACES)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document):
    targets = [link for link in LINK.findall(document.read_text()) if "://" not in link]

    assert [target for target in targets if not (document.parent / target).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_that_a_document_names_exist(document):
    assert [name for name in FILE.findall(document.read_text()) if not is_there(name)] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_make_targets_exist(document):
    for target in set(TARGET.findall(document.read_text())):
        done = subprocess.run(
            ["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_files_that_a_comment_names_exist(source):
    text = "\n".join(re.findall(r"/\*.*?\*/", source.read_text(), re.DOTALL))

    assert [name for name in NAMED_IN_COMMENT.findall(text) if not is_there(name)] == []
