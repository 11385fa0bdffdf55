"""Containers: a small /dev/shm, processes that do not see each other, clocks that differ."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.multiprocess.talker import Talker
from tests.support import TIMEOUT, run_alone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# The process dies with its launcher.
PIDS = ["unshare", "--pid", "--fork", "--kill-child"]
DAY = 86400


def may(*launcher: str) -> bool:
    return subprocess.run([*launcher, "true"], capture_output=True, check=False).returncode == 0


needs_mounts = pytest.mark.skipif(
    not may("unshare", "--mount"), reason="needs mount namespaces"
)
needs_pids = pytest.mark.skipif(not may(*PIDS), reason="needs PID namespaces")
needs_clocks = pytest.mark.skipif(
    not may("unshare", "--time", "--fork"), reason="needs time namespaces"
)


@pytest.fixture
def make_talker(prefix: str) -> Iterator[Callable[..., Talker]]:
    """Starts processes behind a launcher that have a layer of the test's prefix."""
    talkers: list[Talker] = []

    def make(launcher: list[str], **options: Any) -> Talker:
        talkers.append(Talker(launcher, prefix, **options))
        return talkers[-1]

    yield make
    for talker in talkers:
        talker.close()


FILL = """
import asyncio, json, sys
from asgi_shm import ShmChannelLayer, errors


async def fill(layer):
    for number in range(1_000_000):
        try:
            await layer.send(f"channel.{number % 7}", {"body": b"x" * 5000})
        except errors.MemoryFull as error:
            return number, str(error)


async def main():
    layer = ShmChannelLayer(prefix="small", capacity=100_000)
    await layer.group_add("group", "member")
    for _ in range(2):
        sent, said = await fill(layer)
        await layer.group_send("group", {"body": b"x" * 5000})
        layer._attachment.verify()
        for number in range(sent):
            await layer.receive(f"channel.{number % 7}")
        print(json.dumps([sent, said]))
    await layer.group_send("group", {"type": "works on"})
    print(json.dumps(await layer.receive("member")))


asyncio.run(main())
"""


@needs_mounts
def test_a_small_dev_shm_is_memory_full(prefix):
    """As in a container whose /dev/shm has less room than the layer's defaults ask for."""
    result = in_a_dev_shm_of("16m", FILL)
    assert result.returncode == 0, result
    first, second, last = map(json.loads, result.stdout.splitlines())

    assert 1000 < first[0] < 4000
    assert second[0] >= first[0]
    for _, said in (first, second):
        assert re.search(r"/dev/shm.*--shm-size", said), said
    assert last == {"type": "works on"}


@needs_mounts
@pytest.mark.parametrize("size", ["4k", "64k", "256k"])
def test_a_dev_shm_with_next_to_no_room_is_an_error(prefix, size):
    result = in_a_dev_shm_of(size, FILL)

    assert result.returncode == 1, result
    assert re.search(r"MemoryFull: .*/dev/shm", result.stderr.splitlines()[-1]), result


def in_a_dev_shm_of(size: str, program: str) -> subprocess.CompletedProcess[str]:
    mount = f'mount -t tmpfs -o size={size} tmpfs /dev/shm && exec "$@"'
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", mount, "sh", sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=2 * TIMEOUT,
        check=False,
    )


@needs_pids
def test_processes_with_the_same_pid_in_namespaces_of_their_own(make_talker, layer):
    talkers = [make_talker(PIDS) for _ in range(3)]
    names = [talker.ask("new_channel") for talker in talkers]
    assert len({name.partition("!")[0] for name in names}) == 3
    for name in names:
        talkers[0].ask("group_add", "group", name)
    talkers[1].ask("group_send", "group", {"type": "test"})
    for talker, name in zip(talkers, names, strict=True):
        assert talker.ask("receive", name) == {"type": "test"}
    run_alone(layer.new_channel())
    assert layer._attachment.info().attached == 4


@needs_pids
def test_the_death_of_a_process_is_seen_from_another_namespace(make_talker, layer, until):
    living, dying = make_talker(PIDS), make_talker(PIDS)
    for talker in (living, dying):
        talker.ask("group_add", "group", talker.ask("new_channel"))
    run_alone(layer.new_channel())
    dying.kill()
    until(lambda: layer._attachment.tick() or layer._attachment.info().attached == 2)

    assert layer._attachment.info().memberships == 1
    assert living.ask("new_channel").startswith("specific.")


@needs_clocks
@pytest.mark.parametrize("ahead", [True, False], ids=["ahead", "behind"])
def test_processes_whose_clocks_differ(make_talker, until, layer, ahead):
    """CLOCK_MONOTONIC of the one is a day ahead of the other's."""
    shifted = ["unshare", "--time", f"--monotonic={DAY}", "--fork", "--kill-child"]
    sender = make_talker(shifted if ahead else [], expiry=2)
    receiver = make_talker([] if ahead else shifted)
    sender.ask("send", "early", {"type": "test"})
    assert receiver.ask("receive", "early") == {"type": "test"}
    sender.ask("send", "late", {"type": "test"})
    until(lambda: layer._attachment.sweep() or layer._attachment.info().messages == 0)
