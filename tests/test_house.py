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
    ["ashm", "sabotage", "base", "atomic", "hash", "clock", "linger", "names", "body"],
    ["layout", "object", "process", "handle"],
    ["recover", "lock", "tx", "fifo", "datagram", "doorbell"],
    ["pages", "messages", "table", "room", "watch", "queue", "slots", "waiters"],
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
    "_calls",
    "_log",
    "serializers",
    "segment",
    "_names",
    "_codes",
    "_patience",
    "_attachment",
    "_presence",
    "_lookout",
    "_receiver",
    "_blocking",
    "inspect",
    "_losses",
    "_base",
    "_watching",
    "layer",
    "sync",
    "testing",
    "__init__",
    "cli.__init__",
    "cli.command",
    "cli.text",
    "cli.site",
    "cli.target",
    "cli.holders",
    "cli.snapshot",
    "cli.status",
    "cli.view",
    "cli.screen",
    "cli.keyboard",
    "cli.top",
    "cli.metrics",
    "cli.sizing",
    "cli.lists",
    "cli.messages",
    "cli.verify",
    "cli.cleanup",
    "cli.finding",
    "cli.machine",
    "cli.patient",
    "cli.doctor",
    "cli.main",
    "__main__",
    "django.__init__",
    "django.checks",
    "django.apps",
    "django.management.__init__",
    "django.management.commands.__init__",
    "django.management.commands.shm",
]

# The package works without Channels, and knows the native module in few places: one for
# what a segment does, one for what is seen of it, one for its constants, one for messages.
MAY_IMPORT = {
    "channels": {"errors", "layer", "testing"},
    "django": {"cli.site", "django.apps", "django.checks", "django.management.commands.shm"},
    "asgi_shm._ashm": {
        "_attachment",
        "_calls",
        "_codes",
        "_names",
        "inspect",
        "segment",
        "serializers",
    },
    "asgi_shm._calls": {"_attachment", "_receiver", "layer", "serializers"},
    "posix_ipc": {"segment"},
    "prometheus_client": {"cli.metrics"},
    "rich": {"cli.screen", "cli.top"},
    "shtab": {"cli.main"},
}

C_RANK = {name: rank for rank, name in enumerate(chain.from_iterable(C_LAYERS))}
C_FILES = sorted(path.name for path in CSRC.glob("*.[ch]"))
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in PACKAGE.rglob("*.py")
)


def includes(file: str) -> list[str]:
    return re.findall(r'^\s*#\s*include\s+"([^"]+)"', (CSRC / file).read_text(), re.MULTILINE)


def place(name: str) -> str:
    """What PYTHON_ORDER calls a module."""
    return name.removeprefix("asgi_shm.")


def imports(module: str) -> set[str]:
    """Every module that one of ours imports, by its absolute name."""
    found = set()
    *package, name = ("asgi_shm", *module.split("."))
    for node in ast.walk(ast.parse(PACKAGE.joinpath(*package[1:], f"{name}.py").read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            source = ".".join(filter(None, [*base, node.module]))
            for alias in node.names:  # a module of a package, or what is in a module
                full = f"{source}.{alias.name}"
                found.add(full if place(full) in PYTHON_ORDER else source)
    return found


def ours(module: str) -> set[str]:
    """Those of `imports` that are modules of the package."""
    found = set()
    for name in imports(module):
        if name == "asgi_shm":
            found.add("__init__")
        elif name.startswith("asgi_shm."):
            found |= {place(name), f"{place(name)}.__init__"} & set(PYTHON_ORDER)
    return found - {module}


# Functions of ashm.h that are not killed at every instruction as an operation in every state.
NOT_STEPPED = {
    "open": "kill_formatting.c",
    "receive_by": "it is what receive does, by a way that is the caller's own",
    **dict.fromkeys(
        ["sizes", "name", "counters", "get_losses", "blame", "set_clock", "on_linger"],
        "leaves the segment alone",
    ),
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
