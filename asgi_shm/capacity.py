"""Finds the capacity of a channel from its name: by `channel_capacity`, else `capacity`."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from typing import Final, TypeAlias, TypeGuard

from .errors import ConfigError

# ASHM_CAPACITY_MAX of ashm.h.
CAPACITY_MAX: Final = 262144

# How many names' capacities are remembered: more than most processes send to at once.
REMEMBERED: Final = 4096

ALLOWED_CAPACITY: Final = f"an integer from 1 to {CAPACITY_MAX}"
ALLOWED_RULES: Final = (
    "None, or a dict whose keys are globs (non-empty strings) or regular expressions compiled "
    f"from strings, and whose values are capacities ({ALLOWED_CAPACITY})"
)

# A checked `channel_capacity`, in the dict's order.
Compiled: TypeAlias = tuple[tuple[re.Pattern[str], int], ...]


def is_int(value: object) -> TypeGuard[int]:
    """Tell whether `value` is an integer. True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> TypeGuard[int | float]:
    """Tell whether `value` is an integer or a float. True and False are none."""
    return is_int(value) or isinstance(value, float)


def check_capacity(option: str, value: object) -> int:
    """Return `value` as a capacity; raise ConfigError if it is none."""
    if not is_int(value) or not 1 <= value <= CAPACITY_MAX:
        raise ConfigError(option, value, ALLOWED_CAPACITY)
    return int(value)


def compile_rules(option: str, value: object) -> Compiled:
    """Return the patterns of a `channel_capacity` dict, compiled, with their capacities.

    Raises ConfigError for a value that is no mapping, a pattern that is none or is broken, and
    a capacity out of range.
    """
    if not isinstance(value, Mapping):
        raise ConfigError(option, value, ALLOWED_RULES)
    return tuple(
        (_compile(option, pattern), check_capacity(f"{option}[{pattern!r}]", capacity))
        for pattern, capacity in value.items()
    )


def _compile(option: str, pattern: object) -> re.Pattern[str]:
    if isinstance(pattern, re.Pattern) and isinstance(pattern.pattern, str):
        return pattern
    if not isinstance(pattern, str) or not pattern:
        raise ConfigError(f"{option}[{pattern!r}]", pattern, ALLOWED_RULES)
    try:
        return re.compile(fnmatch.translate(pattern))
    except re.error as error:
        raise ConfigError(f"{option}[{pattern!r}]", pattern, f"a glob ({error})") from error


class CapacityRules(dict[str, int]):
    """The capacity of each channel: that of the first pattern that matches, else the default.

    `capacity_for(name)` takes a full channel name. A glob must match all of it, a regular
    expression its start. Any thread may call it. The dict has the answers that are remembered.
    """

    def __init__(self, default: int, channel_capacity: Compiled = ()) -> None:
        super().__init__()
        self._default = default
        self._rules = channel_capacity

    capacity_for = dict.__getitem__

    def __missing__(self, name: str) -> int:
        found = (capacity for pattern, capacity in self._rules if pattern.match(name))
        capacity = next(found, self._default)
        if len(self) >= REMEMBERED:
            self.clear()
        if type(name) is str:  # and no other that only says it is equal
            self[name] = capacity
        return capacity
