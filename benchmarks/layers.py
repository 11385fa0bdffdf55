"""Names a channel layer, builds it, and knows what it cannot do.

A layer is named as in Django's settings, by ``BACKEND`` and ``CONFIG``. In any
string of ``CONFIG`` the word ``{run}`` stands for a token that is fresh for each
run, so that no run meets what another has left behind; words such as
``{redis_port}`` stand for what `servers` says of a server that it started.
"""

from __future__ import annotations

import importlib
import json
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from . import postgres_site

OURS = "asgi_shm.ShmChannelLayer"
IN_MEMORY = "channels.layers.InMemoryChannelLayer"


class ChannelLayer(Protocol):
    """What the workloads need of a layer: the Channels specification's part."""

    async def send(self, channel: str, message: dict[str, Any]) -> None: ...
    async def receive(self, channel: str) -> dict[str, Any]: ...
    async def new_channel(self) -> str: ...
    async def group_add(self, group: str, channel: str) -> None: ...
    async def group_discard(self, group: str, channel: str) -> None: ...
    async def group_send(self, group: str, message: dict[str, Any]) -> None: ...


class Unsuitable(Exception):
    """A layer cannot do a workload; the text says why, and goes into the report."""


@dataclass(frozen=True)
class Traits:
    """What must be known of a layer before it is measured."""

    one_process: str = ""
    """Why it cannot be measured between processes; empty if it can."""

    plain_names: bool = False
    """Whether channels get plain names, since those of new_channel() do not work."""

    refused: Mapping[str, str] = field(default_factory=dict)
    """Workloads that it is not put to, by the beginning of their keys, and why."""

    before: Callable[[Mapping[str, Any]], None] | None = None
    """Does what must be done before a layer with this CONFIG can be imported."""

    clean: Callable[[Mapping[str, Any]], None] | None = None
    """Removes what a run with this CONFIG leaves on the machine."""

    def why_not(self, workload: str) -> str:
        """Say why the layer is not put to ``workload``; empty if it is."""
        reasons = (why for key, why in self.refused.items() if workload.startswith(key))
        return next(reasons, "")


def _unlink_ours(config: Mapping[str, Any]) -> None:
    package = importlib.import_module("asgi_shm")
    package.unlink(config["prefix"])


def _set_up_postgres(config: Mapping[str, Any]) -> None:
    postgres_site.set_up(config)


_SQUARE = (
    "each of its receives looks through every channel and membership for expired ones,"
    " so a delivery costs the square of the members (3 s at 4,000)"
)
_FILLING = "to fill so many takes longer than all else"
_SOCKETS = "it opens a socket for each channel, and ZeroMQ has 1,023 in a process"
_NO_QUEUES = "it has no normal channels: it refuses names that new_channel() did not make"

TRAITS = {
    OURS: Traits(clean=_unlink_ours),
    IN_MEMORY: Traits(
        one_process="it keeps its messages in a dict of the process",
        refused={"fan_out_10000": _SQUARE, "channels_100000": _SQUARE},
    ),
    "channels_redis.core.RedisChannelLayer": Traits(
        refused=dict.fromkeys(("channels_100000", "groups_100000"), _FILLING)
    ),
    "channels_nats.NatsChannelLayer": Traits(
        refused=dict.fromkeys(("channels_100000", "groups_100000"), _FILLING)
    ),
    "channels_rabbitmq.core.RabbitmqChannelLayer": Traits(
        refused={
            "queue": _NO_QUEUES,
            "async_to_sync": "it works in the event loop that made it alone",
        },
    ),
    "channels_postgres.core.PostgresChannelLayer": Traits(before=_set_up_postgres),
    "channels_zmq.core.DedicatedZmqChannelLayer": Traits(
        plain_names=True,
        refused=dict.fromkeys(
            ("fan_out_10000", "churn_10000", "idle", "channels_1000"), _SOCKETS
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
        return TRAITS.get(self.backend) or Traits()

    def filled(self, words: Mapping[str, str]) -> LayerSpec:
        """Put the words of servers in the places that the configuration names."""
        return LayerSpec(self.backend, _substitute(self.config, words))

    def for_run(self) -> LayerSpec:
        """Put one fresh token in place of each ``{run}`` of the configuration."""
        return self.filled({"run": "bench-" + secrets.token_hex(6)})

    def build(self) -> ChannelLayer:
        """Make the layer as Channels would. Raises Unsuitable if it cannot be made."""
        module, _, name = self.backend.rpartition(".")
        if self.traits.before is not None:
            self.traits.before(self.config)
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


def _substitute(value: Any, words: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        for word, meaning in words.items():
            value = value.replace("{" + word + "}", meaning)
        return value
    if isinstance(value, Mapping):
        return {key: _substitute(item, words) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_substitute(item, words) for item in value]
    return value


def named(backend: str, config: str) -> LayerSpec:
    """Give the layer that a user names, with CONFIG as JSON, or raise SystemExit."""
    if not all(part.isidentifier() for part in backend.split(".")):
        raise SystemExit(
            f"{backend!r} is no path of a class, as BACKEND is in Django's settings"
        )
    try:
        options = json.loads(config or "{}")
    except json.JSONDecodeError as error:
        raise SystemExit(f"CONFIG of {backend} is not in JSON: {error}: {config}") from error
    if not isinstance(options, dict):
        raise SystemExit(f"CONFIG of {backend} is no JSON object: {config}")
    if backend == OURS:
        _check_prefix(options)
    return LayerSpec(backend, options)


def _check_prefix(options: dict[str, Any]) -> None:
    """A run removes its segment at its end; that of a site must never be it."""
    prefix = options.setdefault("prefix", "{run}")
    if not isinstance(prefix, str) or "{run}" not in prefix:
        raise SystemExit(
            f"prefix {prefix!r} of {OURS} has no {{run}} in it: what is measured gets a segment"
            " of its own, and removes it. Leave the prefix out, or put {run} into it"
        )


async def quietly_close(layer: Any) -> None:
    """Flush and close a layer as far as it has these; it is not needed any more."""
    for name in ("flush", "close"):
        method = getattr(layer, name, None)
        if method is not None:
            with suppress(NotImplementedError):  # what Channels' base class raises
                await method()
