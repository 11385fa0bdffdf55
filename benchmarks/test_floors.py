"""The floors: what the same work costs with no channel layer at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from .floors import (
    EmptyCall,
    FifoRoundTrip,
    FifoRoundTripOneProcessor,
    Future,
    Pack,
    PackUnpack,
    ReaderFuture,
    SendShapedCall,
    Unpack,
)
from .under_pytest import run

if TYPE_CHECKING:
    import asyncio

    from .measure import Workload


@pytest.mark.parametrize("floor", [Pack, Unpack, PackUnpack])
def test_msgpack(
    benchmark: Any, loop: asyncio.AbstractEventLoop, floor: type[Workload]
) -> None:
    run(benchmark, loop, floor())


@pytest.mark.parametrize("floor", [EmptyCall, SendShapedCall])
def test_cffi_call(
    benchmark: Any, loop: asyncio.AbstractEventLoop, floor: type[Workload]
) -> None:
    run(benchmark, loop, floor())


@pytest.mark.parametrize("floor", [Future, ReaderFuture])
def test_future(benchmark: Any, loop: asyncio.AbstractEventLoop, floor: type[Workload]) -> None:
    run(benchmark, loop, floor())


@pytest.mark.parametrize("floor", [FifoRoundTrip, FifoRoundTripOneProcessor])
def test_fifo_round_trip(
    benchmark: Any, loop: asyncio.AbstractEventLoop, floor: type[Workload]
) -> None:
    run(benchmark, loop, floor())
