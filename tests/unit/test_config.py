"""config.py: the options, their defaults, and what is said of wrong ones."""

from __future__ import annotations

import dataclasses
import grp
import math
import os
import re
from enum import IntEnum

import pytest

from asgi_shm.config import MEMORY_MAX, MIB, OPTIONS, SECONDS_MAX, Config
from asgi_shm.errors import ConfigError


def refused(**options):
    with pytest.raises(ConfigError) as error:
        Config.from_options(**options)
    (option,) = (name for name in options if name == error.value.option)
    assert error.value.value is options[option]
    assert option in str(error.value)
    return str(error.value)


def test_the_defaults():
    assert Config.from_options() == Config(
        prefix="asgi",
        expiry=60.0,
        group_expiry=86400.0,
        capacity=100,
        channel_capacity=(),
        message_memory=104857600,
        group_memory=20971520,
        max_message_size=4194304,
        lock_timeout=10.0,
        drop_rate=0.0,
        mode=0o600,
        group=None,
    )


def test_every_option_is_described():
    assert list(OPTIONS) == [field.name for field in dataclasses.fields(Config)]
    for option in OPTIONS.values():
        assert option.meaning.endswith(".")
        assert option.allowed


def test_a_config_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config.from_options().prefix = "other"


@pytest.mark.parametrize("value", ["a", "A.b-c_9", "-", "9", "x" * 100])
def test_prefixes(value):
    assert Config.from_options(prefix=value).prefix == value


@pytest.mark.parametrize(
    "value", ["", ".a", "x" * 101, "a/b", "a b", "a!b", "a\n", "ä", "٣", b"a", 1, True]
)
def test_what_is_no_prefix(value):
    assert "1 to 100 ASCII letters" in refused(prefix=value)


@pytest.mark.parametrize("option", ["expiry", "group_expiry"])
@pytest.mark.parametrize("value", [1, 60, 0.5, 0.001, SECONDS_MAX])
def test_seconds(option, value):
    seconds = getattr(Config.from_options(**{option: value}), option)

    assert seconds == value
    assert type(seconds) is float


@pytest.mark.parametrize("option", ["expiry", "group_expiry"])
@pytest.mark.parametrize(
    "value",
    [0, -1, -0.5, math.inf, -math.inf, math.nan, SECONDS_MAX + 1, 10**400, "60", True, [60]],
    ids=lambda value: repr(value)[:20],
)
def test_what_are_no_seconds(option, value):
    assert "seconds above 0" in refused(**{option: value})


def test_memberships_may_last_for_ever_but_messages_may_not():
    assert Config.from_options(group_expiry=None).group_expiry is None
    assert "None" in refused(group_expiry=0)
    assert "seconds above 0" in refused(expiry=None)


@pytest.mark.parametrize("value", [0, -1, 262145, 1.5, "1", None, False])
def test_what_is_no_capacity(value):
    assert "from 1 to 262144" in refused(capacity=value)


def test_channel_capacity_is_compiled():
    expression = re.compile("x")
    rules = Config.from_options(channel_capacity={"a*": 1, expression: 2}).channel_capacity

    assert [capacity for _, capacity in rules] == [1, 2]
    assert rules[1][0] is expression
    assert Config.from_options(channel_capacity={}).channel_capacity == ()


@pytest.mark.parametrize("value", [5, "a*", [("a*", 1)]], ids=repr)
def test_what_is_no_channel_capacity(value):
    assert "dict" in refused(channel_capacity=value)


@pytest.mark.parametrize("option", ["message_memory", "group_memory"])
@pytest.mark.parametrize("value", [MIB, 3 * MIB + 1, MEMORY_MAX])
def test_memory(option, value):
    assert getattr(Config.from_options(**{option: value}), option) == value


@pytest.mark.parametrize("option", ["message_memory", "group_memory"])
@pytest.mark.parametrize("value", [0, -1, MIB - 1, MEMORY_MAX + 1, 2e6, "2000000", None, True])
def test_what_is_no_memory(option, value):
    assert "1 MiB" in refused(**{option: value})


@pytest.mark.parametrize("value", [0, -1, 1.5, "1", None, True, MEMORY_MAX + 1])
def test_what_is_no_message_size(value):
    assert "from 1 to message_memory" in refused(max_message_size=value)


def test_a_message_may_fill_the_memory_and_no_more():
    options = {"message_memory": 2 * MIB, "max_message_size": 2 * MIB}
    assert Config.from_options(**options).max_message_size == 2 * MIB

    options["max_message_size"] += 1
    assert f"which is {2 * MIB}" in refused(**options)


def test_with_little_memory_the_default_message_size_is_less():
    assert Config.from_options(message_memory=MIB).max_message_size == MIB


@pytest.mark.parametrize("value", [0, 0.25, 1])
def test_drop_rates(value):
    assert Config.from_options(drop_rate=value).drop_rate == value


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan, "0.5", None, True])
def test_bad_drop_rates(value):
    assert "a number from 0 to 1" in refused(drop_rate=value)


@pytest.mark.parametrize("value", [0o600, 0o640, 0o644, 0o660, 0o664, 0o666])
def test_modes(value):
    assert Config.from_options(mode=value).mode == value


@pytest.mark.parametrize("value", [0, 0o400, 0o620, 0o700, 0o777, 660, -1, "0o660", None, True])
def test_what_is_no_mode(value):
    assert "0o600, 0o640, 0o644, 0o660, 0o664 or 0o666" in refused(mode=value)


def test_a_mode_without_its_0o_is_shown_as_what_it_is():
    assert "this is 0o1224" in refused(mode=660)


def test_groups():
    gid = os.getgid()
    name = grp.getgrgid(gid).gr_name

    assert Config.from_options(group=None).group is None
    assert Config.from_options(group=gid).group == gid
    assert Config.from_options(group=name).group == name


@pytest.mark.parametrize(
    "value", ["", "no such group", "a\0b", -1, 2**32 - 1, 1.0, b"root", True]
)
def test_what_is_no_group(value):
    assert "group id" in refused(group=value)


def test_an_option_that_does_not_exist_is_named_with_those_that_do():
    message = refused(hosts=["localhost"])

    for option in OPTIONS:
        assert option in message


def test_a_typing_mistake_is_recognized():
    assert "did you mean 'expiry'" in refused(expirey=60)
    assert "did you mean 'channel_capacity'" in refused(channel_capacities={})


def test_a_subclass_of_int_or_str_counts_as_such():
    class Size(IntEnum):
        SMALL = 10

    class Name(str):
        __slots__ = ()

    config = Config.from_options(capacity=Size.SMALL, prefix=Name("name"))
    assert type(config.capacity) is int
    assert type(config.prefix) is str
