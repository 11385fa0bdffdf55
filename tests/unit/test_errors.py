"""errors.py: what may be caught as what, and what the messages say."""

from __future__ import annotations

import copy
import inspect
import pickle
import subprocess
import sys

import channels.exceptions
import pytest

from asgi_shm import errors

CLASSES = [getattr(errors, name) for name in errors.__all__]


def test_every_exception_is_exported():
    defined = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, Exception) and not name.startswith("_")
    }

    assert defined == set(errors.__all__)


def test_the_tree_in_the_docstring_is_the_tree():
    for cls in CLASSES:
        assert cls.__name__ in errors.__doc__


@pytest.mark.parametrize("cls", CLASSES)
def test_all_but_channel_full_are_asgi_shm_errors(cls):
    assert issubclass(cls, errors.AsgiShmError) is (cls is not errors.ChannelFull)


@pytest.mark.parametrize(
    ("cls", "base"),
    [
        (errors.MemoryFull, errors.ChannelFull),
        (errors.MessageTooLarge, ValueError),
        (errors.SerializationError, TypeError),
        (errors.ConfigError, ValueError),
        (errors.InvalidName, TypeError),
        (errors.NotOwner, RuntimeError),
        (errors.LayerClosed, RuntimeError),
        (errors.SegmentNotFound, LookupError),
        (errors.SegmentPermission, PermissionError),
        (errors.LockTimeout, TimeoutError),
    ],
)
def test_what_also_catches_it(cls, base):
    assert issubclass(cls, base)


@pytest.mark.parametrize(
    "cls",
    [
        errors.SegmentCorrupt,
        errors.SegmentLayoutMismatch,
        errors.SegmentForeign,
        errors.SegmentNotFound,
        errors.SegmentReplaced,
        errors.SegmentPermission,
        errors.NoFreeSlot,
        errors.LockTimeout,
    ],
)
def test_what_is_wrong_with_a_segment_is_a_segment_error(cls):
    assert issubclass(cls, errors.SegmentError)


def test_where_channels_is_installed_its_handlers_catch_ours():
    assert errors.ChannelFull is channels.exceptions.ChannelFull
    assert issubclass(errors.MessageTooLarge, channels.exceptions.MessageTooLarge)


def test_without_channels_there_is_a_channel_full_of_our_own():
    program = """
import sys
sys.modules["channels"] = None  # makes its import fail
from asgi_shm import errors
assert errors.ChannelFull.__module__ == "asgi_shm.errors"
assert issubclass(errors.MemoryFull, errors.ChannelFull)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_serialization_error_says_where_and_what():
    error = errors.SerializationError("message['a']", "a set is not allowed")

    assert (error.path, error.problem) == ("message['a']", "a set is not allowed")
    assert str(error) == "message['a']: a set is not allowed"


def test_a_config_error_says_option_value_and_what_is_allowed():
    error = errors.ConfigError("capacity", -1, "an integer from 1 to 10")

    assert (error.option, error.value, error.allowed) == (
        "capacity",
        -1,
        "an integer from 1 to 10",
    )
    assert str(error) == "capacity=-1 is not allowed: an integer from 1 to 10"


def test_a_config_error_stays_short_whatever_the_value():
    assert len(str(errors.ConfigError("prefix", "x" * 10_000, "less"))) < 200


@pytest.mark.parametrize(
    "error",
    [
        errors.SerializationError("message", "bad"),
        errors.ConfigError("mode", 1, "2"),
        errors.MemoryFull("full"),
    ],
)
def test_errors_survive_copying_and_pickling(error):
    # Task queues and process pools hand exceptions on in this way.
    for again in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert vars(again) == vars(error)
