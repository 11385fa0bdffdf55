"""A participant that is another process: forked, told what to do, killed between two orders.

While it has no order it stands still, as a process does that is stopped. So a turn to receive
that it is given stays with it, until it is killed and somebody finds it dead.
"""

from __future__ import annotations

import asyncio
import os
import signal
from multiprocessing import Pipe
from typing import TYPE_CHECKING, Any

from tests.support import TIMEOUT, receive_nowait, run_alone

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection


class Remote:
    """The tests' end. It has the methods of a layer, and of an attachment, that are used."""

    def __init__(self, find_layer: Callable[[], Any]) -> None:
        """`find_layer` is called in the child: it makes a layer, or finds the parent's."""
        self._connection, theirs = Pipe()
        self._attachment = self
        self.pid = os.fork()
        if self.pid == 0:
            self._connection.close()
            _live(theirs, find_layer)
        theirs.close()

    def _order(self, name: str, *arguments: Any, **options: Any) -> Any:
        self._connection.send((name, arguments, options))
        assert self._connection.poll(TIMEOUT), f"no answer to {name}"
        answer = self._connection.recv()
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def send(self, channel: str, message: Any, expiry: float | None = None) -> None:
        self._order("call", "send", channel, message, expiry=expiry)

    async def new_channel(self, prefix: str) -> Any:
        return self._order("call", "new_channel", prefix)

    async def group_add(self, group: str, channel: str) -> None:
        self._order("call", "group_add", group, channel)

    async def group_discard(self, group: str, channel: str) -> None:
        self._order("call", "group_discard", group, channel)

    async def discard_all(self, channel: str) -> None:
        self._order("call", "discard_all", channel)

    async def group_channels(self, group: str) -> Any:
        return self._order("call", "group_channels", group)

    async def group_count(self, group: str) -> Any:
        return self._order("call", "group_count", group)

    async def channel_size(self, channel: str) -> Any:
        return self._order("call", "channel_size", channel)

    async def channel_statistics(self, channel: str) -> Any:
        return self._order("call", "channel_statistics", channel)

    async def global_statistics(self) -> Any:
        return self._order("call", "global_statistics")

    async def group_send(self, group: str, message: Any, **options: Any) -> Any:
        """What a layer's returns, but -1 for a message that was dropped for want of memory."""
        return self._order("group_send", group, message, **options)

    async def flush(self) -> None:
        self._order("call", "flush")

    def set_clock(self, now_ns: int) -> None:
        self._order("attachment", "set_clock", now_ns)

    def tick(self) -> None:
        self._order("attachment", "tick")

    def sweep(self) -> None:
        self._order("attachment", "sweep")

    def receive_nowait(self, channel: str) -> Any:
        return self._order("receive_nowait", channel)

    def begin_receive(self, channel: str) -> Any:
        """Wait for a channel, from now until the end; the message if one is there already."""
        return self._order("begin_receive", channel)

    def fork_and_die(self, group: str) -> str:
        """Have a child that makes a channel, joins a group and is killed; whose it was."""
        name: str = self._order("fork_and_die", group)
        return name

    async def close(self) -> None:
        """Close the layer and end."""
        self._order("close")
        self._end()

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self._end()

    def _end(self) -> None:
        self._connection.close()
        os.waitpid(self.pid, 0)


class Dropped:
    """Stands where a layer warns of messages to groups that were dropped: counts them."""

    count = 0

    def warning(self, *_: object) -> None:
        self.count += 1


class _Child:
    def __init__(self, layer: Any) -> None:
        self.layer = layer
        self.loop = asyncio.new_event_loop()
        self.waiting: list[asyncio.Task[Any]] = []

    def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        return run_alone(getattr(self.layer, method)(*arguments, **options))

    def attachment(self, method: str, *arguments: Any) -> Any:
        return getattr(self.layer._attachment, method)(*arguments)

    def receive_nowait(self, channel: str) -> Any:
        return self.loop.run_until_complete(receive_nowait(self.layer, channel))

    def group_send(self, group: str, message: Any, **options: Any) -> Any:
        before = self.layer._attachment._unsent.count
        report = run_alone(self.layer.group_send(group, message, **options))
        return report if self.layer._attachment._unsent.count == before else -1

    def begin_receive(self, channel: str) -> Any:
        # In a loop of its own, which does not run again: it takes nothing later.
        loop = asyncio.new_event_loop()
        task = loop.create_task(self.layer.receive(channel))
        loop.run_until_complete(asyncio.sleep(0))
        if not task.done():
            self.waiting.append(task)
            return None
        loop.close()
        return task.result()

    def fork_and_die(self, group: str) -> str:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                channel = run_alone(self.layer.new_channel())
                run_alone(self.layer.group_add(group, channel))
                os.write(writing, channel.encode())
            finally:
                os.kill(os.getpid(), signal.SIGKILL)
        os.close(writing)
        os.waitpid(pid, 0)
        with os.fdopen(reading) as pipe:
            return pipe.read()

    def close(self) -> None:
        for task in self.waiting:
            task.cancel()
            task.get_loop().run_until_complete(asyncio.wait([task]))
            assert task.cancelled()
        self.loop.run_until_complete(self.layer.close())


def _live(connection: Connection, find_layer: Callable[[], Any]) -> None:
    try:
        child = _Child(find_layer())
        name = ""
        while name != "close":
            name, arguments, options = connection.recv()
            try:
                answer = getattr(child, name)(*arguments, **options)
            except Exception as error:
                answer = error
            connection.send(answer)
    finally:
        os._exit(0)
