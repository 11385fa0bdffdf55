"""Builds, once for each interpreter, a cffi module whose functions do nothing."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cffi import FFI

if TYPE_CHECKING:
    from types import ModuleType

_DECLARATIONS = """
int bench_empty(void);
int bench_empty_send(void *handle, const char *channel, size_t channel_length,
                     const void *body, size_t length, uint64_t expiry,
                     uint32_t capacity);
"""

# Volatile, so that the compiler keeps the calls.
_SOURCE = """
static volatile int nothing;
static int bench_empty(void) { return nothing; }
static int bench_empty_send(void *handle, const char *channel, size_t channel_length,
                            const void *body, size_t length, uint64_t expiry,
                            uint32_t capacity)
{
    (void)handle; (void)channel; (void)channel_length;
    (void)body; (void)length; (void)expiry; (void)capacity;
    return nothing;
}
"""

_DIRECTORY = Path(__file__).parent / ".build" / sys.implementation.cache_tag
_NAME = "bench_empty_call"


def load() -> ModuleType:
    """Import the module, building it at the first time. Needs a C compiler."""
    built = next(_DIRECTORY.glob(f"{_NAME}*.so"), None) or _build()
    spec = importlib.util.spec_from_file_location(_NAME, built)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _build() -> Path:
    _DIRECTORY.mkdir(parents=True, exist_ok=True)
    builder = FFI()
    builder.cdef(_DECLARATIONS)
    builder.set_source(_NAME, _SOURCE)
    return Path(builder.compile(tmpdir=str(_DIRECTORY)))
