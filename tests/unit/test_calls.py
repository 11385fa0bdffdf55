"""The calls without cffi take what they should, and refuse the rest as Python does."""

from __future__ import annotations

import sys

import pytest

from asgi_shm import ShmChannelLayer, _calls
from asgi_shm._ashm import lib
from tests.support import run_alone

NO_HANDLE = 0
GOOD = b"\x80"  # an empty dict


def test_without_a_handle_nothing_is_open():
    assert _calls.send(NO_HANDLE, "a", GOOD, 1, 1) == lib.ASHM_CLOSED
    assert _calls.group_send(NO_HANDLE, "g", GOOD, 1) == lib.ASHM_CLOSED
    assert _calls.take(NO_HANDLE, "a") == lib.ASHM_CLOSED
    assert _calls.wait(NO_HANDLE, "a", 0, 1) == lib.ASHM_CLOSED
    assert _calls.ready(NO_HANDLE, []) == lib.ASHM_CLOSED
    assert _calls.arm(NO_HANDLE) == lib.ASHM_CLOSED


def test_names_are_looked_at_first():
    assert _calls.send(NO_HANDLE, "a b", GOOD, 1, 1) == lib.ASHM_BAD_NAME
    assert _calls.group_send(NO_HANDLE, "g!", GOOD, 1) == lib.ASHM_BAD_NAME
    assert _calls.take(NO_HANDLE, "ä") == lib.ASHM_BAD_NAME
    assert _calls.wait(NO_HANDLE, "a\0", 0, 1) == lib.ASHM_BAD_NAME
    with pytest.raises(UnicodeEncodeError):
        _calls.take(NO_HANDLE, "\ud800")


@pytest.mark.parametrize("capacity", [0, lib.ASHM_CAPACITY_MAX + 1, 2**32 + 1])
def test_a_capacity_is_not_cut_to_fit(capacity):
    assert _calls.send(NO_HANDLE, "a", GOOD, 1, capacity) == lib.ASHM_BAD_ARGUMENT


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        (_calls.send, (NO_HANDLE, "a", GOOD, 1)),
        (_calls.send, (NO_HANDLE, "a", GOOD, 1, 1, 1)),
        (_calls.send, (NO_HANDLE, b"a", GOOD, 1, 1)),
        (_calls.send, (NO_HANDLE, "a", "body", 1, 1)),
        (_calls.send, (NO_HANDLE, "a", bytearray(GOOD), 1, 1)),
        (_calls.send, (NO_HANDLE, "a", GOOD, 1.0, 1)),
        (_calls.send, ("", "a", GOOD, 1, 1)),
        (_calls.group_send, (NO_HANDLE, "g", GOOD)),
        (_calls.group_send, (NO_HANDLE, b"g", GOOD, 1)),
        (_calls.group_send, (NO_HANDLE, "g", bytearray(GOOD), 1)),
        (_calls.group_send, (NO_HANDLE, "g", GOOD, 1.0)),
        (_calls.group_send, ("", "g", GOOD, 1)),
        (_calls.take, (NO_HANDLE,)),
        (_calls.take, (NO_HANDLE, b"a")),
        (_calls.take, ("", "a")),
        (_calls.wait, (NO_HANDLE, "a", 0)),
        (_calls.wait, (NO_HANDLE, b"a", 0, 1)),
        (_calls.wait, (NO_HANDLE, "a", None, 1)),
        (_calls.ready, (NO_HANDLE,)),
        (_calls.ready, ("", [])),
        (_calls.arm, ("",)),
        (_calls.check, ("body",)),
    ],
)
def test_arguments_have_their_types_and_number(call, arguments):
    with pytest.raises(TypeError):
        call(*arguments)


@pytest.mark.parametrize("expiry", [-1, 2**64])
def test_an_expiry_is_not_cut_to_fit(expiry):
    with pytest.raises(OverflowError):
        _calls.send(NO_HANDLE, "a", GOOD, expiry, 1)
    with pytest.raises(OverflowError):
        _calls.group_send(NO_HANDLE, "g", GOOD, expiry)


def test_bodies_are_judged_as_by_cffi():
    for body in (GOOD, b"\x81\xa1a\xc4\x01b", b"\x90", b""):
        assert _calls.check(body) == lib.ashm_check_body(body, len(body))


def test_none_is_counted(prefix):
    layer = ShmChannelLayer(prefix=prefix)
    run_alone(layer.new_channel())
    address = layer._attachment._handles.address
    before = sys.getrefcount(None)
    for _ in range(20_000):
        assert _calls.take(address, "a") is None

    assert sys.getrefcount(None) > before - 10_000
    run_alone(layer.close())
