"""Another process, with a layer of its own, that does what the test asks it to.

An order is a coroutine function of this package and its arguments. The peer runs
it in a new event loop, as ``work(layer, say, *arguments)``; ``say`` sends the test
a word while the work goes on.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import select
import signal
from collections.abc import Callable, Coroutine
from multiprocessing import connection
from typing import TYPE_CHECKING, Any

from asgi_shm import ShmChannelLayer, _receiver
from tests.support import NO_TICK, TIMEOUT, stop

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

Say = Callable[[Any], None]
Work = Callable[..., Coroutine[Any, Any, Any]]

CONTEXT = multiprocessing.get_context("spawn")


class Peer:
    """The test's end of the other process.

    It may run as another user, in further `groups` than the one with the user's number. Only
    with `ticks` does it look after the dead and the segment while it waits.
    """

    def __init__(
        self,
        prefix: str,
        *,
        user: int | None = None,
        groups: tuple[int, ...] = (),
        ticks: bool = False,
        **options: Any,
    ) -> None:
        self._prefix = prefix
        self._connection, theirs = CONTEXT.Pipe()
        self._process = CONTEXT.Process(
            target=_serve,
            args=(theirs, (user, groups), ticks, {"prefix": prefix, **options}),
            daemon=True,
        )
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def begin(self, work: Work, *arguments: Any) -> None:
        """Give an order and do not wait for its end."""
        self._connection.send((work, arguments))

    def hear(self) -> Any:
        """The next word of the work under way, or its result; raises what it raised."""
        assert self._connection.poll(TIMEOUT), "the peer says nothing"
        word = self._connection.recv()
        if isinstance(word, BaseException):
            raise word
        return word

    def speaks(self) -> bool:
        """Whether hear() would return at once."""
        return self._connection.poll()

    def heard(self) -> list[Any]:
        """Every word that the peer has said and the test has not heard."""
        words = []
        try:
            while self._connection.poll():
                words.append(self._connection.recv())
        except (EOFError, ConnectionResetError):
            pass  # it is gone, and this was the last
        return words

    def run(self, work: Work, *arguments: Any) -> Any:
        """Give an order and wait for its result."""
        self.begin(work, *arguments)
        return self.hear()

    def call(self, method: str, *arguments: Any) -> Any:
        """Await a coroutine of the layer in the peer."""
        return self.run(call, method, *arguments)

    def begin_receive(self, channel: str) -> None:
        """Start a receive and return when it waits; hear() gives its message."""
        self.begin(wait_and_receive, channel)
        assert self.hear() == "waiting"

    def stop(self, *, holding: str | None = None) -> None:
        stop(self.pid, self._prefix, holding=holding)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._wait_for_its_end()

    def close(self) -> None:
        """Let the process end as a program does that has reached its last line."""
        if self._process.exitcode is None:
            self._connection.send(None)
            self._wait_for_its_end()
            assert self._process.exitcode == 0

    def _wait_for_its_end(self) -> None:
        # Not with join(): that waits for a pipe which children of the peer hold, too.
        ended = os.pidfd_open(self.pid)
        in_time = select.select([ended], [], [], TIMEOUT)[0]
        os.close(ended)
        if not in_time:
            self._process.kill()  # it may be stopped, and the tests' process would wait for it
        assert in_time, "the peer does not end"


def hear_from(peers: list[Peer], count: int) -> list[Any]:
    """So many words, of whichever of the peers."""
    words: list[Any] = []
    while len(words) < count:
        ready = connection.wait([peer._connection for peer in peers], TIMEOUT)
        assert ready, f"the peers say nothing after {words}"
        words += [peer.hear() for peer in peers if peer._connection in ready]
    return words


def _serve(ours: Connection, who: Any, ticks: object, options: dict[str, Any]) -> None:
    if not ticks:
        _receiver.TICK = NO_TICK
    layer = None
    while (order := ours.recv()) is not None:
        work, arguments = order
        try:
            if layer is None:
                # Not before an order has imported what another user may not be able to read.
                become(*who)
                layer = ShmChannelLayer(**options)
            ours.send(asyncio.run(work(layer, ours.send, *arguments)))
        except Exception as error:
            ours.send(error)


def become(user: int | None, groups: tuple[int, ...] = ()) -> None:
    if user is not None:
        os.setgroups(groups)
        os.setgid(user)
        os.setuid(user)


async def call(layer: Any, say: Say, method: str, *arguments: Any) -> Any:
    return await getattr(layer, method)(*arguments)


async def wait_and_receive(layer: Any, say: Say, channel: str) -> Any:
    receiver = asyncio.ensure_future(layer.receive(channel))
    await asyncio.sleep(0)
    say("there already" if receiver.done() else "waiting")
    return await receiver
