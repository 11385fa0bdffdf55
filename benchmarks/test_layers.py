"""What a layer costs within one process, under pytest-benchmark.

What takes several processes is measured by ``python -m benchmarks``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from .measure import Batched
from .under_pytest import run
from .workloads import WORKLOADS

if TYPE_CHECKING:
    import asyncio

    from .layers import LayerSpec

KEYS = ("send_receive", "wake_receiver", "churn_0", "churn_10000", "channels_1000")


@pytest.mark.parametrize("key", KEYS)
def test_in_process(
    benchmark: Any, loop: asyncio.AbstractEventLoop, spec: LayerSpec, key: str
) -> None:
    workload = WORKLOADS[key](spec)
    assert isinstance(workload, Batched)

    run(benchmark, loop, workload)
