"""How settings reach the layer: BACKEND, CONFIG, TEST_CONFIG, override_settings."""

from __future__ import annotations

import gc

import pytest
from asgiref.sync import async_to_sync
from channels.layers import channel_layers, get_channel_layer
from django.test import override_settings

from asgi_shm import ShmChannelLayer, unlink
from asgi_shm.errors import ConfigError
from tests.support import leftovers, run_alone


def configured(prefix, **more):
    return {
        "default": {"BACKEND": "asgi_shm.ShmChannelLayer", "CONFIG": {"prefix": prefix}, **more}
    }


def test_the_backend_is_made_from_settings(channel_layer):
    assert isinstance(channel_layer, ShmChannelLayer)
    assert get_channel_layer() is channel_layer
    assert channel_layer.capacity == 100


def test_options_of_config_are_checked_when_the_layer_is_made(prefix):
    layers = configured(prefix)
    layers["default"]["CONFIG"]["capcity"] = 10
    with (
        override_settings(CHANNEL_LAYERS=layers),
        pytest.raises(ConfigError, match=r"capcity.*capacity"),
    ):
        get_channel_layer()


def test_override_settings_changes_the_layer(prefix):
    two = f"{prefix}-two"
    with override_settings(CHANNEL_LAYERS=configured(prefix)):
        run_alone(get_channel_layer().send("channel", {"from": "one"}))
        with override_settings(CHANNEL_LAYERS=configured(two)):
            run_alone(get_channel_layer().send("channel", {"from": "two"}))
            assert run_alone(get_channel_layer().receive("channel")) == {"from": "two"}
        # Messages are in the segment, not in the object that settings made.
        assert run_alone(get_channel_layer().receive("channel")) == {"from": "one"}
    unlink(two)
    assert leftovers(two) == []


def test_a_private_segment_is_that_of_the_settings_layer():
    with override_settings(CHANNEL_LAYERS=configured(None)):
        layer = get_channel_layer()
        run_alone(layer.send("channel", {"number": 1}))

        assert get_channel_layer() is layer
        with override_settings(CHANNEL_LAYERS=configured(None, NUMBER=1)):
            assert run_alone(get_channel_layer().channel_size("channel")) == 0
        assert run_alone(get_channel_layer().channel_size("channel")) == 0  # made anew


def test_a_hundred_overrides_leave_nothing_behind(prefix, recwarn, capfd):
    with override_settings(CHANNEL_LAYERS=configured(prefix)):
        watcher = get_channel_layer()
        run_alone(watcher.new_channel())
        for number in range(100):
            with override_settings(CHANNEL_LAYERS=configured(prefix, NUMBER=number)):
                layer = get_channel_layer()
                channel = run_alone(layer.new_channel())
                run_alone(layer.group_add("group", channel))
                run_alone(layer.send(channel, {"number": number}))
                assert run_alone(layer.receive(channel)) == {"number": number}
                del layer
        gc.collect()
        watcher._attachment.sweep()
        info = watcher._attachment.info()

    assert (info.attached, info.memberships) == (1, 0)
    assert list(recwarn) == []
    assert capfd.readouterr() == ("", "")


def test_test_config_makes_a_layer_of_its_own(prefix):
    test = f"{prefix}-test"
    layers = configured(prefix, TEST_CONFIG={"prefix": test, "capacity": 1})
    with override_settings(CHANNEL_LAYERS=layers):
        layer = channel_layers.make_test_backend("default")
        assert layer.capacity == 1
        async_to_sync(layer.send)("channel", {"type": "test"})
        async_to_sync(get_channel_layer().flush)()
        assert async_to_sync(layer.receive)("channel") == {"type": "test"}
        async_to_sync(layer.close)()
    unlink(test)
    assert leftovers(test) == []


def test_two_layers_under_two_aliases(prefix):
    two = f"{prefix}-two"
    layers = {**configured(prefix), "other": configured(two)["default"]}
    with override_settings(CHANNEL_LAYERS=layers):
        run_alone(get_channel_layer().send("channel", {"from": "default"}))
        run_alone(get_channel_layer("other").send("channel", {"from": "other"}))
        assert run_alone(get_channel_layer("other").receive("channel")) == {"from": "other"}
        assert run_alone(get_channel_layer().receive("channel")) == {"from": "default"}
    unlink(two)
    assert leftovers(two) == []
