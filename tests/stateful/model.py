"""What a channel layer does, in the plainest Python: the truth of the state machine."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Queued:
    number: int  # order of arrival, over all channels
    body: Any
    deadline: float
    made: float


@dataclass
class Model:
    """Channels, groups and a clock. Times are seconds."""

    expiry: float
    group_expiry: float
    capacities: dict[str, int]  # by the first five characters of a name, or "other"
    now: float = 0.0
    queues: dict[str, list[Queued]] = field(default_factory=dict)
    groups: dict[str, dict[str, float]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    arrivals: Any = field(default_factory=itertools.count)

    def capacity(self, channel: str) -> int:
        return self.capacities.get(channel[:5], self.capacities["other"])

    def queue(self, channel: str) -> list[Queued]:
        """The messages of a channel that have not expired, oldest first."""
        queue = self.queues.setdefault(channel, [])
        queue[:] = [queued for queued in queue if queued.deadline > self.now]
        return queue

    def send(self, channel: str, body: Any, expiry: float | None = None) -> bool:
        """Whether there was room. What goes to a process that is gone goes nowhere."""
        expiry = self.expiry if expiry is None else expiry
        if client(channel) in self.gone:
            return True
        queue = self.queue(channel)
        if len(queue) >= self.capacity(channel):
            return False
        queue.append(Queued(next(self.arrivals), body, self.now + expiry, self.now))
        return True

    def receive(self, channel: str) -> Any:
        """The oldest message of a channel, or of all with the prefix; None if there is none."""
        names = [channel]
        if channel.endswith("!"):
            names = [name for name in self.queues if name.startswith(channel)]
        waiting = [(self.queue(name)[0].number, name) for name in names if self.queue(name)]
        return self.queue(min(waiting)[1]).pop(0).body if waiting else None

    def ambiguous(self, prefix: str) -> bool:
        """Whether two channels of a prefix begin with copies of one message to a group."""
        heads = [
            queue[0].body["number"]
            for name in list(self.queues)
            if name.startswith(prefix) and (queue := self.queue(name))
        ]
        return len(set(heads)) < len(heads)

    def group_add(self, group: str, channel: str) -> None:
        if client(channel) not in self.gone:
            self.groups.setdefault(group, {})[channel] = self.now + self.group_expiry

    def group_discard(self, group: str, channel: str) -> None:
        self.groups.get(group, {}).pop(channel, None)

    def discard_all(self, channel: str) -> None:
        for members in self.groups.values():
            members.pop(channel, None)

    def members(self, group: str) -> list[str]:
        joined = self.groups.get(group, {}).items()
        return [channel for channel, deadline in joined if deadline > self.now]

    def group_send(
        self, group: str, body: Any, expiry: float | None = None, exclude: Any = ()
    ) -> tuple[int, int]:
        """How many have got it, and how many had no room."""
        sent = [
            self.send(channel, body, expiry)
            for channel in self.members(group)
            if channel not in exclude
        ]
        return sent.count(True), sent.count(False)

    def age(self, channel: str) -> float:
        """Of the oldest message."""
        return max((self.now - queued.made for queued in self.queue(channel)), default=0.0)

    def pending(self) -> int:
        return sum(len(self.queue(channel)) for channel in self.queues)

    def flush(self) -> None:
        self.queues.clear()
        self.groups.clear()

    def leave(self, process: str) -> None:
        """A process goes, with its channels and their memberships."""
        self.gone.add(process)
        for name in [name for name in self.queues if client(name) == process]:
            del self.queues[name]
        for members in self.groups.values():
            for name in [name for name in members if client(name) == process]:
                del members[name]


def client(channel: str) -> str | None:
    """The part of a process-specific name that says whose it is."""
    process, mark, _ = channel.partition("!")
    return process if mark else None
