"""The quick form of the soak: a short storm of each shape. See the package for the long one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.soak.__main__ import SHAPES
from tests.soak.sabotage import LOSSES
from tests.soak.tally import Journals

ROOT = Path(__file__).parents[2]
# Bounds a storm that does not end; nothing measures it.
TIMEOUT = 150


def run(*arguments: str) -> None:
    """A process of its own: it waits for every process that comes to be its child."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("shape", SHAPES)
def test_a_storm_loses_nothing(shape: str) -> None:
    run("tests.soak", "--minutes", "0", "--round", "4", "--shape", shape)


@pytest.mark.parametrize("loss", LOSSES)
def test_what_is_wrong_on_purpose_is_reported(loss: str) -> None:
    run("tests.soak.sabotage", loss)


def test_a_note_that_a_kill_has_cut_off_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "cut.journal"
    path.write_text("1 P 42\n2 I message channel\n3 S mess")
    journals = Journals()
    journals.read(path)
    assert journals.threads[0].last == 2
    assert list(journals.sent) == ["message"]
