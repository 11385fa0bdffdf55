"""The page in a real browser: two tabs talk."""

from __future__ import annotations

import os
import shutil
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect, sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, BrowserContext, Page

    from tests.example.site import Site

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no chromium on this machine (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def window(browser: Browser, site: Site) -> Iterator[BrowserContext]:
    """A browser window, which asks our site alone and has no script errors."""
    context = browser.new_context()
    hosts, errors = set(), []
    context.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
    context.on("weberror", lambda error: errors.append(str(error.error)))
    yield context
    context.close()
    assert hosts == {urlsplit(site.url).netloc}
    assert errors == []


@pytest.fixture
def context(browser: Browser, site: Site) -> Iterator[BrowserContext]:
    with window(browser, site) as context:
        complaints = []
        context.on("console", lambda said: complaints.append(said.text))
        yield context
        assert complaints == []


def come_in(context: BrowserContext, url: str, nick: str) -> Page:
    """Open a tab, and enter under a name, by keyboard alone."""
    page = context.new_page()
    page.goto(url)
    expect(page.get_by_label("Nickname")).to_be_focused()
    page.keyboard.type(nick)  # The suggestion is selected: typing replaces it.
    page.keyboard.press("Enter")
    expect(page.get_by_label("Message", exact=True)).to_be_focused()
    return page


def process_of(page: Page) -> int:
    """The number of the web worker that a tab is connected to."""
    status = page.get_by_role("status")
    expect(status).to_contain_text("Connected to process")
    return int(status.inner_text().split()[-1])


def test_two_tabs_talk(context, site):
    ada = come_in(context, site.url, "Ada")
    bob = come_in(context, site.url, "Bob")
    assert urlsplit(ada.url).path == "/room/lobby/"

    bob.keyboard.type("Hello, <i>Ada</i>")
    bob.keyboard.press("Enter")
    line = ada.get_by_role("log").get_by_role("listitem").filter(has_text="Hello, <i>Ada</i>")
    expect(line).to_contain_text("Bob")
    expect(line).to_contain_text(f"taken by {process_of(bob)} → delivered by {process_of(ada)}")

    ada.keyboard.type("/roll 2d6")
    ada.keyboard.press("Enter")
    for tab in (ada, bob):
        roll = tab.get_by_role("log").get_by_role("listitem").filter(has_text="rolled 2d6")
        expect(roll).to_have_count(1)

    where = ada.get_by_role("complementary", name="Who is where")
    expect(where.get_by_text("Bob")).to_have_count(1)
    bob.close()
    expect(where.get_by_text("Bob")).to_have_count(0)


def test_another_room_is_another_conversation(context, site):
    ada = come_in(context, site.url, "Ada")
    ada.get_by_label("Room", exact=True).fill("The Kitchen!")
    ada.get_by_role("button", name="Go").click()
    expect(ada.get_by_role("heading", level=1)).to_have_text("#the-kitchen")
    expect(ada.get_by_role("status")).to_contain_text("Connected to process")  # as Ada, unasked
    done = site.manage("announce", "the-kitchen", "Dinner is ready")
    assert done.returncode == 0, done.stderr
    expect(ada.get_by_role("log").get_by_text("Dinner is ready")).to_be_visible()


def test_a_tab_comes_back_when_its_process_is_killed(browser: Browser, own_site: Site):
    with window(browser, own_site) as context:
        ada = come_in(context, own_site.url, "Ada")
        killed = process_of(ada)
        os.kill(killed, signal.SIGKILL)
        expect(ada.get_by_role("log").get_by_text("Back again")).to_be_visible()
        assert process_of(ada) != killed
        ada.get_by_label("Message", exact=True).fill("What happened?")
        ada.keyboard.press("Enter")
        expect(ada.get_by_role("log").get_by_text("What happened?")).to_be_visible()
