"""Groups: the call of group_send, delivery to the last member, joining and leaving."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from .under_pytest import run
from .workloads import CHURN_SIZES, GROUP_SIZES, GroupChurn, GroupDelivery, GroupSend

if TYPE_CHECKING:
    import asyncio

    from .layers import LayerSpec


@pytest.mark.parametrize("members", GROUP_SIZES)
def test_group_send(
    benchmark: Any, loop: asyncio.AbstractEventLoop, spec: LayerSpec, members: int
) -> None:
    run(benchmark, loop, GroupSend(spec, members))


@pytest.mark.parametrize("members", GROUP_SIZES)
def test_group_delivery(
    benchmark: Any, loop: asyncio.AbstractEventLoop, spec: LayerSpec, members: int
) -> None:
    run(benchmark, loop, GroupDelivery(spec, members))


@pytest.mark.parametrize("members", CHURN_SIZES)
def test_group_churn(
    benchmark: Any, loop: asyncio.AbstractEventLoop, spec: LayerSpec, members: int
) -> None:
    run(benchmark, loop, GroupChurn(spec, members))
