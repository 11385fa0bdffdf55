"""The demo's processes: how they end, and what is left of them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.example.site import CHAT, WORKERS
from tests.support import TIMEOUT


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


async def test_the_queue_of_a_killed_worker_waits_for_its_successor(own_site, enter):
    ada = await enter(own_site, "lobby", "Ada")
    await ada.say("/roll 1d6")
    await ada.until(lambda: ada.heard("roll"))
    killed = ada.heard("roll")[0]["worked"]

    os.kill(killed, signal.SIGSTOP)  # so that it is certain that it takes no other
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
