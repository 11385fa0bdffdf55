"""capacity.py: which capacity a channel has, by its name."""

from __future__ import annotations

import re

import pytest

from asgi_shm.capacity import (
    CAPACITY_MAX,
    REMEMBERED,
    CapacityRules,
    check_capacity,
    compile_rules,
)
from asgi_shm.errors import ConfigError
from tests.test_house import CSRC


def capacity(name, rules, default=100):
    return CapacityRules(default, compile_rules("channel_capacity", rules)).capacity_for(name)


def test_without_rules_the_default_counts():
    assert CapacityRules(7).capacity_for("any") == 7


def test_a_string_is_a_glob_over_the_whole_name():
    rules = {"http.request": 1, "http.*": 2, "chat.?": 3, "[ab]": 4}

    assert capacity("http.request", rules) == 1
    assert capacity("http.request.body", rules) == 2
    assert capacity("chat.a", rules) == 3
    assert capacity("chat.ab", rules) == 100
    assert capacity("b", rules) == 4
    assert capacity("my.http.request", rules) == 100


def test_a_glob_matches_names_with_an_exclamation_mark():
    assert capacity("specific.abc!def", {"specific.*": 5}) == 5
    assert capacity("specific.abc!def", {"*!*": 6}) == 6


def test_case_counts():
    assert capacity("HTTP.x", {"http.*": 5}) == 100


def test_a_compiled_expression_matches_from_the_start():
    rules = {re.compile(r"websocket\.send!"): 5}

    assert capacity("websocket.send!abc", rules) == 5
    assert capacity("my.websocket.send!abc", rules) == 100


def test_the_first_match_in_the_order_of_the_dict_counts():
    assert capacity("ab", {"a*": 1, re.compile("ab"): 2}) == 1
    assert capacity("ab", {re.compile("ab"): 2, "a*": 1}) == 2


def test_more_names_than_are_remembered():
    rules = CapacityRules(100, compile_rules("channel_capacity", {"*7": 7}))
    names = [f"channel.{number}" for number in range(REMEMBERED + 100)]

    for _ in range(2):
        for name in names:
            assert rules.capacity_for(name) == (7 if name.endswith("7") else 100)


def test_a_name_that_says_it_is_equal_to_another_is_not_remembered_for_it():
    class Equal(str):
        __slots__ = ()

        def __eq__(self, other):
            return str(other) == "zz"

        def __hash__(self):
            return hash("zz")

    rules = CapacityRules(3, compile_rules("channel_capacity", {"a*": 5}))
    assert rules.capacity_for(Equal("abc")) == 5
    assert rules.capacity_for("zz") == 3


@pytest.mark.parametrize("value", [1, 100, CAPACITY_MAX])
def test_capacities(value):
    assert check_capacity("capacity", value) == value


@pytest.mark.parametrize("value", [0, -1, CAPACITY_MAX + 1, 1.0, "10", None, True])
def test_what_is_no_capacity(value):
    with pytest.raises(ConfigError, match="1 to 262144") as error:
        check_capacity("capacity", value)
    assert error.value.option == "capacity"
    assert error.value.value is value


@pytest.mark.parametrize("pattern", ["", 1, None, b"http.*", re.compile(b"http")], ids=repr)
def test_what_is_no_pattern(pattern):
    with pytest.raises(ConfigError) as error:
        compile_rules("channel_capacity", {"fine": 1, pattern: 1})
    assert error.value.option == f"channel_capacity[{pattern!r}]"


def test_an_error_names_the_pattern_whose_capacity_is_wrong():
    with pytest.raises(ConfigError, match="1 to 262144") as error:
        compile_rules("channel_capacity", {"a": 1, "b": 0})
    assert error.value.option == "channel_capacity['b']"
    assert error.value.value == 0


@pytest.mark.parametrize("value", [[("a", 1)], "a", 1, {"a"}], ids=repr)
def test_rules_are_a_mapping(value):
    with pytest.raises(ConfigError, match="dict"):
        compile_rules("channel_capacity", value)


def test_the_limit_is_that_of_the_core():
    assert f"ASHM_CAPACITY_MAX = {CAPACITY_MAX}" in (CSRC / "ashm.h").read_text()
