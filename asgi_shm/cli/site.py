"""Reads a site's options from its Django settings."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from typing import Any

from asgi_shm.layer import ShmChannelLayer

from .command import Exit, Failure, missing_extra

__all__ = ["options", "ours"]


def options(module: str | None, alias: str | None) -> dict[str, Any]:
    """Return CONFIG of a layer of ours in CHANNEL_LAYERS.

    `module` are the settings; None: those that Django has, or DJANGO_SETTINGS_MODULE. `alias`
    is the layer; None: "default" if that is ours, else the first that is.
    """
    layers = ours(_channel_layers(module))
    if not layers:
        raise Failure("CHANNEL_LAYERS of these settings has no layer of asgi_shm", Exit.USAGE)
    if alias is None:
        alias = "default" if "default" in layers else next(iter(layers))
    if alias not in layers:
        raise Failure(
            f"CHANNEL_LAYERS has no layer {alias!r} of asgi_shm, but {', '.join(layers)}",
            Exit.USAGE,
        )
    return layers[alias]


def ours(channel_layers: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return CONFIG of each layer in CHANNEL_LAYERS whose BACKEND is ours, by alias."""
    return {
        alias: dict(layer.get("CONFIG") or {})
        for alias, layer in channel_layers.items()
        if _is_ours(layer.get("BACKEND", ""))
    }


def _is_ours(backend: str) -> bool:
    module, _, name = backend.rpartition(".")
    if not module:
        return False
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError:
        return False
    return isinstance(found, type) and issubclass(found, ShmChannelLayer)


def _channel_layers(module: str | None) -> Mapping[str, Any]:
    try:
        from django.conf import settings  # noqa: PLC0415 - the rest works without Django
        from django.core.exceptions import ImproperlyConfigured  # noqa: PLC0415
    except ImportError:
        raise missing_extra("--django", "Django", "channels") from None
    if module is not None:
        os.environ["DJANGO_SETTINGS_MODULE"] = module
        # As manage.py does, which stands in the directory of the site.
        sys.path.insert(0, os.getcwd())  # noqa: PTH109
    try:
        layers: Mapping[str, Any] = getattr(settings, "CHANNEL_LAYERS", {})
    except (ImportError, ImproperlyConfigured) as error:
        raise Failure(f"the Django settings cannot be read: {error}", Exit.USAGE) from None
    return layers
