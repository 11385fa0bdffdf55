"""Builds the native module `asgi_shm._ashm` with cffi, in API mode.

The declarations are not repeated here: they are cut out of the public headers, from between
the two markers in each. The C files are those of sources.txt, and those that know Python: a
second module, in the same object file.
"""

import re
from pathlib import Path

from cffi import FFI

HERE = Path("csrc")  # setup.py runs in the project's root, and wants relative paths
HEADERS = ["ashm.h", "body.h"]

CFLAGS = [
    "-std=c11",
    "-O2",
    "-g",
    "-fvisibility=hidden",
    "-pthread",
    "-Wall",
    "-Wextra",
    # cffi's generated code: unused arguments, and casts between function types.
    "-Wno-unused-parameter",
    "-Wno-cast-function-type",
]


def declarations(header: str) -> str:
    """Return the part of the header that cffi is to read, in the C that cffi knows.

    Raises ValueError unless the header has exactly one pair of markers.
    """
    marked = re.findall(r"/\* <cffi> \*/(.*?)/\* </cffi> \*/", header, re.DOTALL)
    if len(marked) != 1:
        raise ValueError("expected one pair of /* <cffi> */ and /* </cffi> */")
    without_comments = re.sub(r"/\*.*?\*/|//[^\n]*", " ", marked[0], flags=re.DOTALL)
    return re.sub(r"\bASHM_API\b", "", without_comments)


def sources(listing: str) -> list[str]:
    """Return the file names in sources.txt: one a line, # starts a comment."""
    names = (line.partition("#")[0].strip() for line in listing.splitlines())
    return [name for name in names if name]


def builder() -> FFI:
    """Return the cffi builder that setup.py runs."""
    core = sources((HERE / "sources.txt").read_text())
    ffi = FFI()
    for name in HEADERS:
        ffi.cdef(declarations((HERE / name).read_text()))
    ffi.set_source(
        "asgi_shm._ashm",
        "".join(f'#include "{name}"\n' for name in HEADERS),
        sources=[str(HERE / name) for name in core]
        + [str(name) for name in sorted(HERE.glob("python/*.c"))],
        depends=[str(path) for path in sorted(HERE.rglob("*.h"))],
        include_dirs=[str(HERE)],
        define_macros=[("_GNU_SOURCE", None), ("NDEBUG", None)],
        extra_compile_args=CFLAGS,
        extra_link_args=["-pthread"],
        libraries=["rt"],
        py_limited_api=True,
    )
    return ffi


ffibuilder = builder
