"""size and completion: what needs no segment."""

from __future__ import annotations

import ast
import os
import re
import subprocess

import pytest

from asgi_shm import ShmChannelLayer
from asgi_shm._ashm import lib
from asgi_shm.cli import sizing
from asgi_shm.cli.main import COMMANDS
from tests.support import run_alone

MIB = 1024 * 1024


def entries(done):
    assert done.code == 0, done
    *config, last = done.out.splitlines()
    return ast.literal_eval("{" + "\n".join(config) + "\n}"), last


def test_a_small_site_needs_less_than_the_defaults(tool):
    config, last = entries(tool("size"))

    assert config == {"message_memory": 10 * MIB, "group_memory": 2 * MIB}
    assert last == "# /dev/shm: 12.6 MB at most"
    assert tool("size").out.count("is enough") == 2


def test_a_large_site(tool):
    config, _ = entries(
        tool("size", "--sockets", "200000", "--groups-each", "3", "--messages", "1000000")
    )

    assert config["message_memory"] > 900 * MIB
    assert config["group_memory"] > 150 * MIB


def test_more_than_there_can_be(tool):
    assert tool("size", "--messages", "1000000000", "--message-size", "9999").code == 5


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, 48),
        (36, 48),
        (37, 64),
        (52, 64),
        (53, 128),
        (2036, 2048),
        (2037, 4096),
        (4085, 8192),
    ],
)
def test_a_message_takes_a_block_or_pages(size, expected):
    assert sizing.message_memory(3, size) == 3 * expected


def test_a_group_has_a_record_in_each_process():
    assert sizing.group_memory(0, 0, 10, 2) == 10 * 68 * 2 + 2 * sizing.PROCESS


def test_it_is_what_a_segment_takes(prefix):
    layer = ShmChannelLayer(prefix=prefix, capacity=10)
    attachment = layer._attachment
    base = attachment.new_channel("c", "")
    before = attachment.info()
    for number in range(2000):
        name = f"{base}{number}"
        attachment.take_or_await(name, number)
        for group in range(3):
            attachment.group_add(f"group-{number % 50}-{group}", name, lib.ASHM_NEVER, 10)
        attachment.send(name, bytes(300), 10**11, 10)
    after = attachment.info()
    run_alone(layer.close())

    expected = sizing.group_memory(2000, 3, 150, 1) - sizing.PROCESS
    assert after.group_used - before.group_used == pytest.approx(expected, rel=0.1)
    assert after.message_used - before.message_used == pytest.approx(
        sizing.message_memory(2000, 300), rel=0.05
    )


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_knows_every_command(tool, shell):
    done = tool("completion", shell)

    assert done.code == 0
    for command in COMMANDS:
        assert re.search(rf"\b{command.name}\b", done.out)


def test_completion_in_bash(tool, tmp_path):
    file = tmp_path / "completion"
    file.write_text(tool("completion", "bash").out)
    script = (
        f"source {file}; COMP_WORDS=(asgi-shm gr); COMP_CWORD=1; _shtab_asgi_shm; "
        'echo "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=True, env=os.environ
    )

    assert done.stdout.split() == ["groups", "group-send"]
