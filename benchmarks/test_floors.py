"""The floors, under pytest-benchmark: what is paid with no channel layer at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from .floors import FLOORS
from .measure import Batched
from .under_pytest import run

if TYPE_CHECKING:
    import asyncio

BATCHED = [key for key, kind in FLOORS.items() if isinstance(kind(), Batched)]


@pytest.mark.parametrize("key", BATCHED)
def test_floor(benchmark: Any, loop: asyncio.AbstractEventLoop, key: str) -> None:
    workload = FLOORS[key]()
    assert isinstance(workload, Batched)

    run(benchmark, loop, workload)
