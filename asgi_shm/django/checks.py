"""Checks of CHANNEL_LAYERS, for ``manage.py check``. Their ids are in docs/operations.md."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any, Final

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 - Django's

from asgi_shm import segment
from asgi_shm.cli.site import ours
from asgi_shm.cli.text import amount
from asgi_shm.config import Config
from asgi_shm.errors import ConfigError

__all__ = ["check_channel_layers"]

_IN_MEMORY: Final = "channels.layers.InMemoryChannelLayer"
# What has to be the same wherever a prefix is used.
_SHARED: Final = ("message_memory", "group_memory", "mode", "group")


def check_channel_layers(**kwargs: Any) -> list[CheckMessage]:
    """Return what is wrong with the layers of the settings that are ours, and beside them."""
    del kwargs
    layers: Mapping[str, Any] = getattr(settings, "CHANNEL_LAYERS", None) or {}
    options = ours(layers)
    if not options:
        return []
    configs: dict[str, Config] = {}
    found: list[CheckMessage] = []
    for alias, given in options.items():
        found += _option(alias, given, configs)
    found += _in_memory(layers)
    found += _losing(configs)
    found += _private(configs)
    found += _mismatches(configs)
    found += _room(configs)
    return found


def _option(
    alias: str, given: dict[str, Any], configs: dict[str, Config]
) -> Iterator[CheckMessage]:
    """Put the layer's configuration into `configs`, or say why it is none."""
    try:
        configs[alias] = Config.from_options(**given)
    except ConfigError as error:
        yield Error(
            f"CHANNEL_LAYERS[{alias!r}]['CONFIG']: {error}",
            hint="See the table of options in the README.",
            id="asgi_shm.E001",
        )


def _in_memory(layers: Mapping[str, Any]) -> Iterator[CheckMessage]:
    for alias, layer in layers.items():
        if layer.get("BACKEND") == _IN_MEMORY:
            yield Warning(
                f"CHANNEL_LAYERS[{alias!r}] is the in-memory layer, beside one of asgi_shm: "
                "what is sent to it reaches no other process.",
                hint="Give it BACKEND asgi_shm.ShmChannelLayer with a prefix of its own, or "
                "remove it.",
                id="asgi_shm.W001",
            )


def _losing(configs: Mapping[str, Config]) -> Iterator[CheckMessage]:
    for alias, config in configs.items():
        if config.drop_rate:
            yield Warning(
                f"CHANNEL_LAYERS[{alias!r}] has drop_rate {config.drop_rate}: it loses "
                "messages on purpose.",
                hint="That is for tests; remove it from the settings of a site.",
                id="asgi_shm.W004",
            )


def _private(configs: Mapping[str, Config]) -> Iterator[CheckMessage]:
    for alias, config in configs.items():
        if config.prefix is None and not settings.DEBUG:
            yield Warning(
                f"CHANNEL_LAYERS[{alias!r}] has prefix None, and DEBUG is False: each worker "
                "has a private segment, and what is sent in one does not reach the others.",
                hint="Give the layer a prefix. If these are the settings of unit tests: "
                "SILENCED_SYSTEM_CHECKS = ['asgi_shm.W005'].",
                id="asgi_shm.W005",
            )


def _mismatches(configs: Mapping[str, Config]) -> Iterator[CheckMessage]:
    first: dict[str, str] = {}
    for alias, config in configs.items():
        if config.prefix is None:
            continue
        other = first.setdefault(config.prefix, alias)
        for option in _SHARED:
            here, there = getattr(config, option), getattr(configs[other], option)
            if here != there:
                yield Warning(
                    f"CHANNEL_LAYERS[{alias!r}] and [{other!r}] have one segment, that of "
                    f"prefix {config.prefix!r}, but {option} {here!r} and {there!r}.",
                    hint="Give both the same, or prefixes of their own.",
                    id="asgi_shm.W002",
                )


def _room(configs: Mapping[str, Config]) -> Iterator[CheckMessage]:
    # Private ones do not lie there.
    segments = {one.prefix: one for one in configs.values() if one.prefix is not None}
    if not segments:
        return
    wanted = sum(one.message_memory + one.group_memory for one in segments.values())
    try:
        status = os.statvfs(segment.SHM)
    except OSError as error:
        yield Error(
            f"There is no {segment.SHM}: {error.strerror}.",
            hint="asgi_shm needs Linux with a tmpfs there.",
            id="asgi_shm.E002",
        )
        return
    total = status.f_frsize * status.f_blocks
    if 0 < total < wanted:
        yield Warning(
            f"{segment.SHM} has {amount(total)}, and the layers may come to take "
            f"{amount(wanted)}: that ends in MemoryFull.",
            hint="Give it more room (Docker: --shm-size=256m), or lower message_memory and "
            "group_memory. asgi-shm size tells how much a site needs.",
            id="asgi_shm.W003",
        )
