"""The layers that can be measured, and what each needs on the machine.

A contender that cannot run stays in the report, with its reason.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from . import old_interpreter
from .layers import IN_MEMORY, OURS, LayerSpec, Unsuitable, named

CAPACITY = 1_000
"""Unread messages of a channel, where a layer lets one say."""


@dataclass(frozen=True)
class Contender:
    """A layer with what is around it."""

    key: str
    """Its name on the command line and in the results."""

    label: str
    """Its name in tables and plots."""

    spec: LayerSpec
    server: str | None = None
    """The server of `servers` that it needs."""

    package: str = ""
    """The distribution that it comes from."""

    old: bool = False
    """Whether it needs an interpreter of its own, see `old_interpreter`."""

    def command(self, order: Mapping[str, Any]) -> list[str]:
        """Give the command that measures. Raises Unsuitable if there can be none."""
        if self.old:
            script = Path(__file__).with_name("old_ipc.py")
            return [old_interpreter.find(), str(script), json.dumps(order)]
        if importlib.util.find_spec(self.spec.backend.partition(".")[0]) is None:
            raise Unsuitable(f"{self.package or self.spec.backend} is not installed")
        return [sys.executable, "-m", "benchmarks.cell", json.dumps(order)]

    def version(self) -> str:
        """Give the version of its package, as far as that is known."""
        if self.old:
            return old_interpreter.version(self.package)
        try:
            return metadata.version(self.package) if self.package else ""
        except metadata.PackageNotFoundError:
            return "not installed"


def _redis(key: str, label: str, backend: str, host: str, **config: Any) -> Contender:
    config = {"hosts": [host], "prefix": "{run}", **config}
    return Contender(key, label, LayerSpec(backend, config), "redis", "channels-redis")


_TCP, _UNIX = "redis://127.0.0.1:{redis_port}", "unix://{redis_socket}"
_CORE, _PUBSUB = (
    "channels_redis.core.RedisChannelLayer",
    ("channels_redis.pubsub.RedisPubSubChannelLayer"),
)

BASELINE = (
    Contender(
        "asgi_shm", "asgi_shm",
        LayerSpec(OURS, {"prefix": "{run}", "capacity": CAPACITY}), package="asgi-shm",
    ),
    Contender(
        "in_memory", "in-memory",
        LayerSpec(IN_MEMORY, {"capacity": CAPACITY}), package="channels",
    ),
)  # fmt: skip

PEERS = (
    _redis("redis", "redis", _CORE, _TCP, capacity=CAPACITY),
    _redis("redis_unix", "redis, unix socket", _CORE, _UNIX, capacity=CAPACITY),
    _redis("redis_pubsub", "redis pub/sub", _PUBSUB, _TCP),
    _redis("redis_pubsub_unix", "redis pub/sub, unix socket", _PUBSUB, _UNIX),
    Contender(
        "rabbitmq", "rabbitmq",
        LayerSpec("channels_rabbitmq.core.RabbitmqChannelLayer", {
            "host": "amqp://guest:guest@127.0.0.1:{rabbitmq_port}/%2F",
            "groups_exchange": "{run}",
            "local_capacity": CAPACITY, "remote_capacity": CAPACITY,
        }),
        "rabbitmq", "channels-rabbitmq",
    ),
    Contender(
        "nats", "nats",
        LayerSpec("channels_nats.NatsChannelLayer", {
            "servers": ["nats://127.0.0.1:{nats_port}"],
            "prefix": "{run}", "capacity": CAPACITY,
        }),
        "nats", "channels-nats",
    ),
    Contender(
        "zmq", "zmq",
        LayerSpec("channels_zmq.core.DedicatedZmqChannelLayer", {
            "pull_socket_address": "tcp://127.0.0.1:{zmq_in_port}",
            "pub_socket_address": "tcp://127.0.0.1:{zmq_out_port}",
            "capacity": CAPACITY,
        }),
        "zmq", "channels-zmq",
    ),
    Contender(
        "postgres", "postgres",
        LayerSpec("channels_postgres.core.PostgresChannelLayer", {
            "prefix": "{run}", "ENGINE": "django.db.backends.postgresql", "NAME": "postgres",
            "USER": "bench", "PASSWORD": "", "HOST": "127.0.0.1", "PORT": "{postgres_port}",
            "TIME_ZONE": None,
        }),
        "postgres", "channels-postgres",
    ),
    Contender(
        "asgi_ipc", "asgi_ipc",
        LayerSpec("asgi_ipc.IPCChannelLayer", {"prefix": "{run}", "capacity": CAPACITY}),
        package="asgi-ipc", old=True,
    ),
)  # fmt: skip

KNOWN = {contender.key: contender for contender in (*BASELINE, *PEERS)}


def from_text(text: str) -> Contender:
    """Give the contender of a key, or of ``BACKEND`` or ``BACKEND=CONFIG``."""
    if text in KNOWN:
        return KNOWN[text]
    backend, _, config = text.partition("=")
    if "." not in backend:
        raise SystemExit(
            f"no layer {backend}: there are {', '.join(KNOWN)}, and BACKEND=CONFIG"
        )
    spec = named(backend, config)
    # With other options it is another contender.
    key = f"{backend}={json.dumps(spec.config)}" if config else backend
    return Contender(key, key, spec)


def chosen(texts: list[str]) -> tuple[Contender, ...]:
    """Give the contenders to measure.

    ``texts`` are those of the command line. Without any, ours and the in-memory layer are
    measured, and beside them the one that the environment's BACKEND and CONFIG name.
    """
    if not texts:
        texts = [*(one.key for one in BASELINE), *_of_environment()]
    return tuple({one.key: one for one in map(from_text, texts)}.values())


def _of_environment() -> list[str]:
    backend, config = os.environ.get("BACKEND"), os.environ.get("CONFIG", "")
    if backend is None and config:
        raise SystemExit("CONFIG is given, and no BACKEND that it is of")
    return [] if backend is None else [f"{backend}={config}"]
