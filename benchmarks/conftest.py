"""Gives the pytest-benchmark suites their layers and event loops.

``pytest benchmarks`` measures ours beside the in-memory layer. Another layer is
named by the environment's BACKEND and CONFIG, or by ``--layer BACKEND[=CONFIG]``.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .contenders import chosen
from .layers import LayerSpec
from .loops import LOOPS, missing, new_loop
from .under_pytest import stopwatch

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--layer", action="append", default=[], metavar="BACKEND[=CONFIG]",
        help="benchmarks: a channel layer to measure, CONFIG as JSON; may be repeated",
    )  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.benchmark(timer=stopwatch))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "spec" in metafunc.fixturenames:
        contenders = chosen(metafunc.config.getoption("--layer"))
        metafunc.parametrize(
            "spec", [one.spec for one in contenders], ids=[one.label for one in contenders]
        )
    if "loop" in metafunc.fixturenames:
        metafunc.parametrize("loop", LOOPS, indirect=True)


@pytest.fixture
def loop(request: pytest.FixtureRequest) -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop of the kind that the parameter names, current in this thread."""
    if reason := missing(request.param):
        pytest.skip(reason)
    loop = new_loop(request.param)
    asyncio.set_event_loop(loop)
    yield loop
    asyncio.set_event_loop(None)
    loop.close()


@pytest.fixture
def spec(request: pytest.FixtureRequest) -> LayerSpec:
    """The layer to measure; parametrized by pytest_generate_tests()."""
    chosen_spec: LayerSpec = request.param
    return chosen_spec
