"""Writes docs/api.md, the reference of what users import, from signatures and docstrings.

.venv/bin/python docs/make_api.py
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import asgi_shm
import asgi_shm.config
import asgi_shm.inspect

TARGET = Path(__file__).parent / "api.md"

HEAD = """\
# API

What users import, with types, units and errors. Written by `docs/make_api.py` (`make api`) from
the docstrings; do not edit.
"""

MODULES = [asgi_shm, asgi_shm.inspect, asgi_shm.config]
# What these modules are asked for; the rest of config is for config.
NAMES = {"asgi_shm.config": ["Config"]}
# What users are given, and do not make.
GIVEN = {asgi_shm.GroupWatch}


def names(module: ModuleType) -> list[str]:
    return NAMES.get(module.__name__) or list(module.__all__)


def text(thing: Any) -> str:
    """A docstring in Markdown: what stands in double backquotes is code."""
    return re.sub(r"``(.*?)``", r"`\1`", inspect.getdoc(thing) or "").replace("::\n", ":\n")


class Bare:
    """An annotation without quotes."""

    def __init__(self, annotation: object) -> None:
        self._text = annotation if isinstance(annotation, str) else "None"

    def __repr__(self) -> str:
        return self._text


def signature(function: Any) -> str:
    bare = inspect.signature(function)
    bare = bare.replace(
        parameters=[
            one.replace(annotation=Bare(one.annotation))
            for one in bare.parameters.values()
            if one.name not in {"self", "cls"}
        ],
        return_annotation=Bare(bare.return_annotation),
    )
    return str(bare)


def is_ours(thing: Any) -> bool:
    return str(getattr(thing, "__module__", "")).startswith("asgi_shm")


def methods(kind: type) -> Iterator[tuple[str, str, Any]]:
    """Public methods, those of bases of ours among them, in the order of their definition."""
    seen = set()
    for base in kind.__mro__:
        if not is_ours(base):
            continue
        for name, member in vars(base).items():
            if name.startswith("_") or name in seen:
                continue
            seen.add(name)
            if isinstance(member, property):
                yield "property ", name, member.fget
            elif isinstance(member, (classmethod, staticmethod)):
                yield f"{type(member).__name__} ", name, member.__func__
            elif inspect.iscoroutinefunction(member):
                yield "async ", name, member
            elif inspect.isfunction(member):
                yield "", name, member


def fields(kind: type) -> Iterator[str]:
    """The fields of a dataclass or a named tuple, with what their comments say."""
    if kind is asgi_shm.config.Config:
        for name, option in asgi_shm.config.OPTIONS.items():
            unit = f", {option.unit}" if option.unit else ""
            yield f"- `{name}` ({option.default!r}{unit}): {option.meaning}"
            yield f"  Allowed: {option.allowed}."
        return
    if dataclasses.is_dataclass(kind):
        listed = [field.name for field in dataclasses.fields(kind)]
    else:
        listed = list(getattr(kind, "_fields", []))
    source = inspect.getsource(kind)
    for name in listed:
        pattern = rf"^    {name}: ([^=#\n]+?)(?: = .*?)?(?:  # (.*))?$"
        found = re.search(pattern, source, re.MULTILINE)
        assert found, name
        yield f"- `{name}: {found[1]}`" + (f" – {found[2]}" if found[2] else "")


def of_class(module: str, name: str, kind: type) -> Iterator[str]:
    is_error = issubclass(kind, BaseException)
    is_tuple = issubclass(kind, tuple) or dataclasses.is_dataclass(kind)
    made = not (is_error or is_tuple or kind in GIVEN)
    arguments = signature(kind.__init__).partition(" ->")[0] if made else ""
    yield f"### `{module}.{name}{arguments}`"
    bases = [base.__name__ for base in kind.__bases__ if not base.__name__.startswith("_")]
    if is_error and bases != ["Exception"]:
        yield "A " + ", a ".join(f"`{base}`" for base in bases) + "."
    yield text(kind)
    if is_tuple:
        yield "\n".join(fields(kind))
    if not is_error:
        for prefix, member, function in methods(kind):
            arguments = "" if prefix == "property " else signature(function)
            yield f"#### {prefix}`{member}{arguments}`"
            other = "" if prefix == "property " else function.__name__
            yield text(function) if other in ("", member) else f"The same as `{other}`."


def of_module(module: ModuleType) -> Iterator[str]:
    yield f"## {module.__name__}"
    yield text(module)
    for name in names(module):
        thing = getattr(module, name)
        if inspect.isclass(thing) and thing.__name__ != name and is_ours(thing):
            yield f"### `{module.__name__}.{name}`"
            yield f"Another name of `{thing.__name__}`."
        elif inspect.isclass(thing):
            yield from of_class(module.__name__, name, thing)
        elif inspect.isfunction(thing):
            yield f"### `{module.__name__}.{name}{signature(thing)}`"
            yield text(thing)


def api() -> str:
    """The whole document."""
    parts = [HEAD.strip()]
    for module in MODULES:
        parts += [part for part in of_module(module) if part]
    parts.append("## Counters")
    parts.append(
        "\n".join(
            ["| name | unit | what it counts |", "|---|---|---|"]
            + [
                f"| `{one.name}` | {one.unit} | {one.help} |"
                for one in asgi_shm.inspect.COUNTERS
            ]
        )
    )
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    TARGET.write_text(api())
