"""The verdict of csrc/body.c as msgpack would have it."""

from __future__ import annotations

from typing import Any, Final

import msgpack

from asgi_shm._ashm import lib

GOOD: Final[int] = lib.ASHM_BODY_GOOD
BYTES: Final[int] = lib.ASHM_BODY_BYTES
BAD: Final[int] = lib.ASHM_BODY_BAD

# Containers in containers that body.c goes along with; the packer stops before, msgpack's
# unpacker after it.
DEPTH_MAX = 520


class _Map(list[tuple[Any, Any]]):
    """A map with each of its pairs, those of equal keys as well."""


def verdict(body: bytes) -> int:
    """Look at what msgpack unpacks. Whether text is UTF-8 is not the question."""
    try:
        message = msgpack.unpackb(
            body, object_pairs_hook=_Map, unicode_errors="surrogateescape"
        )
    except ValueError:
        return BAD
    return _look_at(message) if isinstance(message, _Map) else BAD


def _look_at(message: _Map) -> int:
    found = GOOD
    containers: list[tuple[Any, int]] = [(message, 1)]
    for container, depth in containers:  # which grows meanwhile
        if depth > DEPTH_MAX:
            return BAD
        values = container
        if isinstance(container, _Map):
            if any(type(key) is not str for key, _ in container):
                return BAD
            values = [value for _, value in container]
        for value in values:
            if isinstance(value, list):
                containers.append((value, depth + 1))
            elif isinstance(value, bytes):
                found = BYTES
            elif isinstance(value, int):
                if value >= 2**63:
                    return BAD
            elif not isinstance(value, (str, float, type(None))):
                return BAD  # an extension
    return found
