"""The tool as a whole: help, exit codes, which segment is meant."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from asgi_shm import segment
from asgi_shm.cli import target
from asgi_shm.cli.command import EXITS, Exit
from asgi_shm.cli.main import COMMANDS, parser
from asgi_shm.segment import Found
from tests.cli.conftest import shell
from tests.support import SHM

NAMES = [command.name for command in COMMANDS]


def test_help_names_every_command_and_exit_code(tool):
    done = tool("--help")

    assert done.code == 0
    for command in COMMANDS:
        assert f"\n    {command.name} " in done.out
    for code in Exit:
        assert f"{code.value:3}  {EXITS[code]}" in done.out


@pytest.mark.parametrize("command", COMMANDS, ids=NAMES)
def test_help_of_a_command_has_examples(tool, command):
    done = tool(command.name, "--help")

    assert done.code == 0
    assert command.examples
    for example in command.examples:
        assert f"\n  {example}" in done.out


@pytest.mark.parametrize(
    "example", [example for command in COMMANDS for example in command.examples]
)
def test_every_example_is_understood(example):
    name, *arguments = shlex.split(re.split(" [<>]", example)[0])

    assert name == "asgi-shm"
    assert parser().parse_args(arguments).command == arguments[0]


def test_the_installed_script(prefix, layer, site):
    script = Path(sys.executable).parent / "asgi-shm"
    done = subprocess.run(
        [script, "ls", prefix], capture_output=True, text=True, check=True, timeout=120
    )

    assert prefix in done.stdout


def test_no_command(tool):
    assert tool().code == Exit.USAGE
    assert tool("no-such").code == Exit.USAGE


@pytest.mark.parametrize("command", ["channels", "verify", "reap", "processes"])
def test_there_is_no_segment(tool, prefix, command):
    done = tool(command, "--prefix", prefix)

    assert done.code == Exit.NO_SEGMENT
    assert "there is no segment of prefix" in done.err
    assert list(SHM.glob(f"*{prefix}*")) == []


def test_a_bad_prefix(tool):
    done = tool("channels", "--prefix", "a/b")

    assert done.code == Exit.USAGE
    assert "prefix='a/b' is not allowed" in done.err


def found(*prefixes):
    return [
        Found(prefix, segment.LAYOUT_VERSION, SHM, 0, 0, 0.0, "root", "root", 0o600)
        for prefix in prefixes
    ]


def test_without_a_prefix_it_is_the_only_segment(tool, monkeypatch, prefix, site):
    monkeypatch.setattr(target.segment, "find", lambda: found(prefix))
    done = tool("groups")

    assert done.code == 0
    assert "room" in done.out


def test_without_a_prefix_there_may_be_too_many(tool, monkeypatch):
    monkeypatch.setattr(target.segment, "find", lambda: found("one", "two"))
    done = tool("groups")

    assert done.code == Exit.USAGE
    assert "say which: --prefix one or two" in done.err


def test_without_a_prefix_there_may_be_none(tool, monkeypatch):
    monkeypatch.setattr(target.segment, "find", list)
    assert tool("groups").code == Exit.NO_SEGMENT


# -- the options of a site --------------------------------------------------------------

SETTINGS = "tests.deploy.project.settings"


def test_django(prefix, site):
    done = shell("groups", "--django", SETTINGS, env={**os.environ, "TEST_PREFIX": prefix})

    assert done.code == 0, done
    assert "room" in done.out


def test_what_acts_makes_no_segment(prefix):
    done = shell(
        "send", "work", "{}", "--django", SETTINGS, env={**os.environ, "TEST_PREFIX": prefix}
    )

    assert done.code == Exit.NO_SEGMENT
    assert list(SHM.glob(f"*{prefix}*")) == []


@pytest.fixture
def private_site(tmp_path):
    (tmp_path / "private_settings.py").write_text(
        "CHANNEL_LAYERS = {'default': {'BACKEND': 'asgi_shm.ShmChannelLayer',"
        " 'CONFIG': {'prefix': None}}}\n"
    )
    return {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(tmp_path)}}


@pytest.mark.parametrize("command", [["groups"], ["send", "work", "{}"], ["reap"], ["status"]])
def test_a_private_segment_is_out_of_reach(private_site, command):
    done = shell(*command, "--django", "private_settings", **private_site)

    assert done.code == Exit.NO_SEGMENT
    assert "each process has a private segment" in done.err


def test_doctor_of_a_private_segment(private_site):
    done = shell("doctor", "--json", "--django", "private_settings", **private_site)
    notes = [one for one in json.loads(done.out)["findings"] if one["about"] == "the site"]

    assert [one["level"] for one in notes] == ["note"]
    assert "prefix=None" in notes[0]["what"]


def test_django_without_such_settings(tool, prefix):
    done = shell("groups", "--django", "no.such.settings")

    assert done.code == Exit.USAGE
    assert "the Django settings cannot be read: No module named 'no'" in done.err


def test_django_with_another_alias(prefix):
    done = shell(
        "groups",
        "--django",
        SETTINGS,
        "--layer",
        "other",
        env={**os.environ, "TEST_PREFIX": prefix},
    )

    assert done.code == Exit.USAGE
    assert "has no layer 'other' of asgi_shm, but default" in done.err


def test_a_reader_that_has_had_enough(prefix, site):
    command = f"{sys.executable} -m asgi_shm channels --prefix {prefix} | true"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
