"""peek, send, group-send, receive."""

from __future__ import annotations

import asyncio
import json

import pytest

from asgi_shm import errors
from asgi_shm.inspect import Observer
from tests.cli.conftest import shell, shell_as
from tests.multiprocess.test_users import STRANGER, needs_root
from tests.support import fill, receive_nowait, run_alone


def take(layer, channel):
    return run_alone(layer.receive(channel))


def test_peek_takes_nothing(tool, prefix, layer, site):
    first, second = tool("peek", "work", "--prefix", prefix).out.splitlines()

    assert first.endswith(': {"type": "job", "number": 1, "body": {"$bytes": "AHg="}}')
    assert " old, " in first
    assert " B, expires in " in first
    assert second.endswith('{"type": "job", "number": 2}')
    assert take(layer, "work")["number"] == 1


def test_peek_for_programs(tool, prefix, site):
    done = tool("peek", "work", "--json", "--limit", "1", "--prefix", prefix)
    (row,) = map(json.loads, done.out.splitlines())

    assert row["message"] == {"type": "job", "number": 1, "body": {"$bytes": "AHg="}}
    assert row.keys() == {"size", "age", "expiry", "message"}
    assert "there are more" in done.err


def test_peek_of_nothing(tool, prefix, site):
    assert tool("peek", "nothing", "--prefix", prefix) == (0, "", "")


def test_send(tool, prefix, layer, site):
    message = '{"type": "x", "body": {"$bytes": "AHg="}, "n": [1, 2.5, null, true]}'
    assert tool("send", "new", message, "--prefix", prefix) == (0, "", "")

    assert take(layer, "new") == {"type": "x", "body": b"\x00x", "n": [1, 2.5, None, True]}


def test_send_lines(prefix, layer, site):
    done = shell("send", "new", "--prefix", prefix, stdin='{"n": 1}\n\n{"n": 2}\n')

    assert done == (0, "", "")
    assert [take(layer, "new")["n"] for _ in range(2)] == [1, 2]


@pytest.mark.parametrize("text", ["[1]", "{", '{"$bytes": "AHg="}', '"text"'])
def test_what_is_no_message_is_not_sent(tool, prefix, site, text):
    done = tool("send", "new", text, "--prefix", prefix)

    assert done.code == 2
    assert "the message is no JSON" in done.err or "a message is a JSON object" in done.err
    assert tool("peek", "new", "--prefix", prefix).out == ""


def test_a_channel_keeps_its_capacity(tool, prefix, layer, site):
    layer.get_capacity = lambda name: 3
    assert run_alone(fill(layer, "small")) == 3
    done = tool("send", "small", "{}", "--prefix", prefix)

    assert done.code == 5
    assert "it holds its capacity of 3" in done.err


def test_send_with_an_expiry(tool, prefix, site):
    tool("send", "new", "{}", "--prefix", prefix, "--expiry", "1000")
    row = json.loads(tool("peek", "new", "--json", "--prefix", prefix).out)

    assert 900 < row["expiry"] <= 1000


def test_group_send(tool, prefix, layer, site):
    done = tool("group-send", "room", '{"type": "hello"}', "--prefix", prefix)

    assert done == (0, "", "")
    assert [take(layer, site)["type"] for _ in range(2)] == ["unread", "hello"]


def test_a_group_that_nobody_is_in(tool, prefix, site):
    done = tool("group-send", "nobody", "{}", "--prefix", prefix)

    assert done.code == 0
    assert "'nobody' has no members" in done.err


def test_receive(tool, prefix, layer, site):
    done = tool("receive", "work", "--count", "2", "--prefix", prefix)

    assert done.code == 0
    assert [json.loads(line)["number"] for line in done.out.splitlines()] == [1, 2]
    assert run_alone(layer.send("work", {"type": "next"})) is None
    assert tool("receive", "work", "--timeout", "0", "--prefix", prefix).out != ""


async def test_receive_takes_no_more_than_asked(tool, layer, site):
    assert (await receive_nowait(layer, "work"))["number"] == 1


def test_receive_in_vain(tool, prefix, site):
    assert tool("receive", "empty", "--timeout", "0.01", "--prefix", prefix) == (6, "", "")


def test_receive_on_anothers_channel(tool, prefix, site):
    done = tool("receive", site, "--prefix", prefix)

    assert done.code == 5
    assert "was made by another process" in done.err


def test_receive_of_a_group(prefix, peer, site):
    """The peer speaks to the group until the tool, which has joined it, has heard it."""
    peer.begin(speak, "room")
    done = shell("receive", "--group", "room", "--timeout", "60", "--prefix", prefix)

    assert done == (0, '{"type": "spoken"}\n', "")
    assert peer.hear() == "heard"


async def speak(layer, say, group):
    with Observer(layer.config.prefix) as observer:
        while sum(g.members for g in observer.groups() if g.name == group) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    await layer.group_send(group, {"type": "spoken"})
    return "heard"


def test_receive_what(tool, prefix, site):
    assert tool("receive", "--prefix", prefix).code == 2
    assert tool("receive", "work", "--group", "room", "--prefix", prefix).code == 2


@needs_root
@pytest.mark.parametrize(
    "command", [["send", "work", "{}"], ["receive", "work"], ["group-send", "room", "{}"]]
)
def test_who_may_only_read_is_told_who_may(prefix, site, command):
    done = shell_as(STRANGER, *command, "--prefix", prefix)

    assert (done.code, done.out) == (4, "")
    assert "belongs to root" in done.err
    assert "sudo -u root" in done.err


@needs_root
def test_who_may_only_read_may_peek(prefix, site):
    assert shell_as(STRANGER, "peek", "work", "--prefix", prefix).code == 0


def test_a_bad_name(tool, prefix, site):
    done = tool("peek", "a b", "--prefix", prefix)

    assert done.code == 2
    assert errors.InvalidName.__name__ not in done.err
    assert "not allowed" in done.err
