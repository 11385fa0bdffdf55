"""The layers of the code: whoever imports or includes, imports from below.

A file that is not listed here has no place yet: give it one.
"""

from __future__ import annotations

import ast
import re
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CSRC = ROOT / "csrc"
PACKAGE = ROOT / "asgi_shm"

# Lowest first. In a layer, a module may use those that stand before it.
C_LAYERS = [
    ["ashm", "sabotage", "base", "atomic", "hash", "clock", "names", "body"],
    ["layout", "process", "handle"],
    ["recover", "lock", "tx", "doorbell"],
    ["pages", "messages", "table", "queue", "slots", "waiters"],
    ["channels", "groups", "mailbox", "exchange", "membership", "ask", "stats"],
    ["sweep", "reap", "maintain", "verify", "claim", "look"],
    ["attachment", "observer"],
]

# One knot, in the .c files alone: a lock that waits for a dead owner has it recovered, and
# recovery takes a lock and undoes transactions.
C_KNOT = {("recover.c", "lock.h"), ("recover.c", "tx.h")}

PYTHON_ORDER = [
    "errors",
    "capacity",
    "config",
    "_ashm",
    "_log",
    "serializers",
    "segment",
    "_names",
    "_codes",
    "_patience",
    "_attachment",
    "_receiver",
    "_blocking",
    "_base",
    "inspect",
    "layer",
    "sync",
    "__init__",
    "cli",
    "__main__",
]

# The package works without Channels, and knows the native module in few places: one for
# what a segment does, one for what is seen of it, one for its constants, one for messages.
MAY_IMPORT = {
    "channels": {"errors", "layer"},
    "django": {"layer"},
    "asgi_shm._ashm": {"_attachment", "_codes", "_names", "inspect", "segment", "serializers"},
    "posix_ipc": {"segment"},
}

C_RANK = {name: rank for rank, name in enumerate(chain.from_iterable(C_LAYERS))}
C_FILES = sorted(path.name for path in CSRC.glob("*.[ch]"))
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py"))


def includes(file: str) -> list[str]:
    return re.findall(r'^\s*#\s*include\s+"([^"]+)"', (CSRC / file).read_text(), re.MULTILINE)


def imports(module: str) -> set[str]:
    """Every module that one of ours imports, by its absolute name."""
    found = set()
    for node in ast.walk(ast.parse((PACKAGE / f"{module}.py").read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = ".".join(filter(None, ["asgi_shm" if node.level else "", node.module]))
            if source == "asgi_shm":
                found.update(f"{source}.{alias.name}" for alias in node.names)
            else:
                found.add(source)
    return found


def ours(module: str) -> set[str]:
    """Those of `imports` that are modules of the package; a name it exports is __init__'s."""
    found = set()
    for name in imports(module):
        package, _, rest = name.partition(".")
        if package == "asgi_shm":
            part = rest.partition(".")[0]
            found.add(part if part in PYTHON_ORDER else "__init__")
    return found


# Functions of ashm.h that are not killed at every instruction as an operation in every state.
NOT_STEPPED = {
    "open": "kill_formatting.c",
    **dict.fromkeys(["sizes", "counters", "blame", "set_clock"], "leaves the segment alone"),
    **dict.fromkeys(["observe", "observe_end"], "maps it for reading only"),
}


def test_every_operation_is_killed_at_every_instruction():
    header = (CSRC / "ashm.h").read_text()
    declared = re.findall(r"^ASHM_API .*?\bashm_(\w+)\(", header, re.MULTILINE)
    listed = (ROOT / "tests" / "c" / "scenarios.c").read_text().partition("OPERATIONS[] = {")[2]
    stepped = set(re.findall(r'\.name = "(\w+)"', listed.partition("};")[0]))

    assert set(declared) >= {"send", "receive", "group_send"}
    assert [
        name
        for name in declared
        if name not in stepped | NOT_STEPPED.keys() and not name.startswith("see_")
    ] == []


@pytest.mark.parametrize("file", C_FILES)
def test_every_c_file_has_a_place(file):
    assert file.partition(".")[0] in C_RANK


@pytest.mark.parametrize("file", C_FILES)
def test_no_c_file_includes_from_above(file):
    rank = C_RANK[file.partition(".")[0]]
    upward = [
        header
        for header in includes(file)
        if C_RANK[header.partition(".")[0]] > rank and (file, header) not in C_KNOT
    ]

    assert upward == []


def test_the_sources_list_is_the_directory():
    lines = (CSRC / "sources.txt").read_text().splitlines()
    listed = [line for line in lines if line and not line.startswith("#")]

    assert sorted(listed) == [file for file in C_FILES if file.endswith(".c")]


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_a_place(module):
    assert module in PYTHON_ORDER


@pytest.mark.parametrize("module", MODULES)
def test_no_module_imports_from_above(module):
    rank = PYTHON_ORDER.index(module)

    assert [name for name in ours(module) if PYTHON_ORDER.index(name) > rank] == []


@pytest.mark.parametrize("foreign", MAY_IMPORT)
def test_who_may_import(foreign):
    importers = {
        module
        for module in MODULES
        if any(name == foreign or name.startswith(f"{foreign}.") for name in imports(module))
    }

    assert importers <= MAY_IMPORT[foreign]
