"""Runs a coroutine on the event loop that a benchmark asks for by name."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util

LOOPS = ("asyncio", "uvloop")


def missing(name: str) -> str:
    """Say why a loop cannot be used here; empty if it can."""
    if name == "uvloop" and importlib.util.find_spec("uvloop") is None:
        return "uvloop is not installed"
    return ""


def new_loop(name: str) -> asyncio.AbstractEventLoop:
    """Make an event loop of the kind ``name``, one of LOOPS."""
    if name == "uvloop":
        uvloop = importlib.import_module("uvloop")
        loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        return loop
    return asyncio.new_event_loop()
