"""The tool, and segments for it to look at."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from asgi_shm import ShmChannelLayer, unlink
from asgi_shm.cli.main import main
from tests.multiprocess.peer import Peer
from tests.support import TIMEOUT, run_alone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Done(NamedTuple):
    """How a run of the tool ended, and what it wrote."""

    code: int
    out: str
    err: str


@pytest.fixture
def tool(capfd: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Runs the tool in the test's process."""

    def run(*arguments: str) -> Done:
        capfd.readouterr()
        try:
            code = main(arguments)
        except SystemExit as end:  # argparse's own
            code = int(end.code or 0)
        return Done(code, *capfd.readouterr())

    return run


def shell(*arguments: str, stdin: str = "", **options: Any) -> Done:
    """Run the tool as a command, as a shell does."""
    done = subprocess.run(
        [sys.executable, "-m", "asgi_shm", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=4 * TIMEOUT,
        check=False,
        **options,
    )
    return Done(done.returncode, done.stdout, done.stderr)


# What is installed may lie where the user may not go: they become one when all is imported.
AS_USER = """
import email.parser, os, sys
import asgi_shm.cli.main as tool
tool.parser().format_help()
tool.doctor._versions()
user = int(sys.argv[1])
os.setgroups([])
os.setgid(user)
os.setuid(user)
sys.exit(tool.main(sys.argv[2:]))
"""


def shell_as(user: int, *arguments: str) -> Done:
    """Run the tool as a command of another user."""
    done = subprocess.run(
        [sys.executable, "-c", AS_USER, str(user), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=4 * TIMEOUT,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def layer(prefix: str) -> Iterator[ShmChannelLayer]:
    """A layer of the test's process."""
    layer = ShmChannelLayer(prefix=prefix, mode=0o644)
    yield layer
    run_alone(layer.close())


@pytest.fixture
def peer(prefix: str) -> Iterator[Peer]:
    """Another process."""
    peer = Peer(prefix, mode=0o644)
    yield peer
    peer.close()


@pytest.fixture
def site(layer: ShmChannelLayer) -> str:
    """A channel of the layer, in a group, with a message unread; another stands in "work"."""
    channel = run_alone(layer.new_channel())
    run_alone(layer.group_add("room", channel))
    run_alone(layer.group_add("hall", channel))
    run_alone(layer.send(channel, {"type": "unread"}))
    run_alone(layer.send("work", {"type": "job", "number": 1, "body": b"\x00x"}))
    run_alone(layer.send("work", {"type": "job", "number": 2}))
    return channel


@pytest.fixture
def make_other() -> Iterator[Callable[[str], str]]:
    """Makes segments of other prefixes, which the test's process uses, too."""
    layers = []

    def make(prefix: str) -> str:
        layers.append(ShmChannelLayer(prefix=prefix))
        run_alone(layers[-1].new_channel())
        return prefix

    yield make
    for layer in layers:
        run_alone(layer.close())
        unlink(layer.config.prefix)
