"""Peers for the tests, and the check that a scenario left the segment sound."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from asgi_shm import ShmChannelLayer, _receiver, unlink
from tests.multiprocess.peer import Peer
from tests.support import NO_TICK, TIMEOUT, fresh_prefix, leftovers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def prefix() -> Iterator[str]:
    """A prefix of the test's own; what is left in its segment is verified at the end."""
    name = fresh_prefix()
    yield name
    last = ShmChannelLayer(prefix=name)
    last._attachment.verify()
    asyncio.run(last.close())
    unlink(name)
    assert leftovers(name) == []


@pytest.fixture
def make_layer(prefix: str) -> Iterator[Callable[..., Any]]:
    """Makes layers of the test's own process."""
    layers: list[Any] = []

    def make(**options: Any) -> Any:
        layers.append(ShmChannelLayer(**{"prefix": prefix, **options}))
        return layers[-1]

    yield make
    for layer in layers:
        asyncio.run(layer.close())


@pytest.fixture
def layer(make_layer: Callable[..., Any]) -> Any:
    return make_layer()


@pytest.fixture(autouse=True)
def no_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_receiver, "TICK", NO_TICK)


@pytest.fixture
def until() -> Callable[[Callable[[], object]], None]:
    """Looks again and again, for a bounded time, until a condition holds."""

    def wait(condition: Callable[[], object]) -> None:
        end = time.monotonic() + TIMEOUT
        while not condition():
            time.sleep(0.02)
            assert time.monotonic() < end, "it does not come about"

    return wait


@pytest.fixture
def make_peer(prefix: str) -> Iterator[Callable[..., Peer]]:
    """Starts processes that have a layer of the same prefix."""
    with ExitStack() as peers:

        def make(**options: Any) -> Peer:
            peer = Peer(prefix, **options)
            peers.callback(peer.close)
            return peer

        yield make
