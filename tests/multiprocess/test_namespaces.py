"""Containers: a small /dev/shm, processes that do not see each other, clocks that differ."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.multiprocess.peer import wait_and_receive
from tests.multiprocess.talker import Talker, whoami
from tests.support import TIMEOUT, run_alone, soon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# The process dies with its launcher.
PIDS = ["unshare", "--pid", "--fork", "--kill-child"]
DAY = 86400


def apart(days: int) -> list[str]:
    """In namespaces of its own but for what it mounts, with a clock that is so far ahead."""
    return [*PIDS, "--net", "--ipc", "--time", f"--monotonic={days * DAY}"]


def may(*launcher: str) -> bool:
    return subprocess.run([*launcher, "true"], capture_output=True, check=False).returncode == 0


needs_mounts = pytest.mark.skipif(
    not may("unshare", "--mount"), reason="needs mount namespaces"
)
needs_pids = pytest.mark.skipif(not may(*PIDS), reason="needs PID namespaces")
needs_clocks = pytest.mark.skipif(
    not may("unshare", "--time", "--fork"), reason="needs time namespaces"
)
needs_all = pytest.mark.skipif(
    not may(*apart(1)), reason="needs PID, network, IPC and time namespaces"
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


# In a mount namespace, under a /dev/shm of the size that its argument says.
FILL = """
import asyncio, json, pathlib, sys
from asgi_shm import ShmChannelLayer, errors

BODY = {"body": b"x" * 5000}


async def fill(layer):
    for number in range(1_000_000):
        try:
            await layer.send(f"channel.{number % 7}", BODY)
        except errors.MemoryFull as error:
            return number, str(error)


async def empty(layer, sent):
    for number in range(sent):
        await layer.receive(f"channel.{number % 7}")


def fill_by_others(file):
    # Up to the last page.
    for size in (1024 * 1024, 4096):
        try:
            while True:
                file.write(bytes(size))
        except OSError:
            pass


async def main():
    layer = ShmChannelLayer(prefix="small", capacity=100_000)
    await layer.group_add("group", "member")
    await layer.send("channel.0", BODY)
    other = pathlib.Path("/dev/shm/other").open("wb", buffering=0)
    fill_by_others(other)
    print(json.dumps(await fill(layer)))
    # The bell is a file, too; it takes no room.
    waiting = asyncio.create_task(layer.receive("awaited"))
    await asyncio.sleep(0)
    layer._attachment.verify()
    other.truncate(0)
    await layer.send("awaited", {"type": "works on"})
    assert await waiting == {"type": "works on"}
    await layer.flush()
    await layer.group_add("group", "member")
    for _ in range(2):
        sent, said = await fill(layer)
        await layer.group_send("group", BODY)
        layer._attachment.verify()
        await empty(layer, sent)
        print(json.dumps([sent, said]))
    await layer.group_send("group", {"type": "works on"})
    print(json.dumps(await layer.receive("member")))


asyncio.run(main())
"""


ROOM = r"/dev/shm is full .*--shm-size"


@needs_mounts
@pytest.mark.parametrize("kib", [768, 1024, 1500, 2048, 16384, 65536, 131072])
def test_a_small_dev_shm_is_memory_full(prefix, kib):
    """As in a container whose /dev/shm has less room than the layer's defaults ask for."""
    result = in_a_dev_shm_of(kib, FILL)
    assert result.returncode == 0, result
    under_pressure, first, second, last = map(json.loads, result.stdout.splitlines())

    assert kib // 40 <= first[0] == second[0]
    assert under_pressure[0] <= min(100, first[0])
    assert last == {"type": "works on"}
    assert re.search(ROOM, under_pressure[1])
    for _, said in (first, second):
        assert re.search(ROOM if kib < 131072 else "raise message_memory", said), said


@needs_mounts
@pytest.mark.parametrize("kib", [4, 64, 100, 128, 256, 400])
def test_a_dev_shm_with_next_to_no_room_is_an_error(prefix, kib):
    result = in_a_dev_shm_of(kib, FILL)

    assert result.returncode == 1, result
    assert re.search(f"MemoryFull: .*{ROOM}", result.stderr.splitlines()[-1]), result


def in_a_dev_shm_of(kib: int, program: str) -> subprocess.CompletedProcess[str]:
    mount = f'mount -t tmpfs -o size={kib}k tmpfs /dev/shm && exec "$@"'
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


@pytest.fixture
def pods(make_talker: Callable[..., Talker]) -> list[Talker]:
    """Three processes that share /dev/shm alone, and each think they are process 1."""
    talkers = [make_talker(apart(days), expiry=60) for days in range(3)]
    ids = [talker.ask(whoami) for talker in talkers]
    assert [numbers for *numbers, _ in ids] == [[1, 1]] * 3  # PID and TID
    for spaces in zip(*(spaces for *_, spaces in ids), strict=True):
        assert len(set(spaces)) == 3, spaces
    return talkers


async def join(layer: Any, say: Any) -> str:
    channel: str = await layer.new_channel()
    await layer.group_add("group", channel)
    return channel


@needs_all
def test_pods_wake_each_other(pods):
    names = [pod.ask(join) for pod in pods]
    for number in range(30):
        receiver, sender = pods[number % 3], pods[(number + 1) % 3]
        receiver.begin(wait_and_receive, names[number % 3])
        assert receiver.hear() == "waiting"
        if number % 2:
            sender.ask("send", names[number % 3], {"number": number})
        else:
            sender.ask("group_send", "group", {"number": number})
            for other in range(1, 3):
                left = pods[(number + other) % 3].ask("receive", names[(number + other) % 3])
                assert left == {"number": number}
        assert receiver.hear() == {"number": number}


@needs_all
def test_pods_agree_on_what_has_expired(pods, make_talker):
    hasty = make_talker(apart(3), expiry=0.2)
    for days, pod in enumerate([*pods, hasty]):
        pod.ask("send", f"channel.{days}", {"from": days})
    for reader in pods:
        assert reader.ask(messages_after_expiry, 3) == 3
    for days in range(3):
        assert pods[(days + 1) % 3].ask("receive", f"channel.{days}") == {"from": days}


async def messages_after_expiry(layer: Any, say: Any, at_most: int) -> int:
    """Sweep until no more messages are left than those that do not expire."""

    async def gone() -> None:
        while layer._attachment.info().messages > at_most:
            layer._attachment.sweep()
            await asyncio.sleep(0.02)

    await soon(gone())
    left: int = layer._attachment.info().messages
    return left


async def chatter(layer: Any, say: Any) -> None:
    """Send, receive, come and go without an end, so that a kill hits anything."""
    await layer.group_add("group", await layer.new_channel())
    for number in itertools.count():
        if number == 50:
            say("under way")
        await layer.send("common", {"body": b"x" * 300})
        await layer.group_send("group", {"body": b"x" * 3000})
        await layer.group_add("group", "common")
        await layer.receive("common")
        await layer.group_discard("group", "common")


async def survive(layer: Any, say: Any) -> list[int]:
    """Bury the dead, check everything, and work on; who is left."""

    async def alone() -> None:
        while layer._attachment.info().attached > 2:
            layer._attachment.tick()
            await asyncio.sleep(0.02)

    await soon(alone())
    layer._attachment.verify()
    await layer.flush()
    info = layer._attachment.info()
    return [info.attached, info.memberships, info.messages]


@needs_all
def test_a_pod_that_is_killed_is_buried_by_another(make_talker):
    """By one that cannot see it, and is itself the process 1 that it was."""
    living = [make_talker(apart(days), capacity=1000) for days in range(2)]
    for _ in range(2):
        dying = make_talker(apart(2), capacity=1000)
        names = [pod.ask("new_channel") for pod in living]
        for pod in (dying, living[1]):
            pod.begin(chatter)
            assert pod.hear() == "under way"
        dying.kill()
        living[1].kill()
        living[1] = make_talker(apart(1), capacity=1000)
        living[1].ask("new_channel")
        assert living[0].ask(survive) == [2, 0, 0]
        assert living[1].ask(survive) == [2, 0, 0]
        living[1].ask("send", names[0], {"type": "test"})
        assert living[0].ask("receive", names[0]) == {"type": "test"}
