"""The message that every workload and every floor carries."""

from __future__ import annotations

from typing import Any

BODY = "x" * 100
"""One hundred bytes, as text: what a line of chat looks like."""


def message(number: int) -> dict[str, Any]:
    """Make message ``number``; the number finds what was lost or doubled."""
    return {"type": "bench.message", "number": number, "body": BODY}
