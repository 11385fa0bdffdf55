"""Names of channels and groups ("Strings and Unicode", "Channel Semantics")."""

from __future__ import annotations

import string
from typing import Any

import pytest

from tests.support import soon

ALLOWED = string.ascii_letters + string.digits + "-_."


async def carries(layer: Any, channel: str) -> None:
    await layer.send(channel, {"type": "name", "channel": channel})
    assert await soon(layer.receive(channel)) == {"type": "name", "channel": channel}


async def test_every_allowed_character_stands_anywhere_in_a_channel_name(layer):
    for character in ALLOWED:
        await carries(layer, character)
        await carries(layer, f"a{character}b")
    await carries(layer, ALLOWED)


async def test_a_process_specific_name_has_one_exclamation_mark(layer):
    await carries(layer, "http.response!abcDEF-_.123")


@pytest.mark.in_memory_differs("it refuses the question mark of the specification")
async def test_a_single_reader_name_has_one_question_mark(layer):
    await carries(layer, "reader?abcDEF-_.123")


async def test_every_allowed_character_stands_in_a_group_name(layer):
    await layer.group_add(ALLOWED, "member")
    await layer.group_send(ALLOWED, {"type": "name"})

    assert await soon(layer.receive("member")) == {"type": "name"}


@pytest.mark.in_memory_differs("its limit is 99")
@pytest.mark.parametrize("length", [1, 2, 99, 100, 101, 127])
async def test_names_of_at_least_100_bytes(layer, length):
    name = "n" * length
    await carries(layer, name)
    await layer.group_add(name, name)
    await layer.group_send(name, {"type": "name"})

    assert await soon(layer.receive(name)) == {"type": "name"}


@pytest.mark.in_memory_differs("its limit is 99")
async def test_long_names_that_differ_in_the_last_byte_differ(layer):
    await layer.send("n" * 126 + "a", {"type": "a"})
    await layer.send("n" * 126 + "b", {"type": "b"})

    assert await soon(layer.receive("n" * 126 + "b")) == {"type": "b"}
    assert await soon(layer.receive("n" * 126 + "a")) == {"type": "a"}


async def test_names_differ_in_case(layer):
    await layer.send("Room", {"type": "upper"})
    await layer.send("room", {"type": "lower"})

    assert await soon(layer.receive("room")) == {"type": "lower"}
    assert await soon(layer.receive("Room")) == {"type": "upper"}


BAD_CHARACTERS = [" ", "/", ":", "@", "\x00", "\n", "é", "☃", "\ud800", "#", "*", "~", "٣"]


async def refuses_channel(layer: Any, name: Any) -> list[str]:
    """What each operation says of a name that is no channel name."""
    said = []
    for operation in (
        layer.send(name, {"type": "x"}),
        layer.receive(name),
        layer.group_add("group", name),
        layer.group_discard("group", name),
    ):
        with pytest.raises(TypeError) as error:
            await soon(operation)
        said.append(str(error.value))
    return said


async def refuses_group(layer: Any, name: Any) -> list[str]:
    """What each operation says of a name that is no group name."""
    said = []
    for operation in (
        layer.group_add(name, "channel"),
        layer.group_discard(name, "channel"),
        layer.group_send(name, {"type": "x"}),
    ):
        with pytest.raises(TypeError) as error:
            await soon(operation)
        said.append(str(error.value))
    return said


@pytest.mark.in_memory_differs("its pattern lets a newline at the end pass")
@pytest.mark.parametrize("character", BAD_CHARACTERS)
async def test_a_refused_character_is_named(layer, character):
    name = f"a{character}"
    for said in await refuses_channel(layer, name) + await refuses_group(layer, name):
        assert repr(character) in said or ascii(character) in said, said


@pytest.mark.in_memory_differs("it names neither character nor length")
async def test_a_refused_length_is_named(layer):
    for said in await refuses_channel(layer, "n" * 128) + await refuses_group(layer, "n" * 128):
        assert "128" in said, said
        assert "127" in said, said


@pytest.mark.in_memory_differs("it does not say what is wrong")
@pytest.mark.parametrize("name", ["a!b!c", "a!!", "a?b?c"])
async def test_a_mark_stands_once_in_a_name(layer, name):
    mark = "!" if "!" in name else "?"
    for said in await refuses_channel(layer, name):
        assert mark in said, said


@pytest.mark.parametrize("name", ["", "!", "!local"])
async def test_a_name_is_not_empty(layer, name):
    await refuses_channel(layer, name)
    await refuses_group(layer, name)


@pytest.mark.parametrize("name", ["a!b", "a!", "a?b"])
async def test_the_marks_are_for_channels_not_for_groups(layer, name):
    await refuses_group(layer, name)


@pytest.mark.parametrize("name", [None, 1, b"bytes", ["list"], ("a",)])
async def test_a_name_is_text(layer, name):
    await refuses_channel(layer, name)
    await refuses_group(layer, name)


@pytest.mark.in_memory_differs("it does not say what is wrong")
async def test_a_name_of_another_type_is_told_its_type(layer):
    for said in await refuses_channel(layer, b"bytes") + await refuses_group(layer, b"bytes"):
        assert "bytes" in said


async def test_a_refused_name_changes_nothing(layer):
    await layer.group_add("group", "channel")
    await refuses_channel(layer, "not a name")
    await refuses_group(layer, "not a name")
    await layer.group_send("group", {"type": "still"})

    assert await soon(layer.receive("channel")) == {"type": "still"}


class Name(str):
    """A string with manners of its own, as Django's SafeString is."""

    __slots__ = ()


async def test_a_subclass_of_str_is_a_name(layer):
    await carries(layer, Name("subclass"))
