"""Turns CONFIG, the options of a layer, into a validated `Config`; says exactly what is wrong.

Each option is declared once, as a field of `Config`: its default, its unit, what it does, what
is allowed, and the check. `OPTIONS` gives the same to whoever prints a table of them.
"""

from __future__ import annotations

import difflib
import grp
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, Final

from .capacity import (
    ALLOWED_CAPACITY,
    ALLOWED_RULES,
    Compiled,
    check_capacity,
    compile_rules,
    is_int,
    is_number,
)
from .errors import ConfigError

MIB: Final = 1024 * 1024
# A reference in the segment counts 2**32 units of 16 bytes, less a page or two.
MEMORY_MAX: Final = 63 * 1024 * MIB
# Some 30 years: far from the end of a 64-bit clock of nanoseconds.
SECONDS_MAX: Final = 1_000_000_000
GID_MAX: Final = 2**32 - 2
# Who attaches reads and writes; who may only read can look in (inspect.py).
MODES: Final = (0o600, 0o640, 0o644, 0o660, 0o664, 0o666)

ALLOWED_PREFIX: Final = (
    "None, or a string of 1 to 100 ASCII letters, digits, hyphens, underscores and periods "
    "that does not begin with a period"
)
ALLOWED_SECONDS: Final = f"a number of seconds above 0, at most {SECONDS_MAX}"
ALLOWED_RATE: Final = "a number from 0 to 1"
ALLOWED_MEMORY: Final = f"an integer from {MIB} (1 MiB) to {MEMORY_MAX} (63 GiB)"
ALLOWED_SIZE: Final = "an integer from 1 to message_memory"
ALLOWED_MODE: Final = "0o600, 0o640, 0o644, 0o660, 0o664 or 0o666"
ALLOWED_GROUP: Final = f"None, the name of a group of this machine, or a group id to {GID_MAX}"

_Check = Callable[[str, object], object]


@dataclass(frozen=True)
class Option:
    """All there is to know about an option. `unit` is empty where there is none."""

    default: object
    unit: str
    meaning: str
    allowed: str
    check: _Check  # takes the name and the given value, returns the value to use


def _option(
    default: object, *, unit: str = "", meaning: str, allowed: str, check: _Check
) -> Any:
    option = Option(default, unit, meaning, allowed, check)
    return field(metadata={"option": option})


def _prefix(option: str, value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not re.fullmatch(r"(?!\.)[A-Za-z0-9._-]{1,100}", value):
        raise ConfigError(option, value, ALLOWED_PREFIX)
    return str(value)


def _seconds(option: str, value: object) -> float:
    if not is_number(value) or not 0 < value <= SECONDS_MAX:
        raise ConfigError(option, value, ALLOWED_SECONDS)
    return float(value)


def _rate(option: str, value: object) -> float:
    if not is_number(value) or not 0 <= value <= 1:
        raise ConfigError(option, value, ALLOWED_RATE)
    return float(value)


def _seconds_or_never(option: str, value: object) -> float | None:
    try:
        return None if value is None else _seconds(option, value)
    except ConfigError:
        raise ConfigError(option, value, f"None, or {ALLOWED_SECONDS}") from None


def _rules(option: str, value: object) -> Compiled:
    return () if value is None else compile_rules(option, value)


def _memory(option: str, value: object) -> int:
    if not is_int(value) or not MIB <= value <= MEMORY_MAX:
        raise ConfigError(option, value, ALLOWED_MEMORY)
    return int(value)


def _size(option: str, value: object) -> int:
    if not is_int(value) or not 1 <= value <= MEMORY_MAX:
        raise ConfigError(option, value, ALLOWED_SIZE)
    return int(value)


def _mode(option: str, value: object) -> int:
    if not is_int(value):
        raise ConfigError(option, value, ALLOWED_MODE)
    if value not in MODES:
        raise ConfigError(option, value, f"{ALLOWED_MODE}; this is {value:#o}")
    return int(value)


def _group(option: str, value: object) -> str | int | None:
    if value is None:
        return None
    if is_int(value) and 0 <= value <= GID_MAX:
        return int(value)
    if isinstance(value, str) and _group_exists(value):
        return str(value)
    raise ConfigError(option, value, ALLOWED_GROUP)


def _group_exists(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except (KeyError, ValueError):  # ValueError: a null character in it
        return False
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The validated options of a layer. Made by `Config.from_options`."""

    prefix: str | None = _option(
        "asgi",
        meaning=(
            "Layers with the same prefix on this machine talk to each other. None, for unit "
            "tests and a runserver of one process: each layer has a private segment, which "
            "only children forked from its process share, and which goes with them. Several "
            "workers do not see each other then."
        ),
        allowed=ALLOWED_PREFIX,
        check=_prefix,
    )
    expiry: float = _option(
        60,
        unit="seconds",
        meaning="How long an unread message lives. Fractions are allowed.",
        allowed=ALLOWED_SECONDS,
        check=_seconds,
    )
    group_expiry: float | None = _option(
        86400,
        unit="seconds",
        meaning="How long a membership lives after its last group_add; None: for ever.",
        allowed=f"None, or {ALLOWED_SECONDS}",
        check=_seconds_or_never,
    )
    capacity: int = _option(
        100,
        unit="messages",
        meaning="How many unread messages a channel holds before it is full.",
        allowed=ALLOWED_CAPACITY,
        check=check_capacity,
    )
    channel_capacity: Compiled = _option(  # noqa: RUF009 - dataclasses.field in the end
        None,
        unit="messages",
        meaning=(
            "Capacities by channel name: a dict of pattern to capacity. A string is a glob, a "
            "compiled re a regular expression, matched from the start of the name. The first "
            "match in the dict's order counts; where none matches, capacity does."
        ),
        allowed=ALLOWED_RULES,
        check=_rules,
    )
    message_memory: int = _option(
        100 * MIB,
        unit="bytes",
        meaning=(
            "Shared memory for messages. The process that makes the segment decides; those "
            "that find it there use it as it is."
        ),
        allowed=ALLOWED_MEMORY,
        check=_memory,
    )
    group_memory: int = _option(
        20 * MIB,
        unit="bytes",
        meaning="Shared memory for channels, groups and memberships; decided likewise.",
        allowed=ALLOWED_MEMORY,
        check=_memory,
    )
    max_message_size: int = _option(
        4 * MIB,
        unit="bytes",
        meaning=(
            "The largest serialized message. The default is lowered to message_memory where "
            "that is less."
        ),
        allowed=ALLOWED_SIZE,
        check=_size,
    )
    lock_timeout: float = _option(
        10,
        unit="seconds",
        meaning=(
            "How long an operation waits for a lock that a living process does not give back, "
            "most likely because it is stopped, until it raises LockTimeout. The event loop "
            "runs on meanwhile."
        ),
        allowed=ALLOWED_SECONDS,
        check=_seconds,
    )
    drop_rate: float = _option(
        0,
        meaning=(
            "For tests of what relies on messages: the part of them that is dropped at random "
            "when it is sent, as if it had been lost. 0: none; 1: all."
        ),
        allowed=ALLOWED_RATE,
        check=_rate,
    )
    mode: int = _option(
        0o600,
        meaning=(
            "The permissions of the IPC objects, for deployments with several users. Who may "
            "read and write uses the layer; who may only read can look in (asgi_shm.inspect)."
        ),
        allowed=ALLOWED_MODE,
        check=_mode,
    )
    group: str | int | None = _option(
        None,
        meaning="The group that owns the IPC objects; None: their maker's own group.",
        allowed=ALLOWED_GROUP,
        check=_group,
    )

    @classmethod
    def from_options(cls, **options: object) -> Config:
        """Return the configuration that `options`, the entries of CONFIG, describe.

        Raises ConfigError, naming the option, its value and what is allowed, for an option
        that does not exist, has the wrong type or is out of range.
        """
        for name, value in options.items():
            if name not in OPTIONS:
                raise ConfigError(name, value, _no_such_option(name))
        values: dict[str, Any] = {
            name: option.check(name, options.get(name, option.default))
            for name, option in OPTIONS.items()
        }
        _fit_message_size(values, given="max_message_size" in options)
        return cls(**values)


def _no_such_option(name: str) -> str:
    close = difflib.get_close_matches(name, OPTIONS, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"there is no such option; {hint}The options are {', '.join(OPTIONS)}"


def _fit_message_size(values: dict[str, Any], *, given: bool) -> None:
    """Keep the largest message within the memory for all of them."""
    size, memory = values["max_message_size"], values["message_memory"]
    if given and size > memory:
        raise ConfigError("max_message_size", size, f"{ALLOWED_SIZE}, which is {memory}")
    values["max_message_size"] = min(size, memory)


OPTIONS: Final[Mapping[str, Option]] = MappingProxyType(
    {option.name: option.metadata["option"] for option in fields(Config)}
)
