"""A running site: one for the tests that leave it as it was, and fresh ones for the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.example.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """The site that tests share; none may harm it."""
    site = Site()
    try:
        yield site
        code, said = site.stop()
        assert code == 0, said
        assert site.remains() == (set(), [])
    finally:
        site.clear_away()


@pytest.fixture
def own_site() -> Iterator[Site]:
    """A site for one test, which may do with it what it likes."""
    site = Site()
    try:
        yield site
    finally:
        site.clear_away()
