"""Fixtures for pytest: a layer, or several, of which nothing is left after the test.

They are there wherever asgi_shm and pytest are installed; nothing has to be imported. Each test
has a segment of its own, also where several processes run tests in parallel.

`asgi_shm_layer` is for a test in one process and children that it forks: its segment is private
(``prefix=None``), so nothing stays even if the tests are killed. `make_asgi_shm_layer` and
`make_asgi_shm_sync_layer` make layers that talk to each other, and to those that any process
makes with `asgi_shm_prefix`; what tests that are killed leave of these, ``asgi-shm ls`` shows.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import TYPE_CHECKING, Any

import pytest

from .layer import ShmChannelLayer
from .segment import unlink
from .sync import SyncShmChannelLayer

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

__all__ = [
    "asgi_shm_layer",
    "asgi_shm_prefix",
    "make_asgi_shm_layer",
    "make_asgi_shm_sync_layer",
]


@pytest.fixture
def asgi_shm_prefix() -> Iterator[str]:
    """A prefix that nobody else uses; what it has in /dev/shm is removed after the test."""
    prefix = f"pytest-{os.getpid()}-{secrets.token_hex(6)}"
    yield prefix
    unlink(prefix)


@pytest.fixture
def make_asgi_shm_layer(asgi_shm_prefix: str) -> Iterator[Callable[..., ShmChannelLayer]]:
    """Makes layers that talk to each other, with the options that it is given."""
    layers: list[ShmChannelLayer] = []

    def make(**options: Any) -> ShmChannelLayer:
        layers.append(ShmChannelLayer(**{"prefix": asgi_shm_prefix, **options}))
        return layers[-1]

    yield make
    for layer in layers:
        _drive(layer.close())


@pytest.fixture
def make_asgi_shm_sync_layer(
    asgi_shm_prefix: str,
) -> Iterator[Callable[..., SyncShmChannelLayer]]:
    """Makes layers without an event loop, which talk to those of make_asgi_shm_layer, too."""
    with contextlib.ExitStack() as layers:

        def make(**options: Any) -> SyncShmChannelLayer:
            layer = SyncShmChannelLayer(**{"prefix": asgi_shm_prefix, **options})
            return layers.enter_context(layer)

        yield make


@pytest.fixture
def asgi_shm_layer() -> Iterator[ShmChannelLayer]:
    """A private layer with default options, which ``get_channel_layer()`` returns, too."""
    layer = ShmChannelLayer(prefix=None)
    with _as_default(layer):
        yield layer
    _drive(layer.close())


@contextlib.contextmanager
def _as_default(layer: ShmChannelLayer) -> Iterator[None]:
    """Where Channels is installed the layer is its default one for a while."""
    try:
        from channels import DEFAULT_CHANNEL_LAYER  # noqa: PLC0415 - only if it is wanted
        from channels.layers import channel_layers  # noqa: PLC0415
    except ImportError:
        yield
        return
    before = channel_layers.set(DEFAULT_CHANNEL_LAYER, layer)
    try:
        yield
    finally:
        if before is None:
            del channel_layers.backends[DEFAULT_CHANNEL_LAYER]
        else:
            channel_layers.set(DEFAULT_CHANNEL_LAYER, before)


def _drive(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run what does not wait; a fixture may end while there is no event loop."""
    with contextlib.suppress(StopIteration):
        coroutine.send(None)
    coroutine.close()
