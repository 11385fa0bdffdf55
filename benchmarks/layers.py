"""Names a channel layer, builds it, and knows what it cannot do.

A layer is named as in Django's settings, by ``BACKEND`` and ``CONFIG``. In any
string of ``CONFIG`` the word ``{run}`` stands for a token that is fresh for each
run, so that no run meets what another has left behind.
"""

from __future__ import annotations

import importlib
import json
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

OURS = "asgi_shm.ShmChannelLayer"
IN_MEMORY = "channels.layers.InMemoryChannelLayer"


class ChannelLayer(Protocol):
    """What the workloads need of a layer: the Channels specification's part."""

    async def send(self, channel: str, message: dict[str, Any]) -> None: ...
    async def receive(self, channel: str) -> dict[str, Any]: ...
    async def new_channel(self) -> str: ...
    async def flush(self) -> None: ...
    async def close(self) -> None: ...
    async def group_add(self, group: str, channel: str) -> None: ...
    async def group_discard(self, group: str, channel: str) -> None: ...
    async def group_send(self, group: str, message: dict[str, Any]) -> None: ...


class Unsuitable(Exception):
    """A layer cannot do a workload; the text says why, and goes into the table."""


@dataclass(frozen=True)
class Traits:
    """What must be known of a layer before it is measured."""

    label: str
    """Its name in the tables."""

    one_process: str = ""
    """Why it cannot be measured between processes; empty if it can."""

    largest_fan_out: int | None = None
    """The most members that a delivery is measured with; None for any number."""

    fan_out_reason: str = ""

    clean: Callable[[Mapping[str, Any]], None] | None = None
    """Removes what a run with this CONFIG leaves on the machine."""


def _unlink_ours(config: Mapping[str, Any]) -> None:
    package = importlib.import_module("asgi_shm")
    package.unlink(config["prefix"])


TRAITS = {
    OURS: Traits(label="asgi_shm", clean=_unlink_ours),
    IN_MEMORY: Traits(
        label="in-memory",
        one_process="it keeps its messages in a dict of the process",
        largest_fan_out=1_000,
        fan_out_reason=(
            "each of its receives looks through every channel and membership for expired"
            " ones, so a delivery costs the square of the members (0.13 s at 1,000,"
            " 0.5 s at 2,000, 3 s at 4,000)"
        ),
    ),
}


@dataclass(frozen=True)
class LayerSpec:
    """A layer by the two words that Django's settings use."""

    backend: str
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def traits(self) -> Traits:
        """The known traits of the backend, or those of one that can do all."""
        return TRAITS.get(self.backend) or Traits(label=self.backend)

    def for_run(self) -> LayerSpec:
        """Put one fresh token in place of each ``{run}`` of the configuration."""
        token = "bench-" + secrets.token_hex(6)
        return LayerSpec(self.backend, _substitute(self.config, token))

    def build(self) -> ChannelLayer:
        """Make the layer as Channels would. Raises Unsuitable if it cannot be made."""
        module, _, name = self.backend.rpartition(".")
        try:
            factory = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise Unsuitable(f"cannot be imported: {error}") from error
        layer: ChannelLayer = factory(**self.config)
        return layer

    def clean(self) -> None:
        """Remove what the run left on the machine, such as IPC objects."""
        if self.traits.clean is not None:
            self.traits.clean(self.config)


DEFAULT_LAYERS = (LayerSpec(OURS, {"prefix": "{run}"}), LayerSpec(IN_MEMORY))


def _substitute(value: Any, token: str) -> Any:
    if isinstance(value, str):
        return value.replace("{run}", token)
    if isinstance(value, Mapping):
        return {key: _substitute(item, token) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_substitute(item, token) for item in value]
    return value


def parse(text: str) -> LayerSpec:
    """Read ``BACKEND`` or ``BACKEND=CONFIG``, where CONFIG is JSON."""
    backend, _, config = text.partition("=")
    for spec in DEFAULT_LAYERS:
        if not config and backend in (spec.backend, spec.traits.label):
            return spec
    return LayerSpec(backend, json.loads(config) if config else {})


def chosen(names: list[str]) -> list[LayerSpec]:
    """Give the layers to measure.

    ``names`` are those of the command line. Without any, ours and the in-memory
    layer are measured, and beside them the one that the environment variables
    BACKEND and CONFIG name.
    """
    if names:
        return [parse(name) for name in names]
    backend = os.environ.get("BACKEND")
    if backend is None:
        return list(DEFAULT_LAYERS)
    extra = LayerSpec(backend, json.loads(os.environ.get("CONFIG", "{}")))
    return [spec for spec in DEFAULT_LAYERS if spec.backend != backend] + [extra]
