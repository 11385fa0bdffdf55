"""The README's settings and figures. Its table of options: tests/unit/test_readme.py."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import asgi_shm
from asgi_shm import ShmChannelLayer
from asgi_shm._ashm import lib
from tests.support import SHM, leftovers, run_alone

README = (Path(__file__).parent.parent.parent / "README.md").read_text()

IN_DJANGO = """
import asyncio
from django.conf import settings

settings.configure(CHANNEL_LAYERS=CHANNEL_LAYERS)
from channels.layers import get_channel_layer

async def main():
    layer = get_channel_layer()
    await layer.send("channel", {"type": "test"})
    print(type(layer).__name__, layer.config.prefix, await layer.receive("channel"))
    await layer.close()

asyncio.run(main())
"""


def test_the_settings_work(prefix):
    (code,) = re.findall(r"```python\n(# settings\.py\n.*?)```", README, re.DOTALL)
    code = code.replace("mysite", prefix)  # not that of a site on this machine
    done = subprocess.run(
        [sys.executable, "-c", code + IN_DJANGO],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.stderr == ""
    assert done.stdout == f"ShmChannelLayer {prefix} {{'type': 'test'}}\n"


def test_a_bad_option_is_told_as_shown():
    with pytest.raises(asgi_shm.ConfigError) as error:
        ShmChannelLayer(capacity=0)

    assert f"`{error.value}`" in README


@pytest.mark.parametrize(
    ("constant", "text"),
    [
        ("ASHM_SLOTS", "{} layers attached"),
        ("ASHM_NAME_MAX", "names of {} characters"),
        ("ASHM_CAPACITY_MAX", "capacity of {}"),
    ],
)
def test_limits_are_those_of_the_code(constant, text):
    # As in the README, where a line may end anywhere.
    assert text.format(f"{getattr(lib, constant):,}") in " ".join(README.split())


# -- sizes ------------------------------------------------------------------------------

# Memory is counted in pages, and a few of them are begun and not full.
PIECES = 10_000
EXACTLY = 5 * 4096 / PIECES


@pytest.fixture
def attachment(prefix):
    layer = ShmChannelLayer(prefix=prefix, capacity=PIECES)
    run_alone(layer.new_channel())
    yield layer._attachment
    run_alone(layer.close())


def bytes_each(attachment, section, make):
    """What one of PIECES takes of a section."""
    before = getattr(attachment.info(), section)
    for number in range(PIECES):
        make(number)
    used = getattr(attachment.info(), section) - before
    return used / PIECES


def own_names(attachment, length):
    """Names of channels in one mailbox, this process's; all of one length."""
    prefix = attachment.new_channel("c", "")
    return lambda number: prefix + f"{number:x}".rjust(length - len(prefix), "x")


def send(attachment, name, size=0):
    attachment.send(name, bytes(size), 60 * 10**9, PIECES)


def test_what_is_there_at_first(attachment, prefix):
    files = [SHM / name for name in leftovers(prefix)]

    assert sum(file.stat().st_blocks * 512 for file in files) == pytest.approx(
        168_000, abs=5000
    )


@pytest.mark.parametrize(
    "size", [0, 36, 37, 52, 53, 116, 244, 500, 1000, 1012, 2036, 2037, 4084, 4085]
)
def test_the_size_of_messages(attachment, size):
    blocks = [48, *(2**exponent for exponent in range(6, 12))]
    whole_pages = -(-(size + 12) // 4096) * 4096
    expected = next((block for block in blocks if block >= size + 12), whole_pages)
    found = bytes_each(attachment, "message_used", lambda _: send(attachment, "channel", size))

    assert found == pytest.approx(expected, abs=EXACTLY)


@pytest.mark.parametrize(("length", "expected"), [(24, 132), (40, 132), (41, 260), (127, 260)])
def test_the_size_of_channels(attachment, length, expected):
    name = own_names(attachment, length)
    found = bytes_each(attachment, "group_used", lambda number: send(attachment, name(number)))

    assert found == pytest.approx(expected, abs=EXACTLY)


@pytest.mark.parametrize(
    ("length", "expected"), [(20, 52), (21, 68), (36, 68), (37, 132), (100, 132), (101, 260)]
)
def test_the_size_of_groups_and_memberships(attachment, length, expected):
    channel = own_names(attachment, 30)(0)
    found = bytes_each(
        attachment,
        "group_used",
        lambda number: attachment.group_add(
            f"{number:x}".rjust(length, "x"), channel, lib.ASHM_NEVER, 1
        ),
    )

    assert found == pytest.approx(expected + 52, abs=EXACTLY)


def test_the_size_of_waiting(attachment):
    name = own_names(attachment, 40)
    found = bytes_each(
        attachment,
        "group_used",
        lambda number: attachment.take_or_await(name(number), number),
    )

    assert found == pytest.approx(132 + 68, abs=EXACTLY)


@pytest.mark.parametrize(
    ("messages", "expected"), [(2, 0), (3, 64), (5, 128), (129, 4096), (257, 12288)]
)
def test_the_size_of_queues(attachment, messages, expected):
    name = own_names(attachment, 40)
    channels = 300
    for number in range(channels):
        send(attachment, name(number))
    alone = attachment.info().group_used
    for number in range(channels):
        for _ in range(messages - 1):
            send(attachment, name(number))
    found = (attachment.info().group_used - alone) / channels

    # A queue that has grown leaves a page of each smaller size, of which the next uses a part.
    assert found == pytest.approx(expected, abs=6 * 4096 / channels)
