"""No file descriptor left, or no address space: clear errors, and all is well once there is."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from asgi_shm import errors
from tests.support import receive_nowait, soon

if TYPE_CHECKING:
    from collections.abc import Iterator

NO_DESCRIPTORS = r"no file descriptor .*ulimit -n"
NO_MEMORY = r"no memory .*segment"


@contextlib.contextmanager
def limited(what: int, soft: int) -> Iterator[None]:
    before = resource.getrlimit(what)
    resource.setrlimit(what, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(what, before)


def no_descriptors() -> Any:
    """What is open stays open, and nothing can be opened: all numbers below this are taken."""
    return limited(resource.RLIMIT_NOFILE, 3)


def no_memory() -> Any:
    """Room for what Python needs, and not for a segment."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return limited(resource.RLIMIT_AS, pages * os.sysconf("SC_PAGESIZE") + 24 * 1024 * 1024)


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def attach_without(layer: Any, say: Any, what: str) -> str:
    """Be refused, often and without a leak; then be let in."""
    kind = no_descriptors if what == "descriptors" else no_memory
    said = set()
    open_before = descriptors()
    with kind():
        for _ in range(50):
            with pytest.raises(errors.SegmentError) as refused:
                await layer.send("channel", {"type": "test"})
            said.add(str(refused.value))
    assert descriptors() == open_before
    await layer.send("channel", {"type": "test"})
    assert await receive_nowait(layer, "channel") == {"type": "test"}
    (text,) = said
    return text


@pytest.mark.parametrize("there", [True, False], ids=["it is there", "it is to be made"])
@pytest.mark.parametrize(
    ("what", "says"), [("descriptors", NO_DESCRIPTORS), ("memory", NO_MEMORY)]
)
def test_attaching_without(make_peer, there, what, says):
    if there:
        make_peer().call("send", "other", {"type": "test"})

    text = make_peer().run(attach_without, what)
    with pytest.raises(errors.SegmentError, match=says):
        raise errors.SegmentError(text)


async def wait_without(layer: Any, say: Any) -> None:
    """Messages that are there are had; to wait needs a descriptor once."""
    await layer.send("channel", {"number": 1})
    own = await layer.new_channel()
    await layer.group_add("group", own)
    with no_descriptors():
        assert await layer.receive("channel") == {"number": 1}
        await layer.group_send("group", {"number": 2})
        assert await layer.receive(own) == {"number": 2}
        for _ in range(20):
            with pytest.raises(errors.SegmentError, match=NO_DESCRIPTORS):
                await layer.receive("channel")
        layer._attachment.tick()
        layer._attachment.verify()
    receivers = [asyncio.ensure_future(layer.receive("channel")) for _ in range(2)]
    await asyncio.sleep(0)
    say("waiting")
    messages = await soon(asyncio.gather(*receivers))
    assert [message["number"] for message in messages] == [3, 4]
    with no_descriptors():  # the bell is open
        receiver = asyncio.ensure_future(layer.receive(own))
        await asyncio.sleep(0)
        say("waiting")
        assert await soon(receiver) == {"number": 5}


def test_waiting_without_descriptors(make_peer):
    peer, sender = make_peer(), make_peer()
    peer.begin(wait_without)
    assert peer.hear() == "waiting"
    for number in (3, 4):
        sender.call("send", "channel", {"number": number})
    assert peer.hear() == "waiting"
    sender.call("group_send", "group", {"number": 5})
    assert peer.hear() is None


async def ring_without(layer: Any, say: Any) -> None:
    await layer.new_channel()
    with no_descriptors():
        await layer.send("channel", {"number": 1})
    say("sent")
    await soon(layer.receive("heard"))
    await layer.send("channel", {"number": 2})


def test_ringing_without_descriptors(make_peer):
    """The sender does not fail. What it could not ring for is found by the receiver's tick."""
    ticking, other, sender = make_peer(ticks=True), make_peer(), make_peer()
    ticking.begin_receive("channel")
    sender.begin(ring_without)
    assert sender.hear() == "sent"
    assert ticking.hear() == {"number": 1}
    other.begin_receive("channel")
    ticking.call("send", "heard", {"type": "test"})
    assert other.hear() == {"number": 2}
    assert sender.hear() is None


async def look_after_without(layer: Any, say: Any) -> Any:
    """Wait, with ticks, while there is a dead process that cannot be buried."""
    receiver = asyncio.ensure_future(layer.receive("channel"))
    await asyncio.sleep(0)
    ticked = asyncio.Event()
    tick = layer._attachment.tick

    def looked_after() -> None:
        try:
            tick()
        finally:
            ticked.set()

    layer._attachment.tick = looked_after
    with no_descriptors():
        say("waiting")
        for _ in range(3):
            ticked.clear()
            await soon(ticked.wait())
        assert not receiver.done()
        say("still waiting")
        assert (await soon(receiver)) == {"type": "test"}
    while layer._attachment.info().attached > 2:
        layer._attachment.tick()
        await asyncio.sleep(0.02)


def test_a_dead_process_cannot_be_buried_without_descriptors(make_peer):
    """That is no reason for a receiver to fail: it is done when there are some."""
    peer, sender, dying = make_peer(ticks=True), make_peer(), make_peer()
    dying.call("new_channel")
    peer.begin(look_after_without)
    assert peer.hear() == "waiting"
    dying.kill()
    assert peer.hear() == "still waiting"
    sender.call("send", "channel", {"type": "test"})
    assert peer.hear() is None
