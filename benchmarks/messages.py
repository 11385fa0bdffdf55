"""The messages that every workload and every floor carries."""

from __future__ import annotations

from typing import Any

BODY = "x" * 100
"""One hundred bytes, as text: what a line of chat looks like."""

PROBE = -1
"""The number of a message that only finds out whether somebody listens."""


def message(number: int, body: str = BODY) -> dict[str, Any]:
    """Make message ``number``; the number finds what was lost or doubled."""
    return {"type": "bench.message", "number": number, "body": body}
