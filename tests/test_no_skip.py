"""Where nothing may be skipped, a skip is a failure that gives its reason."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

CONFTEST = "from tests.conftest import pytest_make_collect_report, pytest_runtest_makereport\n"
SKIPS = """
import pytest

@pytest.fixture
def unavailable():
    pytest.skip("reason one")

def test_a_fixture_skips(unavailable): ...

@pytest.mark.skipif(True, reason="reason two")
def test_a_mark_skips(): ...

def test_itself_skips():
    pytest.skip("reason three")

@pytest.mark.xfail
def test_expected_to_fail():
    assert False

def test_passes(): ...
"""
SKIPPED_MODULE = """
import pytest
pytest.skip("reason four", allow_module_level=True)
"""


@pytest.fixture
def run_pytest(tmp_path):
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_skips.py").write_text(SKIPS)
    (tmp_path / "test_skipped_module.py").write_text(SKIPPED_MODULE)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")

    def run(no_skip):
        options = ["-p", "no:cacheprovider", "--continue-on-collection-errors"]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options, tmp_path],
            env={**os.environ, "ASHM_NO_SKIP": no_skip, "PYTHONPATH": str(ROOT)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    return run


def test_skips_fail_and_say_why(run_pytest):
    status, output = run_pytest("1")

    assert status == 1
    assert "1 failed, 1 passed, 1 xfailed, 3 errors" in output
    for reason in ("reason one", "reason two", "reason three", "reason four"):
        assert f"ASHM_NO_SKIP is set, but: Skipped: {reason}\n" in output


@pytest.mark.parametrize("unset", ["", "0"])
def test_elsewhere_skips_are_skips(run_pytest, unset):
    status, output = run_pytest(unset)

    assert status == 0
    assert "1 passed, 4 skipped, 1 xfailed" in output
