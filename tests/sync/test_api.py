"""sync.py: what asgi_ipc's users rely on, and what has come since."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import OrderedDict

import pytest

import asgi_shm
from asgi_shm import ChannelFull, ConfigError, InvalidName, LayerClosed, NotOwner, errors
from tests.support import TIMEOUT

# asgi_ipc's README, but for the import and the prefix.
EXAMPLE = """
import asgi_shm as asgi

channel_layer = asgi.IPCChannelLayer(
    prefix={prefix!r},
    message_memory=200 * 1024 * 1024,
)

"""
SEND = 'channel_layer.send("my_channel", {"text": "Hello ASGI"})\n'
RECEIVE = 'print(channel_layer.receive(["my_channel", ]))\n'


def run(code, prefix):
    return subprocess.run(
        [sys.executable, "-c", EXAMPLE.format(prefix=prefix) + code],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=True,
    ).stdout


def test_the_example_of_asgi_ipc_in_one_process(prefix):
    assert run(SEND + RECEIVE, prefix) == "('my_channel', {'text': 'Hello ASGI'})\n"


def test_the_example_of_asgi_ipc_between_two(prefix):
    assert run(SEND, prefix) == ""
    assert run(RECEIVE, prefix) == "('my_channel', {'text': 'Hello ASGI'})\n"


def test_nothing_is_there(layer):
    assert layer.receive(["a", "b"]) == (None, None)
    assert layer.receive([]) == (None, None)
    assert layer.receive(["a"], block=True, timeout=0) == (None, None)
    assert layer.receive(["a"], block=True, timeout=0.001) == (None, None)


def test_messages_come_in_order(layer):
    for number in range(3):
        layer.send("channel", {"number": number})

    assert [layer.receive(["channel"])[1]["number"] for _ in range(3)] == [0, 1, 2]


def test_a_busy_channel_does_not_starve_a_quiet_one(layer):
    for number in range(50):
        layer.send("busy", {"number": number})
    layer.send("quiet", {})
    order = [layer.receive(["busy", "quiet"])[0] for _ in range(51)]

    assert order.index("quiet") <= 1


def test_a_receive_takes_from_every_channel_of_a_prefix(layer):
    layer.send("x!b", {"number": 1})
    layer.send("x!a", {"number": 2})

    assert layer.receive(["y!", "x!"]) == ("x!b", {"number": 1})
    assert layer.receive(["x!"]) == ("x!a", {"number": 2})
    assert layer.receive(["x!"]) == (None, None)


def test_a_large_message(layer):
    layer.send("x!a", {"body": b"x" * 1_000_000})

    assert layer.receive(["x!"]) == ("x!a", {"body": b"x" * 1_000_000})


@pytest.mark.parametrize("pattern", ["http.response!", "x?"])
def test_a_new_channel_after_a_pattern(make_layer, pattern):
    one, other = make_layer(), make_layer()
    name = one.new_channel(pattern)

    assert re.fullmatch(re.escape(pattern) + "[A-Za-z]{12}", name)
    assert one.new_channel(pattern) != name
    other.send(name, {"text": "hello"})
    assert other.receive([name]) == (name, {"text": "hello"})


def test_a_new_channel_of_this_process(make_layer):
    one, other = make_layer(), make_layer()
    name = one.new_channel()

    assert name.startswith("specific.")
    other.send(name, {})
    with pytest.raises(NotOwner):
        other.receive([name])
    assert one.receive([name.partition("!")[0] + "!"]) == (name, {})
    for pattern in ("a b!", "!", "a!b!", "a b", 5):
        with pytest.raises(InvalidName):
            one.new_channel(pattern)


def test_what_is_no_list_of_names(layer):
    with pytest.raises(InvalidName, match="a list of channel names"):
        layer.receive("channel")
    with pytest.raises(InvalidName, match="not allowed"):
        layer.receive(["a b"])
    with pytest.raises(InvalidName):
        layer.receive([1])
    with pytest.raises(ValueError, match="block=True"):
        layer.receive(["a"], timeout=1)


def test_a_full_channel(layer):
    for _ in range(100):
        layer.send("channel", {})
    with pytest.raises(ChannelFull):
        layer.send("channel", {})
    with pytest.raises(layer.ChannelFull):
        layer.send("channel", {})

    assert layer.channel_size("channel") == 100


def test_capacities(make_layer):
    layer = make_layer(
        capacity=3,
        channel_capacity=OrderedDict(
            [("http.*", 1), (re.compile(r"^websocket.send\!.+"), 2), ("websocket.*", 4)]
        ),
    )
    for name, capacity in [
        ("http.request", 1),
        ("websocket.send!x", 2),
        ("websocket.close", 4),
        ("other", 3),
    ]:
        for _ in range(capacity):
            layer.send(name, {})
        with pytest.raises(ChannelFull):
            layer.send(name, {})


def test_expiry(make_layer, clock):
    layer = make_layer(expiry=60)
    layer.send("channel", {"number": 1})
    layer.send("channel", {"number": 2}, expiry=10)
    layer.send("channel", {"number": 3}, expiry=100)
    clock.advance(61)

    assert layer.receive(["channel"]) == ("channel", {"number": 3})
    for expiry in (0, -1, "1", float("inf")):
        with pytest.raises(errors.ConfigError, match="expiry"):
            layer.send("channel", {}, expiry=expiry)


def test_groups(make_layer):
    layer, other = make_layer(), make_layer()
    own = other.new_channel()
    layer.group_add("group", "a")
    layer.group_add("group", own)
    layer.group_add("group", "a")

    assert sorted(layer.group_channels("group")) == sorted(["a", own])
    assert layer.group_count("group") == 2
    layer.send_group("group", {"number": 1})
    layer.group_send("group", {"number": 2})
    assert [layer.receive(["a"])[1]["number"] for _ in range(2)] == [1, 2]
    assert other.receive([own]) == (own, {"number": 1})
    layer.group_discard("group", "a")
    assert other.group_channels("group") == [own]
    other.close()
    assert layer.group_channels("group") == []
    assert layer.group_count("nobody") == 0


def test_a_group_message_with_a_report_and_without_some(make_layer):
    layer = make_layer(capacity=1)
    for channel in ("a", "b", "c"):
        layer.group_add("group", channel)
    layer.send("b", {})

    assert layer.group_send("group", {}, exclude=["c"], report=True) == (1, 1)
    assert layer.send_group("group", {}) is None
    assert layer.receive(["c"]) == ("c", {})
    assert layer.receive(["c"]) == (None, None)


def test_many_channels_are_in_a_group(layer):
    names = {f"x!{number:04}{'x' * 100}" for number in range(2000)}
    for name in names:
        layer.group_add("group", name)

    assert set(layer.group_channels("group")) == names
    assert layer.group_count("group") == 2000


def test_a_channel_leaves_every_group(layer):
    for group in ("one", "two", "three"):
        layer.group_add(group, "channel")
        layer.group_add(group, "other")
    layer.discard_all("channel")

    assert [layer.group_channels(group) for group in ("one", "two", "three")] == [["other"]] * 3


def test_statistics(make_layer, clock):
    layer = make_layer(capacity=2)
    for number in range(2):
        layer.send("channel", {"number": number})
        clock.advance(10)
    with pytest.raises(ChannelFull):
        layer.send("channel", {})
    found = layer.channel_statistics("channel")

    assert found.pop("messages_max_age") == pytest.approx(20, abs=0.1)
    assert found == {"messages_count": 2, "messages_pending": 2, "channel_full_count": 1}
    assert layer.global_statistics() == found
    assert layer.channel_statistics("other") == {
        "messages_count": 0,
        "messages_pending": 0,
        "messages_max_age": 0.0,
        "channel_full_count": 0,
    }
    assert set(layer.extensions) == {"groups", "flush", "statistics"}


def test_flush(layer):
    layer.send("channel", {})
    layer.group_add("group", "channel")
    layer.flush()

    assert layer.receive(["channel"]) == (None, None)
    assert layer.group_channels("group") == []


def test_close(make_layer, prefix):
    with make_layer() as layer:
        layer.send("channel", {})
    layer.close()

    for call in (
        lambda: layer.send("channel", {}),
        lambda: layer.receive(["channel"]),
        lambda: layer.receive(["channel"], block=True),
        lambda: layer.group_channels("group"),
        layer.flush,
    ):
        with pytest.raises(LayerClosed):
            call()
    with asgi_shm.SyncShmChannelLayer(prefix=prefix) as another:
        assert another.receive(["channel"]) == ("channel", {})


def test_a_layer_is_known_by_its_prefix(make_layer, prefix):
    assert repr(make_layer()) == f"SyncShmChannelLayer(prefix={prefix!r})"


@pytest.mark.parametrize("timeout", [float("nan"), "5"])
def test_what_is_no_time_to_wait_is_refused(make_layer, timeout):
    layer = make_layer()
    with pytest.raises(ConfigError, match="timeout"):
        layer.send("channel", {"type": "test"}, timeout=timeout)
    with pytest.raises(ConfigError, match="timeout"):
        layer.receive(["channel"], block=True, timeout=timeout)
    assert layer.receive(["channel"]) == (None, None)
