"""Three kinds of layer and two kinds of event loop for every test of the specification.

A test runs over channels' in-memory layer and over ours, so that a wrong reading of the
specification shows, and over ours with a private segment. ``@in_memory_differs(why)`` keeps a
test to ours where the in-memory layer is known not to conform; a test of layers that talk to
each other is marked ``@one_prefix``.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import channels.layers
import pytest
import pytest_asyncio
import uvloop

from asgi_shm import LayerClosed, ShmChannelLayer, _receiver, unlink
from tests.support import NO_TICK, Clock, leftovers

MakeLayer = Callable[..., Any]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "in_memory_differs(why): channels' in-memory layer does not conform here: ours alone",
    )
    config.addinivalue_line(
        "markers", "one_prefix: of layers that talk to each other, as private ones do not"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "kind" in metafunc.fixturenames:
        kinds = ["shm"]
        if not metafunc.definition.get_closest_marker("in_memory_differs"):
            kinds.append("memory")
        if not metafunc.definition.get_closest_marker("one_prefix"):
            kinds.append("private")
        metafunc.parametrize("kind", kinds)


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(autouse=True)
def no_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_receiver, "TICK", NO_TICK)


@pytest.fixture
def clock(kind: str, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock for the layers of this test that stands until it is advanced."""
    fake = Clock()
    if kind == "memory":
        monkeypatch.setattr(channels.layers, "time", SimpleNamespace(time=fake.time))
    return fake


@pytest_asyncio.fixture
async def make_layer(
    kind: str, prefix: str, request: pytest.FixtureRequest
) -> AsyncIterator[MakeLayer]:
    """Makes layers of the kind under test; each is a participant of its own."""
    layers: list[Any] = []
    prefixes: set[str | None] = set()
    clock = request.getfixturevalue("clock") if "clock" in request.fixturenames else None

    def make(**options: Any) -> Any:
        options.setdefault("prefix", None if kind == "private" else prefix)
        prefixes.add(options["prefix"])
        if kind == "memory":
            del options["prefix"]  # every in-memory layer is alone
            return channels.layers.InMemoryChannelLayer(**options)
        layer = ShmChannelLayer(**options)
        layers.append(layer)
        if clock is not None:
            clock.follow(layer)
        return layer

    yield make
    prefixes.discard(None)
    for used in prefixes if layers else ():
        witness = ShmChannelLayer(prefix=used)
        witness._attachment.verify()
        await witness.close()
    for layer in layers:
        if kind == "private":
            with contextlib.suppress(LayerClosed):
                layer._attachment.verify()
        await layer.close()
    for used in prefixes:
        unlink(used)
        assert leftovers(used) == []


@pytest.fixture
def layer(make_layer: MakeLayer) -> Any:
    return make_layer()
