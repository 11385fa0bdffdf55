"""Two builds at once, as while a new release is rolled out: each has a segment of its own."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from asgi_shm import segment, unlink
from asgi_shm._ashm import lib
from tests.multiprocess.peer import wait_and_receive
from tests.multiprocess.talker import Talker
from tests.support import fresh_prefix, leftovers, soon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
OURS = lib.ASHM_LAYOUT_VERSION
OTHER = OURS + 1


@pytest.fixture(scope="module")
def other_build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package once more, with the next layout version."""
    place = tmp_path_factory.mktemp("other")
    for name in ("csrc", "asgi_shm"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("*.so"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, place)
    header = place / "csrc" / "ashm.h"
    text, count = re.subn(r"(ASHM_LAYOUT_VERSION = )\d+", rf"\g<1>{OTHER}", header.read_text())
    assert count == 1
    header.write_text(text)
    built = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--inplace"],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return place


@pytest.fixture
def prefix() -> Iterator[str]:
    name = fresh_prefix()
    yield name
    unlink(name)
    assert leftovers(name) == []


@pytest.fixture
def make_talkers(prefix: str, other_build: Path) -> Iterator[Callable[..., list[Talker]]]:
    """Starts two processes of a build."""
    talkers: list[Talker] = []

    def make(version: int) -> list[Talker]:
        place = ROOT if version == OURS else other_build
        launcher = ["env", "-C", str(place), f"PYTHONPATH={ROOT}"]
        two = [Talker(launcher, prefix) for _ in range(2)]
        talkers.extend(two)
        assert [talker.ask(version_of) for talker in two] == [version, version]
        return two

    yield make
    for talker in talkers:
        talker.close()


async def version_of(layer: Any, say: Any) -> int:
    version: int = lib.ASHM_LAYOUT_VERSION
    return version


async def join(layer: Any, say: Any) -> str:
    channel: str = await layer.new_channel()
    await layer.group_add("group", channel)
    return channel


async def check(layer: Any, say: Any) -> list[int]:
    """Verify the segment; who is attached, and what is in it."""
    layer._attachment.tick()
    layer._attachment.verify()
    info = layer._attachment.info()
    return [info.attached, info.memberships, info.messages]


async def bury(layer: Any, say: Any) -> None:
    async def alone() -> None:
        while layer._attachment.info().attached > 1:
            layer._attachment.tick()
            await asyncio.sleep(0.02)

    await soon(alone())


async def take_the_name(layer: Any, say: Any, version: int) -> None:
    """Have the layer open the segment of another version, as if the name did not say so."""
    segment.object_name = lambda prefix: f"/asgi_shm.{version}.{prefix}"


def talk(talkers: list[Talker], mark: str) -> None:
    """Everything between two processes of a build; nobody else hears of it."""
    names = [talker.ask(join) for talker in talkers]
    first, second = talkers
    for number in range(5):
        first.begin(wait_and_receive, names[0])
        assert first.hear() == "waiting"
        message = {"by": mark, "number": number}
        second.ask("group_send", "group", message)
        assert first.hear() == message
        assert second.ask("receive", names[1]) == message
        first.ask("send", "channel", message)
        assert second.ask("receive", "channel") == message
    for talker, name in zip(talkers, names, strict=True):
        talker.ask("group_discard", "group", name)
    assert first.ask(check) == [2, 0, 0]


def test_two_versions_run_beside_each_other(make_talkers, prefix):
    ours, others = make_talkers(OURS), make_talkers(OTHER)
    for _ in range(2):
        talk(ours, "ours")
        talk(others, "other")
    ours[0].ask("send", "channel", {"by": "ours"})
    others[1].kill()
    others[0].ask(bury)
    assert others[0].ask("flush") is None
    assert others[0].ask(check) == [1, 0, 0]
    assert ours[1].ask(check) == [2, 0, 1]
    assert ours[1].ask("receive", "channel") == {"by": "ours"}
    talk(ours, "ours")
    names = {name for name in leftovers(prefix) if ":" not in name}
    assert names == {f"asgi_shm.{version}.{prefix}" for version in (OURS, OTHER)}


@pytest.mark.parametrize("first", [OURS, OTHER], ids=["ours", "the other's"])
def test_a_segment_of_the_other_version_is_refused_and_left_alone(make_talkers, prefix, first):
    second = OURS + OTHER - first
    owners, guests = make_talkers(first), make_talkers(second)
    talk(owners, "owner")
    owners[0].ask("send", "channel", {"by": "owner"})
    for guest in guests:
        guest.ask(take_the_name, first)
        for _ in range(2):
            refusal = guest.ask("send", "channel", {"by": "guest"})
            assert refusal.startswith("SegmentLayoutMismatch: "), refusal
            assert prefix in refusal
            assert "unlink" in refusal

    assert owners[1].ask(check) == [2, 0, 1]
    assert owners[1].ask("receive", "channel") == {"by": "owner"}
    talk(owners, "owner")
    assert {name for name in leftovers(prefix) if ":" not in name} == {
        f"asgi_shm.{first}.{prefix}"
    }
