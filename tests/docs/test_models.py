"""The Spin models hold, and fail as soon as one safeguard is taken away."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

MODELS = Path(__file__).parent.parent.parent / "docs" / "models"
CSRC = MODELS.parent.parent / "csrc"
SAFETY, LIVENESS = ["-DSAFETY"], ["-DNFAIR=3"]

pytestmark = [
    pytest.mark.skipif(not shutil.which("spin"), reason="spin is not installed"),
    pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler for what spin generates"),
]


def errors(directory: Path, model: str, *switches: str) -> int:
    """How many errors spin finds: 0 or, since it stops there, 1."""
    shutil.copy(MODELS / model, directory)
    ends = "-DENDS" in switches
    run = ["./pan", "-m100000", *(["-a", "-f"] if ends else [])]
    for command in (
        ["spin", "-a", *switches, model],
        [
            "cc",
            "-O2",
            "-w",
            "-DCOLLAPSE",
            *(LIVENESS if ends else SAFETY),
            "-o",
            "pan",
            "pan.c",
        ],
        run,
    ):
        done = subprocess.run(
            command, cwd=directory, capture_output=True, text=True, check=False, timeout=300
        )
        output = done.stdout + done.stderr
        assert done.returncode == 0, output
    # An incomplete search would find nothing as well.
    assert "max search depth too small" not in output
    assert "out of memory" not in output
    found = re.search(r"^State-vector.*errors: (\d+)$", output, re.MULTILINE)
    assert found, output
    return int(found[1])


@pytest.mark.parametrize(
    "switches",
    [
        ["-DPROCESSES=3", "-DKILLS=0"],
        ["-DPROCESSES=2", "-DKILLS=2"],
        ["-DPROCESSES=2", "-DKILLS=1", "-DENDS"],
    ],
    ids=" ".join,
)
def test_the_lock_holds(tmp_path, switches):
    assert errors(tmp_path, "lock.pml", *switches) == 0


def test_a_lock_inside_another_holds(tmp_path):
    assert errors(tmp_path, "nested.pml") == 0


def test_no_wake_up_is_lost(tmp_path):
    assert errors(tmp_path, "doorbell.pml") == 0


SAFEGUARDS = [
    (model.name, switch)
    for model in sorted(MODELS.glob("*.pml"))
    for switch in re.findall(r"^ \*     (-D\w+(?: -D\w+)*)  ", model.read_text(), re.MULTILINE)
]


@pytest.mark.parametrize("model", sorted(MODELS.glob("*.pml")), ids=lambda path: path.name)
def test_what_is_modelled_names_its_model(model):
    text = model.read_text()
    head = text.partition("Left out")[0]
    modelled = {*re.findall(r"\b(\w+)\.h\b", head), *re.findall(r"/\* ---- (\w+)\.h", text)}

    assert modelled
    for name in modelled:
        assert f"docs/models/{model.name}" in (CSRC / f"{name}.c").read_text()


def test_the_models_name_their_safeguards():
    assert len(SAFEGUARDS) == 15


@pytest.mark.parametrize(("model", "switch"), SAFEGUARDS)
def test_each_safeguard_is_needed(tmp_path, model, switch):
    assert errors(tmp_path, model, *switch.split()) == 1
