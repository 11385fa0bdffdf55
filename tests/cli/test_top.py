"""status and top: figures, rates, keys, the screen of a real terminal, plain lines."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
from dataclasses import replace

import pytest

from asgi_shm.cli import snapshot, status
from asgi_shm.cli.snapshot import Rates
from asgi_shm.cli.view import ORDERS, View
from asgi_shm.inspect import COUNTERS, Observer
from tests.cli.conftest import shell, shell_as
from tests.multiprocess.test_users import STRANGER, needs_root
from tests.support import TIMEOUT, fill, run_alone


def look(prefix):
    with Observer(prefix) as observer:
        return snapshot.take(observer, 10)


# -- status -----------------------------------------------------------------------------


def test_status(tool, prefix, layer, site):
    done = tool("status", "--interval", "0", "--prefix", prefix)
    text = " ".join(done.out.split())

    assert (done.code, done.err) == (0, "")
    assert f"prefix {prefix} processes 1 messages 3 unread;" in text
    assert "dropped 0 full, 0 expired, 0 gone, 0 unsent" in text
    assert "channels 2; 2 members in 2 groups" in text
    assert "of 105 MB" in text
    assert re.search(rf" 0 {os.getpid()} ", text)
    assert re.search(r"2 100 \d+ ms work", text)
    assert re.search(r"1 hall", text)


def test_status_for_programs(tool, prefix, site):
    report = json.loads(tool("status", "--json", "--interval", "0", "--prefix", prefix).out)

    assert report["prefix"] == prefix
    assert report["totals"]["pending"] == 3
    assert report["totals"]["counters"].keys() == {counter.name for counter in COUNTERS}
    assert report["rates"].keys() == report["counters"].keys()
    assert [channel["name"] for channel in report["channels"]] == ["work", site]
    assert report["processes"][0]["pid"] == os.getpid()


@needs_root
def test_status_for_who_may_only_read(prefix, site):
    assert shell_as(STRANGER, "status", "--interval", "0", "--prefix", prefix).code == 0


def test_rates(prefix, layer, site):
    before = replace(look(prefix), at=10.0)
    assert run_alone(fill(layer, "busy")) == 100
    for _ in range(50):
        run_alone(layer.receive("busy"))
    run_alone(layer.group_send("room", {}))
    rates = Rates.between(before, replace(look(prefix), at=12.0))

    assert rates.sent == {0: 101 / 2}
    assert rates.received == {0: 50 / 2}
    assert rates.counters["received"] == 50 / 2
    assert rates.counters["full"] == rates.drops == 1 / 2


def test_another_process_in_a_slot_has_no_rate_yet(prefix, layer, site):
    before = look(prefix)
    (process,) = before.processes
    after = replace(
        before, processes=[replace(process, pid=1, counters=process.counters | {"sends": 99})]
    )

    assert Rates.between(before, after).sent == {0: 0.0}


def test_plain_lines(prefix, site):
    done = shell("top", "--count", "2", "--interval", "0.01", "--prefix", prefix)
    heads, first, second = done.out.splitlines()

    assert (done.code, done.err) == (0, "")
    assert heads == status.HEADS
    for line in (first, second):
        assert re.fullmatch(r"\d\d:\d\d:\d\d +1 +0 +3 +\d+ m?s +2 +0% +0 +0", line)


# -- keys -------------------------------------------------------------------------------


def press(view, keys):
    for key in keys:
        view.press(key)
    return view


def test_quit_and_pause():
    assert press(View(), "p").paused
    assert not press(View(), "pp").paused
    assert press(View(), "q").over
    assert press(View(), "\x03").over


def test_order():
    view = View()
    seen = [press(view, "s").order for _ in ORDERS]

    assert seen == [*list(ORDERS)[1:], "slot"]
    assert press(View(), "r").reverse


def test_filter():
    view = press(View(), "/quux\x7f")
    assert (view.editing, view.filter, view.over) == (True, "quu", False)
    assert press(view, "\r").editing is False
    assert press(view, "\x1b").filter == ""
    assert press(View(), "/a\x1b") == View()


def test_interval():
    assert press(View(), "+").interval == 0.5
    assert press(View(), "-").interval == 2.0
    assert press(View(), "+" * 9).interval == 0.2
    assert press(View(), "-" * 9).interval == 10.0


def test_what_a_view_shows(prefix, layer, site, peer):
    peer.call("send", "other", {})
    now = look(prefix)
    rates = Rates({}, {0: 1.0, 1: 2.0}, {0: 2.0, 1: 1.0})

    def slots(**view):
        return [process.slot for process in View(**view).processes(now, rates)]

    assert slots() == [0, 1]
    assert slots(reverse=True) == [1, 0]
    assert slots(order="in/s") == [1, 0]
    assert slots(order="out/s") == [0, 1]
    assert slots(filter=str(peer.pid)) == [1]
    assert slots(filter="no such") == []
    assert [one.name for one in View(filter="oth").channels(now)] == ["other"]
    assert [one.name for one in View(filter="ha").groups(now)] == ["hall"]


# -- the screen -------------------------------------------------------------------------


class Terminal:
    """The tool on a terminal of its own, and what one sees there."""

    def __init__(self, *arguments):
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.before = termios.tcgetattr(theirs)
        self._theirs = theirs
        self.process = subprocess.Popen(
            [sys.executable, "-m", "asgi_shm", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "40"},
        )
        self.seen = ""

    def until(self, text):
        """Read until this is seen; forget what came up to it."""
        while text not in self.seen:
            assert select.select([self._ours], [], [], TIMEOUT)[0], self.seen
            self.seen += os.read(self._ours, 65536).decode(errors="replace")
        before, _, self.seen = self.seen.partition(text)
        return before

    def type(self, keys):
        os.write(self._ours, keys.encode())

    def after(self):
        return termios.tcgetattr(self._theirs)

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self._ours)
        os.close(self._theirs)


@pytest.fixture
def terminal(prefix, site):
    terminal = Terminal("top", "--interval", "0.2", "--prefix", prefix)
    yield terminal
    terminal.close()


def test_the_screen_and_its_keys(terminal, prefix):
    screen = terminal.until("q quit")

    for text in (prefix, "3 unread", "Processes", str(os.getpid()), "Fullest channels", "work"):
        assert text in screen
    terminal.type("p")
    terminal.until("paused")
    terminal.type("ps")
    terminal.until("in/s ▼")
    terminal.type("/hal\r")
    terminal.until("filter: hal")
    terminal.type("\x1b")
    terminal.until("q quit")
    terminal.type("q")
    terminal.until("\x1b[?1049l")  # the screen from before is back
    assert terminal.process.wait(TIMEOUT) == 0
    assert terminal.after() == terminal.before


def test_what_goes_on_is_seen(terminal, layer):
    terminal.until("3 unread")
    run_alone(layer.send("work", {}))
    terminal.until("4 unread")


def test_the_segment_is_made_anew(terminal, prefix, layer):
    terminal.until("3 unread")
    assert shell("unlink", "--prefix", prefix, "--yes", "--force").code == 0
    terminal.until("the segment was removed")
    assert terminal.process.wait(TIMEOUT) == 3


def test_without_rich_it_says_what_to_install(prefix, site):
    hide = "import sys; sys.modules['rich'] = None; from asgi_shm.cli import main, top; "
    always = "top.sys.stdout.isatty = top.sys.stdin.isatty = lambda: True; "
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"{hide}{always}sys.exit(main.main(['top', '--prefix', '{prefix}']))",
        ],
        capture_output=True,
        text=True,
        timeout=4 * TIMEOUT,
        check=False,
    )

    assert done.returncode == 7
    assert "pip install 'asgi-shm[cli]'" in done.stderr
    assert "--plain" in done.stderr


def test_a_picture(tool, prefix, site, tmp_path):
    file = tmp_path / "top.svg"
    assert tool("top", "--svg", str(file), "--interval", "0.01", "--prefix", prefix).code == 0
    text = re.sub(r"<[^>]*>", " ", file.read_text()).replace("&#160;", " ")

    assert file.read_text().startswith("<svg")
    assert "Fullest channels" in text
    assert prefix in text
