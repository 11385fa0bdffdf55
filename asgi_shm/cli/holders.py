"""Which processes have a segment open, as /proc shows it: for segments that say nothing.

One sees the processes of one's own pid namespace, and root alone those of other users.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["holders"]

PROC: Final = Path("/proc")


def holders(path: Path) -> Iterator[int]:
    """Give the pids of processes that have mapped a file."""
    # The name ends the line: one that is longer is another file's.
    line = f" {path}\n"
    for process in PROC.iterdir():
        if process.name.isdigit():
            with contextlib.suppress(OSError):  # gone, or another user's
                if line in (process / "maps").read_text(errors="replace"):
                    yield int(process.name)
