"""A process that is stopped inside an operation holds its locks; nobody takes them from it.

To verify is to hold every lock for a while, so a process that does nothing else is soon
stopped with all of them held.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import struct
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from asgi_shm import LockTimeout, SyncShmChannelLayer, _receiver
from tests.support import TIMEOUT, leftovers, receive_nowait, run_alone, soon

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from tests.multiprocess.peer import Peer

# Seconds; what is refused then is refused soon.
SHORT = 0.3
MESSAGE = {"type": "test"}


async def hold_every_lock(layer: Any, say: Any) -> None:
    """Nearly always. Channels enough make each time a long one."""
    ends = False

    def end(*_: object) -> None:
        nonlocal ends
        ends = True

    signal.signal(signal.SIGTERM, end)
    for number in range(3000):
        await layer.send(f"ballast.{number}", MESSAGE)
    say("ready")
    while not ends:
        layer._attachment.verify()


class Stopped:
    """A process that was stopped with the locks held."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self.pid: int = peer.pid
        peer.begin(hold_every_lock)
        assert peer.hear() == "ready"
        # Memory's is the last that is taken, and the first that is let go.
        peer.stop(holding="memory")

    def go_on(self) -> None:
        """Finish the operation, and do no other."""
        os.kill(self.pid, signal.SIGTERM)
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        self._peer.kill()


@pytest.fixture
def stop(make_peer: Callable[..., Peer]) -> Callable[[], Stopped]:
    return lambda: Stopped(make_peer())


CALLS: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "send": lambda layer: layer.send("channel", MESSAGE),
    "receive": lambda layer: layer.receive("channel"),
    "group_add": lambda layer: layer.group_add("group", "channel"),
    "group_discard": lambda layer: layer.group_discard("group", "member"),
    "group_send": lambda layer: layer.group_send("group", MESSAGE),
    "flush": lambda layer: layer.flush(),
}


async def fill(layer: Any) -> None:
    await layer.send("channel", MESSAGE)
    await layer.group_add("group", "member")


@pytest.mark.parametrize("name", CALLS)
async def test_who_holds_the_lock_is_named_in_time(make_layer, stop, name):
    layer = make_layer(lock_timeout=SHORT)
    await fill(layer)
    stopped = stop()

    with pytest.raises(LockTimeout, match=rf"process {stopped.pid} holds the \w+ lock"):
        await soon(CALLS[name](layer))
    stopped.kill()


@pytest.mark.parametrize("name", CALLS)
async def test_the_event_loop_runs_on(make_layer, stop, name):
    """A call that held it up would do so for longer than soon() waits."""
    layer = make_layer(lock_timeout=4 * TIMEOUT)
    await fill(layer)
    stopped = stop()

    async def run_on() -> None:
        call = asyncio.ensure_future(CALLS[name](layer))
        await asyncio.wait([call], timeout=0.05)
        assert not call.done()
        stopped.kill()
        await call

    await soon(run_on())


@pytest.fixture
def opening(layer: Any, prefix: str) -> Iterator[Callable[[], None]]:
    """As if a process had been stopped while it opens the segment; called, it goes on."""
    run_alone(fill(layer))
    (name,) = [name for name in leftovers(prefix) if name.startswith("asgi_shm.")]
    with ExitStack() as held:
        file = held.enter_context(Path("/dev/shm", name).open("r+b"))
        # BYTE_FORMAT of csrc/process.h.
        lock = struct.pack("@hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 1 << 60, 1, 0)
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, lock)
        yield held.close


@pytest.mark.parametrize("name", CALLS)
async def test_a_first_call_waits_for_who_opens_the_segment(make_layer, opening, name):
    call = asyncio.ensure_future(CALLS[name](make_layer(lock_timeout=TIMEOUT)))
    await asyncio.wait([call], timeout=0.05)
    assert not call.done()

    opening()
    await soon(call)


@pytest.mark.parametrize("report", [False, True])
def test_a_first_group_send_without_a_loop_does_so_too(opening, layer, prefix, report):
    ending = threading.Timer(0.05, opening)
    with SyncShmChannelLayer(prefix=prefix, lock_timeout=TIMEOUT) as sync_layer:
        ending.start()
        sync_layer.group_send("group", MESSAGE, report=report)
    ending.join()

    assert run_alone(layer.channel_size("member")) == 1


async def test_many_callers_are_refused_together(make_layer, stop):
    """That they do not wait one after the other, tests/c/test_busy.c shows."""
    layer = make_layer(lock_timeout=SHORT)
    stopped = stop()

    refused = await soon(
        asyncio.gather(
            *(layer.send(f"channel.{number}", MESSAGE) for number in range(200)),
            return_exceptions=True,
        )
    )
    assert {type(error) for error in refused} == {LockTimeout}
    stopped.kill()


@pytest.mark.parametrize("how", ["go_on", "kill"])
async def test_calls_go_on_by_themselves(make_layer, stop, how):
    layer = make_layer(lock_timeout=TIMEOUT)
    await layer.send("full", {"number": 0})
    mine = await layer.new_channel()
    await layer.group_add("group", mine)
    await layer.group_add("group", "common")
    stopped = stop()

    calls = [
        asyncio.ensure_future(call)
        for call in (
            layer.send("channel", {"number": 1}),
            layer.receive("full"),
            layer.receive(mine),
            layer.group_send("group", {"number": 2}),
            layer.group_add("other", mine),
        )
    ]
    _, waiting = await asyncio.wait(calls, timeout=0.05)
    assert waiting == set(calls)

    getattr(stopped, how)()
    _, first, second, *_ = await soon(asyncio.gather(*calls))
    assert (first, second) == ({"number": 0}, {"number": 2})
    assert await receive_nowait(layer, "channel") == {"number": 1}
    # Once, though the call was made again and again.
    assert await receive_nowait(layer, "common") == {"number": 2}
    assert await receive_nowait(layer, "common") is None
    assert await receive_nowait(layer, mine) is None


async def test_a_receiver_that_waits_is_not_ended_by_it(make_layer, stop, make_peer):
    layer = make_layer(lock_timeout=SHORT)
    receiver = asyncio.ensure_future(layer.receive("channel"))
    await asyncio.sleep(0)
    stopped = stop()

    _, waiting = await asyncio.wait([receiver], timeout=2 * SHORT)
    assert waiting == {receiver}
    stopped.kill()
    make_peer().run(send, "channel")
    assert await soon(receiver) == MESSAGE


async def send(layer: Any, say: Any, channel: str) -> None:
    await layer.send(channel, MESSAGE)


async def test_a_cancelled_receiver_gives_its_turn_back_later(make_layer, stop, make_peer):
    """It cannot at once, and another process waits for the message."""
    layer = make_layer()
    receiver = asyncio.ensure_future(layer.receive("channel"))
    other = asyncio.ensure_future(layer.receive("other"))  # keeps the loop's timers
    await asyncio.sleep(0)
    peer = make_peer()
    peer.begin(receive, "channel")
    assert peer.hear() == "waiting"
    run_alone(layer.send("channel", MESSAGE))  # the turn is this process's: it came first
    stopped = stop()
    receiver.cancel()
    await asyncio.wait([receiver], timeout=0.05)

    stopped.kill()
    result: asyncio.Future[Any] = asyncio.get_running_loop().run_in_executor(None, peer.hear)
    assert await soon(result) == MESSAGE
    other.cancel()


async def receive(layer: Any, say: Any, channel: str) -> Any:
    receiver = asyncio.ensure_future(layer.receive(channel))
    await asyncio.sleep(0)
    say("waiting")
    return await receiver


async def test_a_turn_that_cannot_be_had_is_not_asked_for_without_a_pause(
    make_layer, stop, monkeypatch
):
    layer = make_layer()
    receivers = [asyncio.ensure_future(layer.receive(name)) for name in ("channel", "other")]
    await asyncio.sleep(0)
    run_alone(layer.send("channel", MESSAGE))
    stopped = stop()
    armed = []
    arm = layer._attachment.arm
    monkeypatch.setattr(layer._attachment, "arm", lambda: armed.append(1) or arm())

    await asyncio.wait(receivers, timeout=0.05)
    # It would say at once that something is there.
    assert armed == []
    stopped.kill()
    assert await soon(receivers[0]) == MESSAGE
    receivers[1].cancel()


async def test_how_long_it_lasts_is_not_counted_from_an_earlier_one(layer, monkeypatch):
    """What the log says of a lock that is not had it says only when that lasts."""
    monkeypatch.setattr(_receiver, "TICK", 0.01)
    receiver = asyncio.ensure_future(layer.receive("channel"))
    await asyncio.sleep(0)
    (watch,) = layer._receiver._watches.values()
    with monkeypatch.context() as refused:
        refused.setattr(layer._attachment, "ready", lambda: ([], LockTimeout("stopped")))
        layer._receiver._on_bell(watch)
    assert watch.stuck_since is not None
    layer._receiver._begin_anew()  # in another segment; there is no second look
    assert watch.again is None

    ticked = asyncio.Event()
    tick = layer._attachment.tick
    monkeypatch.setattr(layer._attachment, "tick", lambda: ticked.set() or tick())
    await soon(ticked.wait())
    assert watch.stuck_since is None
    receiver.cancel()


async def test_a_layer_closes_nevertheless(make_layer, stop, layer):
    closing = make_layer()
    channel = await closing.new_channel()
    await layer.group_add("group", channel)
    stopped = stop()

    await soon(closing.close())
    stopped.kill()
    # What it had goes as that of a process that has died.
    layer._attachment.tick()
    assert layer._attachment.info().attached == 1


def test_a_thread_waits_for_as_long(make_layer, stop):
    """A coroutine that is driven without any loop has nothing else to do."""
    layer = make_layer(lock_timeout=TIMEOUT)
    run_alone(layer.new_channel())
    stopped = stop()
    killer = threading.Timer(0.1, stopped.kill)
    killer.start()
    run_alone(layer.send("channel", MESSAGE))
    killer.join()
    assert run_alone(layer.receive("channel")) == MESSAGE
