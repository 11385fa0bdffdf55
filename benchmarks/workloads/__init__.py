"""What is done with a layer, once for every layer and every way of running it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from benchmarks.layers import OURS, LayerSpec
from benchmarks.measure import Workload

from .blocking import SyncRoundTrip, SyncSendReceive
from .churn import Churn
from .direct import SendReceive, WakeReceiver
from .fan_out import FanOut
from .footprint import Attach, Memory
from .growth import (
    BesideChannels,
    BesideGroups,
    BesideProcesses,
    BusyProcesses,
    CallAndProcesses,
)
from .idle import Idle
from .queue import Queue
from .round_trip import RoundTrip, RoundTripOneProcessor
from .site import Site
from .stream import SIZES, Stream
from .sync import AsyncToSync, Synchronous

GROUP_SIZES = (10, 100, 1_000, 10_000)
CHURN_SIZES = (0, 10, 10_000)
RECEIVERS = 1_000
CHANNELS = (10, 1_000, 10_000, 100_000)
GROUPS = (10, 1_000, 10_000, 100_000)
PROCESSES = (2, 8, 64)
BUSY = (2, 16)
CALLED = (1, 4, 16)

WORKLOADS: dict[str, Callable[[LayerSpec], Workload]] = {
    "send_receive": SendReceive,
    "wake_receiver": WakeReceiver,
    "round_trip": RoundTrip,
    "round_trip_one_processor": RoundTripOneProcessor,
    **{f"stream_{key}": partial(Stream, size=size) for key, size in SIZES.items()},
    **{f"fan_out_{size}": partial(FanOut, members=size) for size in GROUP_SIZES},
    "queue": Queue,
    **{f"churn_{size}": partial(Churn, members=size) for size in CHURN_SIZES},
    "idle": partial(Idle, receivers=RECEIVERS),
    "async_to_sync": AsyncToSync,
    "sync": Synchronous,
    "sync_send_receive": SyncSendReceive,
    "sync_round_trip": SyncRoundTrip,
    "site": Site,
    **{f"channels_{count}": partial(BesideChannels, channels=count) for count in CHANNELS},
    **{f"groups_{count}": partial(BesideGroups, groups=count) for count in GROUPS},
    **{f"processes_{count}": partial(BesideProcesses, processes=count) for count in PROCESSES},
    **{f"busy_{count}": partial(BusyProcesses, processes=count) for count in BUSY},
    **{f"call_{count}": partial(CallAndProcesses, processes=count) for count in CALLED},
    "attach": Attach,
    "memory": Memory,
}
"""Every workload by the key that the command line and the JSON use."""


def blank(key: str) -> Workload:
    """Make a workload that is never run, for its name and its figures."""
    return WORKLOADS[key](LayerSpec(OURS, {"prefix": "none"}))
