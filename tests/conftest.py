"""For all tests: a fresh prefix, and no skipped test where none is allowed."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator

import pytest
from hypothesis import settings

import asgi_shm
from tests.support import fresh_prefix, leftovers

# What CI sets: there everything must run.
NO_SKIP = os.environ.get("ASHM_NO_SKIP", "") not in ("", "0")

# The same examples at each run, however slow the machine. To look for new ones:
# pytest --hypothesis-profile=explore
settings.register_profile("same", derandomize=True, deadline=None, database=None)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile("same")


@pytest.fixture
def prefix() -> Iterator[str]:
    """A prefix that nobody else uses, of which nothing is left after the test."""
    name = fresh_prefix()
    yield name
    asgi_shm.unlink(name)
    assert leftovers(name) == []


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    # An expected failure is reported as skipped, too, but it has run.
    if NO_SKIP and report.skipped and not hasattr(report, "wasxfail"):
        fail(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if NO_SKIP and report.skipped:
        fail(report)
    return report


def fail(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure that gives the skip's reason."""
    reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr
    report.outcome = "failed"
    report.longrepr = f"ASHM_NO_SKIP is set, but: {reason}"
