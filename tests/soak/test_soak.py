"""The quick form of the soak: a short storm of each shape. See the package for the long one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.soak.__main__ import SHAPES
from tests.soak.sabotage import LOSSES

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
