"""Logs messages that nobody got: which channels and groups lose them, and what to change.

It is looked at on the event loop's tick, and then seldom, so that sending and receiving pay
nothing. The segment's counters tell whether there is anything to say, and only then the
segment is searched for who it was. Each process tells of its own channels; one of them, the
one with the lowest slot, of those that belong to no process.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from types import SimpleNamespace
from typing import TYPE_CHECKING, Final, NamedTuple

from ._log import LOG_INTERVAL, logger
from .errors import AsgiShmError
from .inspect import Channel, Insider, Observer

if TYPE_CHECKING:
    from ._attachment import Attachment
    from .config import Config

__all__ = ["Losses"]

# Of a large segment so many channels and groups are searched: the loop stands still meanwhile.
_SEARCHED: Final = 5000
# Channels and groups that one line names.
_NAMED: Final = 5


class _Counts(NamedTuple):
    full: int
    expired: int


class Losses:
    """What an attachment has logged of losses so far."""

    def __init__(self, attachment: Attachment, config: Config) -> None:
        """Take the attachment whose process is to tell."""
        self._attachment = attachment
        self._config = config
        self._next = 0.0
        self._slot: int | None = None
        self._before = {"own": _Counts(0, 0), "common": _Counts(0, 0)}
        self._full: dict[str, int] = {}  # what channels and groups had counted

    def look(self) -> None:
        """Log what was lost since the last look; at most once in a while."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + LOG_INTERVAL
        losses = self._attachment.losses()
        counts = {
            "own": _Counts(losses.own_full, losses.own_expired),
            "common": _Counts(losses.common_full, losses.common_expired),
        }
        before, self._before = self._before, counts
        known, self._slot = self._slot == losses.slot, losses.slot
        if known:  # else it is the first look, or the child of a fork, or another segment
            self._tell(losses, before, counts)

    def _tell(
        self, losses: SimpleNamespace, before: dict[str, _Counts], now: dict[str, _Counts]
    ) -> None:
        whose = ("own", "common") if losses.first else ("own",)
        full = sum(now[who].full - before[who].full for who in whose)
        expired = sum(now[who].expired - before[who].expired for who in whose)
        if full <= 0 and expired <= 0:
            return
        slots = (losses.slot, None) if losses.first else (losses.slot,)
        try:
            with Insider(self._attachment, self._config) as observer:
                if full > 0:
                    self._tell_full(observer, slots, full)
                if expired > 0:
                    self._tell_expired(observer, slots, expired)
        except AsgiShmError:  # it is removed just now: whoever uses it next is told
            return

    def _tell_full(self, observer: Observer, slots: tuple[int | None, ...], count: int) -> None:
        before, self._full = self._full, {}
        channels = [
            f"{one.name!r} (capacity {one.capacity})"
            for one in _channels(observer, slots)
            if self._has_risen(before, f"channel {one.name}", one.full)
        ]
        groups = [
            repr(one.name)
            for one in observer.groups(_SEARCHED)
            if self._has_risen(before, f"group {one.name}", one.full)
        ]
        logger.warning(
            "prefix %r: %d messages were refused or dropped because their channels were full"
            "%s%s. Read them faster, or raise capacity or channel_capacity",
            self._config.prefix,
            count,
            _named(": channels ", channels),
            _named("; sent to groups ", groups),
        )

    def _tell_expired(
        self, observer: Observer, slots: tuple[int | None, ...], count: int
    ) -> None:
        oldest = sorted(
            (one for one in _channels(observer, slots) if one.pending),
            key=lambda one: -one.age,
        )
        logger.warning(
            "prefix %r: %d messages expired before anybody read them%s."
            " Is their reader running? Otherwise raise expiry",
            self._config.prefix,
            count,
            _named(
                "; others wait in ",
                [f"{one.name!r} ({one.pending}, up to {one.age:.0f} s old)" for one in oldest],
            ),
        )

    def _has_risen(self, before: dict[str, int], name: str, count: int) -> bool:
        if count:
            self._full[name] = count
        return count > before.get(name, 0)


def _channels(observer: Observer, slots: tuple[int | None, ...]) -> Iterator[Channel]:
    for channel in islice(observer.channels(), _SEARCHED):
        if channel.slot in slots:
            yield channel


def _named(before: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{before}{', '.join(names[:_NAMED])}{more}"
