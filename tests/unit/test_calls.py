"""The calls without cffi take what they should, and refuse the rest as Python does."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import weakref
from typing import Any

import pytest

from asgi_shm import LayerClosed, ShmChannelLayer, _calls
from asgi_shm._ashm import lib
from tests.support import run_alone

NO_HANDLE = 0
GOOD = b"\x80"  # an empty dict
WAITING, ENTRY, WATCH = _calls.Waiting(), _calls.Entry(), _calls.Watch()


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
        (_calls.serialize_with, (dict, dict, dict)),
        (_calls.unpack, ("body",)),
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
        (_calls.stand, (WAITING, "a", [])),
        (_calls.stand, (ENTRY, "a", [])),
        (_calls.turn, (WAITING, [ENTRY, WATCH, None])),
        (_calls.turn, (None, [ENTRY, WATCH, None])),
        (_calls.step_out, (WAITING,)),
        (_calls.wake, (WAITING, [], None)),
        (_calls.wake, (WATCH, [], None)),
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
    address = layer._attachment.handles.address
    before = sys.getrefcount(None)
    for _ in range(20_000):
        assert _calls.take(address, "a") is None

    assert sys.getrefcount(None) > before - 10_000
    run_alone(layer.close())


def test_the_garbage_collector_sees_what_they_hold():
    class Entry(_calls.Entry):
        pass

    entry = Entry()
    entry.futures = [entry]
    gone = weakref.ref(entry)
    del entry
    gc.collect()
    assert gone() is None


async def come_back(layer, channel, times):
    """Receive as one who waits for each message."""
    for number in range(times):
        await layer.send(channel, {"number": number})
        assert await layer.receive(channel) == {"number": number}
        waiting = asyncio.create_task(layer.receive(channel))
        await asyncio.sleep(0)
        await layer.send(channel, {"number": -number})
        assert await waiting == {"number": -number}


async def take_a_turn(prefix):
    layer = ShmChannelLayer(prefix=prefix)
    receiver = layer._receiver
    channel = await layer.new_channel()
    await come_back(layer, channel, 2)

    place: list[Any] = []
    assert _calls.stand(receiver, channel, place) is None
    entry, watch, future = place
    assert (entry.channel, watch.inside, entry.inside) == (channel, 1, {future})
    assert _calls.turn(receiver, place) is None
    await layer.send(channel, {"type": "test"})
    await future
    assert _calls.turn(receiver, place) == {"type": "test"}
    assert (place, watch.inside, entry.inside) == ([], 0, set())
    with pytest.raises(ValueError, match="nobody waits"):
        _calls.turn(receiver, place)
    await layer.close()


def test_a_place_is_empty_when_nobody_waits_in_it(prefix):
    asyncio.run(take_a_turn(prefix))


async def receive_by_another_name(prefix):
    layer = ShmChannelLayer(prefix=prefix)
    channel = await layer.new_channel()
    await come_back(layer, channel, 2)

    class Equal(str):
        __slots__ = ()

        def __eq__(self, other):
            return other == channel

        def __hash__(self):
            return hash(channel)

    await layer.send("another", {"number": 1})
    await layer.send(channel, {"number": 2})
    assert await layer.receive(Equal("another")) == {"number": 2}
    assert await layer.receive("another") == {"number": 1}
    await layer.close()


def test_a_name_that_says_it_is_equal_to_one_that_is_known_stands_for_it(prefix):
    asyncio.run(receive_by_another_name(prefix))


async def close_inside(prefix):
    """What a collection runs may close the layer, wherever it begins."""
    layer = ShmChannelLayer(prefix=prefix)
    receiver = layer._receiver

    def cookies():
        receiver.close()  # while the receiver makes an entry
        yield 1

    receiver._cookies = cookies()
    with pytest.raises(LayerClosed):
        await layer.receive(await layer.new_channel())
    await layer.close()


def test_a_layer_that_is_closed_while_somebody_begins_to_wait(prefix):
    ended = []
    thread = threading.Thread(
        target=lambda: ended.append(asyncio.run(close_inside(prefix))), daemon=True
    )
    thread.start()
    thread.join(10)
    assert ended == [None]  # neither stuck nor failed


def test_a_module_of_its_own_has_to_be_told_how_to_serialize():
    calls = _calls._load()
    for call, argument in ((calls.pack, {}), (calls.unpack, GOOD)):
        with pytest.raises(RuntimeError, match="serialize_with"):
            call(argument)


@pytest.mark.parametrize("error", [KeyboardInterrupt, LookupError, MemoryError])
def test_what_a_message_raises_that_is_no_refusal_is_passed_on(error):
    raised = []

    class Raises(dict[str, int]):
        def items(self):
            raised.append(error)
            raise error

    with pytest.raises(error):
        _calls.pack(Raises(a=1))
    assert raised == [error]
    assert _calls.pack({}) == b"\x80"


def test_a_message_that_is_packed_inside_another_is_packed_once():
    class Nested(dict[str, int]):
        def items(self):
            return {"b": _calls.pack(self)}.items()

    with pytest.raises(RecursionError):
        _calls.pack(Nested(a=1))


async def count_what_is_left(prefix):
    layer = ShmChannelLayer(prefix=prefix)
    channel = await layer.new_channel()
    counts = []
    for times in (10, 1000):
        await come_back(layer, channel, times)
        gc.collect()
        counts.append((sys.getrefcount(None), len(gc.get_objects())))
    await layer.close()
    return weakref.ref(layer._receiver), counts


def test_who_comes_back_leaves_nothing_behind(prefix):
    receiver, [(nones, objects), (later_nones, later_objects)] = asyncio.run(
        count_what_is_left(prefix)
    )
    assert later_nones < nones + 100
    assert later_objects < objects + 100
    gc.collect()
    assert receiver() is None
