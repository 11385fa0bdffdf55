"""What systemd does with RemoveIPC=yes at the end of a session: the objects go, processes stay.

They all notice by themselves, go on together with a new segment, and say so once.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from typing import Any

import pytest

from asgi_shm._attachment import TICK
from tests.multiprocess.peer import Peer
from tests.support import SHM, TIMEOUT, leftovers, soon


class Notices(logging.Handler):
    """What the package logs; sets an event of the loop that made it."""

    def __init__(self, say: Any) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.event = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._say = say
        logging.getLogger("asgi_shm").addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())
        self._say("noticed")
        self._loop.call_soon_threadsafe(self.event.set)


async def outlive(layer: Any, say: Any, me: int, everybody: list[int]) -> Any:
    """Only wait, in two loops; and once the segment is another one, greet everybody there."""
    notices = Notices(say)
    tick = layer._attachment.tick
    layer._attachment.tick = lambda: say("tick") or tick()
    in_thread: list[Any] = []
    thread = threading.Thread(
        target=lambda: in_thread.append(asyncio.run(soon(layer.receive(f"thread.{me}"))))
    )
    thread.start()
    first = asyncio.ensure_future(layer.receive(f"to.{me}"))
    await asyncio.sleep(0)
    say("waiting")
    await soon(notices.event.wait())
    for other in everybody:
        await layer.send(f"to.{other}", {"from": me})
    await layer.send(f"thread.{everybody[everybody.index(me) - 1]}", {"from": me})
    heard = [await soon(first)]
    heard += [await soon(layer.receive(f"to.{me}")) for _ in everybody[1:]]
    await asyncio.to_thread(thread.join, TIMEOUT)
    layer._attachment.verify()
    return notices.texts, heard, in_thread


def remove(names: list[str]) -> None:
    for name in names:
        (SHM / name).unlink(missing_ok=True)


def hear_of_it(peer: Peer) -> int:
    """Wait until a peer has noticed; how often it has looked after the segment before."""
    words = []
    while (word := peer.hear()) != "noticed":
        words.append(word)
    return words.count("tick")


@pytest.mark.parametrize("order", ["by chance", "segment first", "segment alone"])
def test_survivors_go_on_together(make_peer, prefix, order):
    everybody = list(range(4))
    peers = [make_peer(ticks=True) for _ in everybody]
    for me, peer in enumerate(peers):
        peer.begin(outlive, me, everybody)
        while peer.hear() != "waiting":
            pass
    names = leftovers(prefix)
    segment = [name for name in names if ":" not in name]
    assert len(segment) == 1
    assert [name for name in names if ":bell." in name]
    random.Random(order).shuffle(names)
    for peer in peers:
        peer.stop()
        peer.heard()
    remove(names if order == "by chance" else segment)
    for peer in peers:
        peer.resume()
    for number, peer in enumerate(peers):
        # With the next tick of either of its two loops: the other's may have begun as well.
        assert hear_of_it(peer) <= 2
        if number == 0 and order == "segment first":
            remove([name for name in names if ":" in name])
    assert TICK < 2
    for me, peer in enumerate(peers):
        while isinstance(result := peer.hear(), str):
            assert result == "tick"
        texts, heard, in_thread = result
        assert len(texts) == 1
        assert "was removed while in use" in texts[0]
        assert "RemoveIPC=no" in texts[0]
        assert sorted(message["from"] for message in heard) == everybody
        assert in_thread == [{"from": (me + 1) % len(everybody)}]
    ids = {
        name.split(":bell.")[1].split(".")[0] for name in leftovers(prefix) if "bell" in name
    }
    assert len(ids) == 1, "a bell of the old segment is left"
