"""A running site: one for the tests that leave it as it was, and fresh ones for the others."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.example.site import Person, Site

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.example.site import Enter


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """The site that tests share; none may harm it."""
    site = Site()
    try:
        yield site
        assert site.stop() == 0
        assert site.remains() == (set(), [])
    finally:
        site.clear_away()


@pytest.fixture
def own_site() -> Iterator[Site]:
    """A site for one test, which may do with it what it likes."""
    site = Site()
    try:
        yield site
        if site.process.poll() is None:
            assert site.stop() == 0
        assert site.remains() == (set(), [])
    finally:
        site.clear_away()


@pytest.fixture
async def enter() -> AsyncIterator[Enter]:
    """Connects people to a site, and disconnects them after the test."""
    people: list[Person] = []

    async def enter(site: Site, room: str, nick: str) -> Person:
        people.append(await Person.connect(site, room, nick))
        await people[-1].until(people[-1].answered)
        return people[-1]

    yield enter
    await asyncio.gather(*(person.leave() for person in people))
