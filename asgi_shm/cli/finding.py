"""What ``doctor`` finds, and how much it matters."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

__all__ = ["Finding", "Level"]


class Level(str, Enum):
    """How much a finding matters."""

    PROBLEM = "problem"  # it does not work, or messages were lost
    WARNING = "warning"  # it works, and will not under more load, or after the next restart
    NOTE = "note"  # worth knowing


class Finding(NamedTuple):
    """What is so, and what to do about it."""

    level: Level
    about: str  # "machine", "the site", or a prefix
    what: str
    do: str
