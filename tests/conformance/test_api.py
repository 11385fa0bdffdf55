"""The attributes and coroutines that a channel layer must have ("Specification Details")."""

from __future__ import annotations

import inspect

import channels.exceptions
import pytest

import asgi_shm

COROUTINES = {
    "send": ["channel", "message"],
    "receive": ["channel"],
    "new_channel": ["prefix"],
    "group_add": ["group", "channel"],
    "group_discard": ["group", "channel"],
    "group_send": ["group", "message"],
    "flush": [],
    "close": [],
}


@pytest.mark.parametrize(("name", "parameters"), COROUTINES.items())
async def test_the_endpoints_are_coroutines_with_positional_arguments(layer, name, parameters):
    endpoint = getattr(layer, name)

    assert inspect.iscoroutinefunction(endpoint)
    found = inspect.signature(endpoint).parameters.values()
    by_position = inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert [each.name for each in found if each.kind is by_position] == parameters
    for more in (each for each in found if each.kind is not by_position):
        assert more.kind is inspect.Parameter.KEYWORD_ONLY  # and nobody has to give it
        assert more.default is not inspect.Parameter.empty


async def test_extensions_are_groups_and_flush(layer):
    assert {"flush", "groups"} <= set(layer.extensions)


async def test_defaults_are_those_of_channels(layer):
    assert (layer.expiry, layer.group_expiry, layer.capacity) == (60, 86400, 100)


async def test_options_are_readable(make_layer):
    layer = make_layer(expiry=7, group_expiry=11, capacity=13)

    assert (layer.expiry, layer.group_expiry, layer.capacity) == (7, 11, 13)


@pytest.mark.in_memory_differs("it takes whole seconds only, and has no endless membership")
async def test_expiry_may_be_a_fraction_and_group_expiry_none(make_layer):
    layer = make_layer(expiry=0.25, group_expiry=None)

    assert layer.expiry == 0.25
    assert layer.group_expiry is None


@pytest.mark.in_memory_differs("it has no exceptions as attributes")
async def test_exceptions_are_attributes(layer):
    assert layer.ChannelFull is asgi_shm.ChannelFull is channels.exceptions.ChannelFull
    assert layer.MessageTooLarge is asgi_shm.MessageTooLarge


async def test_new_channel_names_are_process_specific_and_never_repeat(layer):
    names = [await layer.new_channel() for _ in range(1000)]

    assert len(set(names)) == len(names)
    assert all(name.count("!") == 1 and not name.endswith("!") for name in names)
    assert all(name.startswith("specific.") for name in names)


async def test_new_channel_takes_a_prefix(layer):
    assert (await layer.new_channel("chat.room")).startswith("chat.room.")


@pytest.mark.in_memory_differs("it gives every process the same name")
async def test_new_channel_names_of_one_process_share_the_part_up_to_the_mark(layer):
    first, second = await layer.new_channel(), await layer.new_channel()

    assert first.split("!")[0] == second.split("!")[0]


@pytest.mark.in_memory_differs("it checks nothing")
async def test_new_channel_refuses_a_prefix_that_makes_a_bad_name(layer):
    for prefix in ("no spaces", "two!marks", "x" * 200):
        with pytest.raises(TypeError):
            await layer.new_channel(prefix)


async def test_close_may_be_called_twice(make_layer):
    layer = make_layer()

    await layer.close()
    await layer.close()
