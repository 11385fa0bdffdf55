"""What the asynchronous and the synchronous layer have in common: options and what follows."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from functools import partial
from random import Random
from typing import Any, ClassVar, Final, NamedTuple

from ._attachment import NEVER, Attachment
from ._losses import Losses
from .capacity import CapacityRules, is_number
from .config import OPTIONS, SECONDS_MAX, Config
from .errors import ChannelFull, ConfigError, InvalidName, LockTimeout, MessageTooLarge
from .serializers import pack

__all__ = [
    "CLOSE_LIMIT",
    "Delivery",
    "LayerBase",
    "check_timeout",
    "delivery_of",
    "random_part",
]

# Seconds that a close tries to give back what the process has before others have to.
CLOSE_LIMIT: Final = 1.0

# Of random bytes in the name of a new channel: 12 characters.
_RANDOM_BYTES: Final = 9
_chance: Final = Random()  # noqa: S311 - for tests


class Delivery(NamedTuple):
    """What became of a message to a group."""

    delivered: int  # to so many members
    full: int  # so many missed it: their channels had no room


class LayerBase:
    """The options of a layer, and its attachment."""

    extensions: ClassVar[list[str]] = ["groups", "flush", "statistics"]
    ChannelFull = ChannelFull
    MessageTooLarge = MessageTooLarge

    def __init__(self, **options: Any) -> None:
        """Take the options; none is required."""
        self.config = config = Config.from_options(**options)
        self.expiry: float = config.expiry
        self.group_expiry: float | None = config.group_expiry
        self.capacity: int = config.capacity
        self.channel_capacity = list(config.channel_capacity)
        self.get_capacity = CapacityRules(config.capacity, config.channel_capacity).capacity_for
        self._drop_rate = config.drop_rate
        self._expiry_ns = nanoseconds(config.expiry)
        self._group_expiry_ns = (
            NEVER if config.group_expiry is None else nanoseconds(config.group_expiry)
        )
        self._attachment = Attachment(config)
        self._attachment.on_tick = Losses(self._attachment, config).look

    def __repr__(self) -> str:
        return f"{type(self).__name__}(prefix={self.config.prefix!r})"

    def __reduce__(self) -> str:
        raise TypeError(
            "a layer cannot be pickled, and so not be given to a spawned process: make one "
            "there with the same prefix. A private one (prefix=None) only forked children share"
        )

    def _drops(self) -> bool:
        """Tell whether to lose a message, for a test of what happens then."""
        return _chance.random() < self._drop_rate

    @staticmethod
    def _expiry_of(expiry: float) -> int:
        """Return how long a message lives whose sender says so, in ns."""
        checked: Any = OPTIONS["expiry"].check("expiry", expiry)
        return nanoseconds(checked)

    def _group_send(
        self,
        group: str,
        message: dict[str, Any],
        expiry: float | None,
        exclude: Iterable[str],
        figures: Any,
    ) -> None:
        """Send to the members of a group, and to `figures`, if given, add what became of it.

        The `rest` of a LockTimeout sends to those whom it has not reached.
        """
        body = pack(message)
        expiry_ns = self._expiry_ns if expiry is None else self._expiry_of(expiry)
        if isinstance(exclude, str):
            raise InvalidName(f"exclude is a list of channel names, not {exclude!r} alone")
        packed = self._attachment.packed(exclude) if exclude else b""
        if self._drop_rate and self._drops():
            return
        attachment = self._attachment
        send_but = attachment.group_send_but
        try:
            if packed or figures is not None:
                send_but(group, body, expiry_ns, packed, figures)
            else:
                attachment.group_send(group, body, expiry_ns)
        except LockTimeout as refused:
            # None if the segment could not be opened yet. One for all attempts that follow.
            reached = refused.reached or attachment.new_reached()
            refused.rest = partial(send_but, group, body, expiry_ns, packed, figures, reached)
            raise

    def _channel_statistics(self, channel: str) -> dict[str, float]:
        pending, sent, full, age = self._attachment.ask_channel(channel)
        return {
            "messages_count": sent,
            "messages_pending": pending,
            "messages_max_age": age,
            "channel_full_count": full,
        }

    def _global_statistics(self) -> dict[str, float]:
        info = self._attachment.ask_all()
        return {
            "messages_count": info.sent,
            "messages_pending": info.messages,
            "channel_full_count": info.full,
        }


def delivery_of(report: Any) -> Delivery | None:
    """Return what an attachment's report says, if there is one."""
    return None if report is None else Delivery(report.delivered, report.full)


def check_timeout(timeout: object) -> None:
    """Raise ConfigError for what is no number of seconds to wait; below 0 is no time at all."""
    if not is_number(timeout) or not timeout <= SECONDS_MAX:
        raise ConfigError(
            "timeout", timeout, f"None, or a number of seconds up to {SECONDS_MAX}"
        )


def nanoseconds(seconds: float) -> int:
    """Return a duration as the native module takes it; at least the shortest there is."""
    return max(1, round(seconds * 1_000_000_000))


def random_part() -> str:
    """Return what makes the name of a new channel one that nobody guesses."""
    return secrets.token_urlsafe(_RANDOM_BYTES)
