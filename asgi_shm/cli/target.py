"""Which segment a command is about, and how it gets at it.

Looking in is done through an Observer, for which reading is enough. Whoever acts has a layer
with the options of the site, or else those of the segment that is there: no command makes one.
"""

from __future__ import annotations

import os
import stat
from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asgi_shm import segment
from asgi_shm.config import Config
from asgi_shm.errors import SegmentNotFound, SegmentPermission
from asgi_shm.inspect import Observer
from asgi_shm.layer import ShmChannelLayer

from . import site
from .command import Exit, Failure

__all__ = ["Target", "add_arguments", "resolve"]


@dataclass(frozen=True)
class Target:
    """The prefix of a command, and the options of its site where they are known."""

    prefix: str
    options: dict[str, Any] | None

    def observe(self) -> Observer:
        """Open the segment for reading."""
        return Observer(self.prefix)

    def may_write(self) -> bool:
        """Tell whether this user may take part in the segment, which exists."""
        try:
            segment.check_owner(self._config())
        except SegmentPermission:
            return False
        return os.access(self._path(), os.R_OK | os.W_OK)

    def layer(self, **changes: Any) -> ShmChannelLayer:
        """Return a layer on the segment that is there, with some options changed.

        Raises SegmentNotFound; Failure if this user may not write to it.
        """
        self.observe().close()
        if not self.may_write():
            owner = next(
                (found.owner for found in segment.find() if found.path == self._path()), "?"
            )
            raise Failure(
                f"the segment of prefix {self.prefix!r} belongs to {owner}, and this user may "
                f"not write to it; run this as that user: sudo -u {owner} asgi-shm ...",
                Exit.PERMISSION,
            )
        return ShmChannelLayer(**{**self._options(), **changes})

    def _path(self) -> Path:
        return segment.object_path(self.prefix)

    def _config(self) -> Config:
        return Config.from_options(**self._options())

    def _options(self) -> dict[str, Any]:
        """The site's options; without a site, what fits the segment."""
        if self.options is not None:
            return {**self.options, "prefix": self.prefix}
        options: dict[str, Any] = {"prefix": self.prefix}
        with self.observe() as observer:
            totals = observer.totals()
        options["message_memory"] = totals.messages_memory.size
        options["group_memory"] = totals.groups_memory.size
        # To name a segment on the command line is to trust who shares it.
        mode = stat.S_IMODE(self._path().stat().st_mode)
        if mode & 0o022:
            options["mode"] = mode
        return options


def add_arguments(parser: ArgumentParser, *, bound: bool) -> None:
    """Let a command be told its segment. `bound`: it belongs to a site already."""
    options = parser.add_argument_group("which segment")
    options.add_argument("--prefix", help="the prefix of the layer")
    if not bound:
        options.add_argument(
            "--django",
            metavar="MODULE",
            help="read prefix and options from CHANNEL_LAYERS of these Django settings",
        )
    options.add_argument(
        "--layer", metavar="ALIAS", help="which of CHANNEL_LAYERS; without: the first of ours"
    )
    parser.set_defaults(bound=bound)


def resolve(arguments: Namespace, *, explicit: bool = False) -> Target:
    """Return the segment that the arguments mean.

    Without any it is the only one of this machine; not for a command that destroys, which has
    to be told (`explicit`).
    """
    options = None
    if arguments.bound or arguments.django or arguments.layer:
        options = site.options(None if arguments.bound else arguments.django, arguments.layer)
    if arguments.prefix is not None:
        if options is not None and options.get("prefix", "asgi") != arguments.prefix:
            options = None
        return Target(_named(Config.from_options(prefix=arguments.prefix)), options)
    if options is not None:
        return Target(_named(Config.from_options(**options)), options)
    if explicit:
        raise Failure("say which segment: --prefix or --django", Exit.USAGE)
    return Target(_only_one(), None)


def _named(config: Config) -> str:
    if config.prefix is None:
        raise Failure(
            "this layer has prefix=None in CHANNEL_LAYERS: each process has a private segment, "
            "which only children forked from it reach, and this is another process. Give the "
            "layer a prefix to see it here",
            Exit.NO_SEGMENT,
        )
    return config.prefix


def _only_one() -> str:
    prefixes = sorted({found.prefix for found in segment.find()})
    if not prefixes:
        raise SegmentNotFound("there is no segment on this machine: no process has made one")
    if len(prefixes) > 1:
        raise Failure(
            f"there are {len(prefixes)} segments here, say which: --prefix "
            f"{' or '.join(prefixes[:5])}{' ...' if len(prefixes) > 5 else ''}",  # noqa: PLR2004
            Exit.USAGE,
        )
    return prefixes[0]
