"""The demo's processes: how they end, and what is left of them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from asgi_shm import ShmChannelLayer
from tests.example.site import CHAT, WORKERS
from tests.support import SHM, TIMEOUT, leftovers, soon, stop

if TYPE_CHECKING:
    from tests.example.site import Person, Site


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_it_ends_cleanly_and_leaves_nothing(own_site, enter, number):
    people = [await enter(own_site, "lobby", f"person {n}") for n in range(6)]
    assert len(own_site.processes()) == 1 + WORKERS + 1
    await people[0].say("/roll 2d6")
    await people[1].until(lambda: people[1].heard("roll"))

    assert own_site.stop(number) == 0
    _, _, last_words = own_site.said.partition("Ctrl-C ends it.\n\n")
    assert last_words == "Ending …\nEverything has ended, and nothing is left.\n"
    assert own_site.remains() == (set(), [])
    for person in people:
        assert await person.lost() == 1012  # the server restarts: come again


async def test_a_killed_web_worker_takes_only_its_own_connections_with_it(own_site, enter):
    people = [await enter(own_site, "lobby", f"person {n}") for n in range(20)]
    victim = people[0].pid
    lost = [person for person in people if person.pid == victim]
    others = [person for person in people if person.pid != victim]

    os.kill(victim, signal.SIGKILL)
    for person in lost:
        assert await person.lost() == 1006
    for person in others:
        await person.say("Still here")
        await person.say("/roll 1d6")
    for person in others:
        for sender in others:
            await person.until(lambda p=person, s=sender: p.heard("say", s.id))
            await person.until(lambda p=person, s=sender: p.heard("roll", s.id))

    back = [await enter(own_site, "lobby", f"{person.nick}, again") for person in lost]
    await back[0].say("Here I am")
    for person in others + back:
        await person.until(lambda p=person: p.heard("say", back[0].id))

    assert f"({victim}) was killed" in own_site.said


async def test_a_worker_killed_while_forty_talk_is_not_noticed_by_the_others(own_site, enter):
    """As by the kernel for want of memory. Survivors' lines arrive, each once and in order."""
    people = [await enter(own_site, ROOMS[n % 2], f"person {n}") for n in range(40)]
    while len({person.pid for person in people}) < WORKERS:
        people.append(await enter(own_site, ROOMS[len(people) % 2], "one more"))
    victim = people[0].pid
    lost = [person for person in people if person.pid == victim]
    others = [person for person in people if person.pid != victim]
    _, _, before = own_site.said.partition("Ctrl-C ends it.\n\n")

    talk = asyncio.gather(*map(speak, others))
    doomed = asyncio.gather(*map(speak, lost), return_exceptions=True)
    await others[0].until(lambda: len(others[0].heard("say")) > 60)
    before_it = bells(own_site)
    assert not talk.done()
    os.kill(victim, signal.SIGKILL)

    # By those who wait: nobody has to send anything. Then the new worker may make its own.
    await soon(one_gone(own_site, before_it))
    await soon(talk)
    await soon(doomed)
    for person in lost:
        assert await person.lost() == 1006
    for person in others:
        for sender in others:
            if sender.room != person.room:
                continue
            expected = [f"{sender.id} says {number}" for number in range(LINES)]
            await person.until(lambda p=person, s=sender: len(p.heard("say", s.id)) >= LINES)
            assert [line["text"] for line in person.heard("say", sender.id)] == expected

    back = [await enter(own_site, person.room, f"{person.nick}, again") for person in lost]
    for room in ROOMS:
        here = [person for person in others + back if person.room == room]
        await here[-1].say("Here I am")
        for person in here:
            await person.until(lambda p=person, s=here[-1]: p.heard("say", s.id)[-1:])
    _, _, after = own_site.said.partition("Ctrl-C ends it.\n\n")
    assert re.fullmatch(
        rf"[^\n]* \({victim}\) was killed; another one takes its place\.\n",
        after.removeprefix(before),
    )
    layer = ShmChannelLayer(prefix=own_site.prefix, capacity=1000)
    info = layer._attachment.info()
    layer._attachment.verify()
    # Each is in a room's group and in everybody's; three web workers, the dice worker, and we.
    assert info.memberships == 2 * len(others + back)
    assert info.attached <= WORKERS + 2
    await layer.close()


ROOMS = ["lobby", "kitchen"]
LINES = 15


async def speak(person: Person) -> None:
    """Say some lines, each when the one before has come back."""
    for number in range(LINES):
        await person.say(f"{person.id} says {number}")
        await person.until(lambda said=number: len(person.heard("say", person.id)) > said)


def bells(site: Site) -> set[tuple[str, int]]:
    """The doorbells of its processes; that of a dead one goes when it is buried."""
    found = set()
    for name in leftovers(site.prefix):
        if ":bell." in name:
            with contextlib.suppress(FileNotFoundError):  # buried since it was listed
                found.add((name, (SHM / name).stat().st_ino))
    return found


async def one_gone(site: Site, before: set[tuple[str, int]]) -> None:
    while before <= bells(site):  # noqa: ASYNC110 -- nothing tells us
        await asyncio.sleep(0.01)


async def test_the_queue_of_a_killed_worker_waits_for_its_successor(own_site, enter):
    ada = await enter(own_site, "lobby", "Ada")
    await ada.say("/roll 1d6")
    await ada.until(lambda: ada.heard("roll"))
    killed = ada.heard("roll")[0]["worked"]

    stop(killed, own_site.prefix)  # so that it is certain that it takes no other
    for _ in range(20):
        await ada.say("/roll 1d6")
    await ada.say("And now it is killed.")
    await ada.until(lambda: ada.heard("say"))
    os.kill(killed, signal.SIGKILL)

    await ada.until(lambda: len(ada.heard("roll")) == 21)
    assert {line["worked"] for line in ada.heard("roll")[1:]}.isdisjoint({killed})


def test_a_process_that_ends_by_itself_ends_the_demo_which_says_so(own_site):
    dice_worker = next(
        pid
        for pid in own_site.processes()
        if b"runworker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    )
    os.kill(dice_worker, signal.SIGTERM)
    assert own_site.wait() == 1
    assert f"The dice worker ({dice_worker}) has ended by signal 15" in own_site.said
    assert own_site.remains() == (set(), [])


def test_a_port_in_use_is_said_at_once():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = subprocess.run(
            [sys.executable, CHAT / "demo.py", "--port", str(port)],
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    assert done.returncode == 1
    assert f"Cannot use 127.0.0.1 port {port}" in done.stderr
    assert "--port" in done.stderr
