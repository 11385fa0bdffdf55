"""Django in the tests' own process, and programs beside it that always end."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import django
import pytest
from channels.layers import channel_layers
from django.conf import settings
from django.test import override_settings

from tests.support import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]

if not settings.configured:
    settings.configure(INSTALLED_APPS=["channels"], SECRET_KEY="for tests")
    django.setup()


@pytest.fixture
def channel_layer(prefix: str) -> Iterator[Any]:
    """The default layer of Channels, as settings make it."""
    layers = {"default": {"BACKEND": "asgi_shm.ShmChannelLayer", "CONFIG": {"prefix": prefix}}}
    with override_settings(CHANNEL_LAYERS=layers):
        layer = channel_layers["default"]
        yield layer
        layer._attachment.verify()


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class Program:
    """A program of the test project, with what it writes kept in a file."""

    def __init__(self, arguments: list[str], prefix: str, log: Path, **environ: str) -> None:
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                cwd=ROOT,
                env={
                    **os.environ,
                    "TEST_PREFIX": prefix,
                    "DJANGO_SETTINGS_MODULE": "tests.deploy.project.settings",
                    **environ,
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def stop(self) -> None:
        """End it as a supervisor does; it must go in time and without complaint."""
        assert self.process.poll() is None, f"ended by itself:\n{self.said()}"
        self.process.terminate()
        self.process.wait(TIMEOUT)
        assert "Traceback" not in self.said(), self.said()


@pytest.fixture
def start(prefix: str, tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Starts programs, and stops them after the test."""
    programs: list[Program] = []

    def start(*arguments: str, **environ: str) -> Program:
        log = tmp_path / f"{len(programs)}.log"
        programs.append(Program(list(arguments), prefix, log, **environ))
        return programs[-1]

    yield start
    with contextlib.ExitStack() as stack:
        for program in programs:
            stack.callback(program.process.kill)
            stack.callback(program.stop)
