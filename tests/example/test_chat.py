"""What people in the chat rely on, over three web workers, a dice worker and a command."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from tests.example.site import WORKERS
from tests.support import soon

if TYPE_CHECKING:
    from tests.example.site import Enter, Person, Site

ROOMS = ["lobby", "kitchen", "attic", "garden"]
AT_LEAST = 40
AT_MOST = 400
LINES = 25


async def crowd(site: Site, enter: Enter) -> list[Person]:
    """At least 40 people, and as many more as it takes that each room is on every worker."""
    people: list[Person] = []
    for number, room in zip(range(AT_MOST), itertools.cycle(ROOMS), strict=False):
        people.append(await enter(site, room, f"person {number}"))
        places = {(person.room, person.pid) for person in people}
        if len(people) >= AT_LEAST and len(places) == len(ROOMS) * WORKERS:
            break
    assert len({person.pid for person in people}) == WORKERS
    assert len(places) == len(ROOMS) * WORKERS, "the kernel gave some worker no connection"
    return people


def by_room(people: list[Person]) -> dict[str, list[Person]]:
    rooms = defaultdict(list)
    for person in people:
        rooms[person.room].append(person)
    return rooms


async def everybody(*coroutines: object) -> None:
    await soon(asyncio.gather(*coroutines))


async def test_each_line_reaches_each_member_once_and_each_senders_lines_in_order(site, enter):
    people = await crowd(site, enter)
    rooms = by_room(people)
    web_workers = {person.pid for person in people}

    async def speak(person: Person) -> None:
        for number in range(LINES):
            await person.say(f"{person.id} says {number}")
        await person.say("/roll 2d6")

    await everybody(*map(speak, people))

    def complete(person: Person) -> bool:
        members = len(rooms[person.room])
        said, rolled = len(person.heard("say")), len(person.heard("roll"))
        return said >= members * LINES and rolled >= members

    for person in people:
        await person.until(lambda p=person: complete(p))
    # Whatever came twice came before the announcement.
    for room, members in rooms.items():
        done = await asyncio.to_thread(site.manage, "announce", room, "The", "end")
        assert done.returncode == 0, done.stderr
        for person in members:
            await person.until(lambda p=person: p.heard("announce"))

    for members in rooms.values():
        for person in members:
            assert len(person.heard("say")) == len(members) * LINES
            for sender in members:
                said = person.heard("say", sender.id)
                assert [line["text"] for line in said] == [
                    f"{sender.id} says {number}" for number in range(LINES)
                ]
                assert {(line["took"], line["delivered"]) for line in said} == {
                    (sender.pid, person.pid)
                }

            rolls = person.heard("roll")
            assert Counter(line["from"] for line in rolls) == Counter(
                sender.id for sender in members
            )
            dice_workers = {line["worked"] for line in rolls}
            assert len(dice_workers) == 1
            assert not dice_workers & web_workers
            for line in rolls:
                assert re.fullmatch(r"rolled 2d6: [1-6] \+ [1-6] = \d+", line["text"])

            (announcement,) = person.heard("announce")
            assert announcement["text"] == "The end"
            assert announcement["took"] not in web_workers | dice_workers


async def test_everybody_learns_who_is_where(site, enter):
    people = [await enter(site, ROOMS[n % 4], f"guest {n}") for n in range(12)]

    def everyone(people: list[Person]) -> set[tuple[int, str, str, str]]:
        return {(p.pid, p.id, p.nick, p.room) for p in people}

    def known(person: Person) -> set[tuple[int, str, str, str]]:
        return {
            (pid, member["id"], member["nick"], member["room"])
            for pid, members in person.rosters.items()
            for member in members
        }

    for person in people:
        await person.until(lambda p=person: known(p) == everyone(people))

    staying, leaving = people[:5], people[5:]
    await everybody(*(person.leave() for person in leaving))
    for person in staying:
        await person.until(lambda p=person: known(p) == everyone(staying))


async def test_a_room_hears_who_comes_and_goes_and_others_hear_nothing(site, enter):
    ada = await enter(site, "library", "Ada")
    eve = await enter(site, "cellar", "Eve")
    bob = await enter(site, "library", "Bob")
    await ada.until(lambda: ada.heard("join", bob.id))
    await bob.say("Good evening, Ada")
    await ada.until(lambda: ada.heard("say", bob.id))
    await bob.leave()
    await ada.until(lambda: ada.heard("leave", bob.id))

    await eve.say("Nobody here?")
    await eve.until(lambda: eve.heard("say"))
    assert {line["from"] for line in eve.lines} == {eve.id}


async def test_the_dice_worker_tells_only_the_asker_that_it_did_not_understand(site, enter):
    ada = await enter(site, "casino", "Ada")
    bob = await enter(site, "casino", "Bob")
    for dice in ["two sixes", "0d6", "21d6", "1d1", "1d1001"]:
        await ada.say(f"/roll {dice}")
    await ada.until(lambda: len(ada.heard("error")) == 5)
    await ada.say("/roll d20+3")
    await bob.until(lambda: bob.heard("roll"))
    (roll,) = bob.heard("roll")
    number = re.fullmatch(r"rolled d20\+3: (\d+) \+ 3 = (\d+)", roll["text"])
    assert number
    assert int(number[2]) == int(number[1]) + 3
    assert roll["took"] == ada.pid
    assert bob.heard("error") == []


async def test_what_the_site_does_not_take_it_explains(site, enter):
    ada = await enter(site, "lobby", "Ada")
    await ada.say("x" * 2001)
    await ada.say("/dance")
    await ada.until(lambda: len(ada.heard("error")) == 2)
    assert "2000 characters" in ada.heard("error")[0]["text"]
    assert "/roll" in ada.heard("error")[1]["text"]
    assert ada.heard("say") == []

    nobody = await enter(site, "lobby", " \t")
    assert "nickname" in nobody.refused
    assert await nobody.lost() == 4400

    done = await asyncio.to_thread(site.manage, "announce", "No Such Room!", "Hello")
    assert done.returncode == 1
    assert "not the name of a room" in done.stderr


async def test_text_of_every_script_arrives_as_it_was_sent(site, enter):
    ada = await enter(site, "babel", "Adélaïde 阿达")
    text = "Grüße · привет · 你好 · 👩🏽‍🚀 · <b>not bold</b> · \u2028 · \x00"
    await ada.say(text)
    await ada.until(lambda: ada.heard("say"))
    assert ada.heard("say")[0]["text"] == text
    assert ada.heard("say")[0]["nick"] == ada.nick
