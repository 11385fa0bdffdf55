"""The package's logger, and warnings that are not repeated at each message."""

from __future__ import annotations

import logging
import time
from typing import Final

__all__ = ["SeldomLogger", "logger"]

logger: Final = logging.getLogger("asgi_shm")

# Seconds between two warnings of a kind.
LOG_INTERVAL: Final = 10.0


class SeldomLogger:
    """Logs a warning at most once in a while, and says how many it has kept to itself."""

    def __init__(self) -> None:
        self._next = 0.0
        self._held_back = 0

    def warning(self, text: str, *arguments: object) -> None:
        now = time.monotonic()
        if now < self._next:
            self._held_back += 1
            return
        self._next = now + LOG_INTERVAL
        held_back, self._held_back = self._held_back, 0
        suffix = f" ({held_back} more like this since the last)" if held_back else ""
        logger.warning("%s%s", text % arguments, suffix)
