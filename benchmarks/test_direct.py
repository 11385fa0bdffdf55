"""send and receive: in one process, to a waiting receiver, between two processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .under_pytest import run
from .workloads import RoundTrip, RoundTripOneProcessor, SendReceive, WakeReceiver

if TYPE_CHECKING:
    import asyncio

    from .layers import LayerSpec


def test_send_receive(benchmark: Any, loop: asyncio.AbstractEventLoop, spec: LayerSpec) -> None:
    run(benchmark, loop, SendReceive(spec))


def test_wake_receiver(
    benchmark: Any, loop: asyncio.AbstractEventLoop, spec: LayerSpec
) -> None:
    run(benchmark, loop, WakeReceiver(spec))


def test_round_trip(benchmark: Any, loop: asyncio.AbstractEventLoop, spec: LayerSpec) -> None:
    run(benchmark, loop, RoundTrip(spec))


def test_round_trip_one_processor(
    benchmark: Any, loop: asyncio.AbstractEventLoop, spec: LayerSpec
) -> None:
    run(benchmark, loop, RoundTripOneProcessor(spec))
