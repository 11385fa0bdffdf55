"""The layer as a state machine: every outcome is the model's, every state is sound."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from asgi_shm import ChannelFull, ShmChannelLayer, _receiver, unlink
from tests.stateful.model import Model, client
from tests.support import (
    NO_TICK,
    TIMEOUT,
    Clock,
    fresh_prefix,
    leftovers,
    receive_nowait,
    run_alone,
)

# Few, so that what is done to one of them meets what was done to it before.
NORMAL = ["small", "other", "server!one", "server!two"]
GROUPS = ["one", "two"]
LAYERS = 3

# Never a whole number, so that nothing is looked at in the instant of its deadline.
EXPIRY, GROUP_EXPIRY = 4.5, 8.5
CAPACITIES = {"small": 2, "other": 4}

indexes = st.integers(0, 10**6)
# Of sizes that take a small block, a large block, and a chain of pages.
BODIES = {"small": 1, "large": b"x" * 1500, "huge": "x" * 9000}
bodies = st.sampled_from(sorted(BODIES))


@pytest.fixture(autouse=True)
def no_tick(monkeypatch):
    monkeypatch.setattr(_receiver, "TICK", NO_TICK)


class LayerMachine(RuleBasedStateMachine):
    """Several layers of one prefix in one process, each a participant of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.prefix = fresh_prefix()
        self.loop = asyncio.new_event_loop()
        self.clock = Clock()
        self.model = Model(EXPIRY, GROUP_EXPIRY, CAPACITIES)
        self.layers: list[Any] = []
        self.channels = list(NORMAL)
        self.owner: dict[str | None, Any] = {}
        self.waiting: dict[str, list[asyncio.Task[Any]]] = {}
        self.number = 0

    def teardown(self) -> None:
        try:
            self.stop_waiting()
            self.drain()
            for layer in self.layers:
                self.run(layer.close())
        finally:
            self.loop.close()
            unlink(self.prefix)
        assert leftovers(self.prefix) == []

    # What the rules are made of.

    def run(self, coroutine: Any) -> Any:
        return self.loop.run_until_complete(coroutine)

    def layer(self, index: int) -> Any:
        return self.layers[index % len(self.layers)]

    def channel(self, index: int) -> str:
        return self.channels[index % len(self.channels)]

    def reader(self, channel: str, index: int) -> Any:
        """Who may receive from a channel: its owner, or anybody."""
        return self.owner.get(client(channel)) or self.layer(index)

    def memberships(self) -> list[tuple[str, str]]:
        return [(group, name) for group, names in self.model.groups.items() for name in names]

    def message(self, body: str) -> dict[str, Any]:
        self.number += 1
        return {"number": self.number, "body": BODIES[body]}

    def drain(self) -> None:
        """Everything that the model still holds is there, and nothing else."""
        for channel in self.channels:
            reader = self.reader(channel, 0)
            while (expected := self.model.receive(channel)) is not None:
                assert self.run(receive_nowait(reader, channel)) == expected
            assert self.run(receive_nowait(reader, channel)) is None
        self.layers[0]._attachment.sweep()
        info = self.layers[0]._attachment.info()
        assert (info.messages, info.message_used) == (0, 0)

    def stop_waiting(self) -> None:
        for tasks in self.waiting.values():
            for task in tasks:
                task.cancel()
            if tasks:
                self.run(asyncio.wait(tasks))
            assert all(task.cancelled() for task in tasks)
        self.waiting.clear()

    def serve_waiting(self) -> None:
        """Whoever waits and has a message must get one; who gets which is open."""
        for channel, tasks in self.waiting.items():
            served = [self.model.receive(channel) for _ in tasks]
            expected = [message for message in served if message is not None]
            received = []
            while len(received) < len(expected):
                done, _ = self.run(
                    asyncio.wait(tasks, timeout=TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
                )
                assert done, f"nobody is woken for {channel}"
                received += [task.result() for task in done]
                tasks[:] = [task for task in tasks if task not in done]
            assert sorted(received, key=number_of) == expected

    # The rules.

    @initialize()
    def open_layers(self) -> None:
        for _ in range(LAYERS):
            self.open_layer()

    @precondition(lambda self: len(self.layers) < LAYERS)
    @rule()
    def open_layer(self) -> None:
        layer = ShmChannelLayer(
            prefix=self.prefix,
            expiry=EXPIRY,
            group_expiry=GROUP_EXPIRY,
            capacity=CAPACITIES["other"],
            channel_capacity={"small*": CAPACITIES["small"]},
            message_memory=4 * 1024 * 1024,
            group_memory=4 * 1024 * 1024,
        )
        self.clock.follow(layer)
        self.layers.append(layer)

    @precondition(lambda self: len(self.layers) > 1)
    @rule(index=indexes)
    def close_layer(self, index: int) -> None:
        self.stop_waiting()
        layer = self.layers.pop(index % len(self.layers))
        self.clock.forget(layer)
        self.run(layer.close())
        for process in [name for name, owner in self.owner.items() if owner is layer]:
            self.model.leave(process)
            del self.owner[process]
            self.channels = [name for name in self.channels if client(name) != process]

    @precondition(lambda self: len(self.channels) < 6)
    @rule(index=indexes, prefix=st.sampled_from(["small", "other"]))
    def new_channel(self, index: int, prefix: str) -> None:
        layer = self.layer(index)
        channel = run_alone(layer.new_channel(prefix))
        assert channel not in self.channels
        self.owner[client(channel)] = layer
        self.channels.append(channel)

    @rule(index=indexes, to=indexes, body=bodies, times=st.sampled_from([1, 1, 1, 2, 6]))
    def send(self, index: int, to: int, body: str, times: int) -> None:
        layer, channel = self.layer(index), self.channel(to)
        for _ in range(times):
            message = self.message(body)
            fits = self.model.send(channel, message)
            try:
                run_alone(layer.send(channel, message))
            except ChannelFull:
                assert not fits
            else:
                assert fits
        self.serve_waiting()

    @rule(index=indexes, of=indexes)
    def receive(self, index: int, of: int) -> None:
        channel = self.channel(of)
        if channel not in self.waiting:
            received = self.run(receive_nowait(self.reader(channel, index), channel))
            assert received == self.model.receive(channel)

    @rule(index=indexes, of=indexes)
    def receive_by_prefix(self, index: int, of: int) -> None:
        channel = self.channel(of)
        process = client(channel)
        # Which of two copies comes first is open, and their order with others then, too.
        if process and not self.waiting and not self.model.ambiguous(f"{process}!"):
            received = self.run(receive_nowait(self.reader(channel, index), f"{process}!"))
            assert received == self.model.receive(f"{process}!")

    @rule(index=indexes, of=indexes)
    def begin_receive(self, index: int, of: int) -> None:
        channel = self.channel(of)
        task = self.loop.create_task(self.reader(channel, index).receive(channel))
        self.waiting.setdefault(channel, []).append(task)
        self.run(asyncio.sleep(0))
        self.serve_waiting()

    @precondition(lambda self: any(self.waiting.values()))
    @rule(index=indexes, woken=st.booleans())
    def cancel_receive(self, index: int, *, woken: bool) -> None:
        """Cancel a receive that waits, or that would not wait any more."""
        tasks = [(name, task) for name, waiting in self.waiting.items() for task in waiting]
        channel, task = tasks[index % len(tasks)]
        if woken:
            message = self.message("small")
            assert self.model.send(channel, message)
            run_alone(self.layer(index).send(channel, message))
        task.cancel()
        self.run(asyncio.wait([task]))
        assert task.cancelled()
        for waiting in self.waiting.values():
            waiting[:] = [other for other in waiting if other is not task]
        self.serve_waiting()

    @rule(index=indexes, group=st.sampled_from(GROUPS), chosen=st.sets(indexes, max_size=4))
    def group_add(self, index: int, group: str, chosen: set[int]) -> None:
        for channel in sorted({self.channel(to) for to in chosen}):
            self.add(index, group, channel)

    @precondition(lambda self: self.memberships())
    @rule(index=indexes, which=indexes)
    def renew(self, index: int, which: int) -> None:
        there = self.memberships()
        self.add(index, *there[which % len(there)])

    def add(self, index: int, group: str, channel: str) -> None:
        run_alone(self.layer(index).group_add(group, channel))
        self.model.group_add(group, channel)

    @rule(index=indexes, which=indexes)
    def group_discard(self, index: int, which: int) -> None:
        """End one of the memberships, or one that there is not."""
        candidates = [*self.memberships(), ("one", "nobody")]
        group, channel = candidates[which % len(candidates)]
        run_alone(self.layer(index).group_discard(group, channel))
        self.model.group_discard(group, channel)

    # 70 are more than a mailbox keeps before the sender delivers them itself.
    @rule(
        index=indexes,
        group=st.sampled_from(GROUPS),
        body=bodies,
        times=st.sampled_from([1, 1, 1, 2, 6, 70]),
    )
    def group_send(self, index: int, group: str, body: str, times: int) -> None:
        for _ in range(times):
            message = self.message(body)
            run_alone(self.layer(index).group_send(group, message))
            self.model.group_send(group, message)
            self.serve_waiting()

    @rule(seconds=st.sampled_from([1, 3, 5, 10]))
    def pass_time(self, seconds: int) -> None:
        self.clock.advance(seconds)
        self.model.now += seconds

    @rule(index=indexes)
    def sweep(self, index: int) -> None:
        self.layer(index)._attachment.sweep()

    # More would leave too little to look at.
    @rule(index=indexes, really=st.sampled_from([False, False, False, True]))
    def flush(self, index: int, *, really: bool) -> None:
        if really:
            self.run(self.layer(index).flush())
            self.model.flush()

    @invariant()
    def sound(self) -> None:
        for layer in self.layers[:1]:
            layer._attachment.verify()


def number_of(message: dict[str, Any]) -> int:
    number: int = message["number"]
    return number


TestLayer = LayerMachine.TestCase
# The same short walks each time. For a long search of new ones:
# EXPLORE=5000 python -m pytest tests/stateful
TestLayer.settings = settings(
    max_examples=int(os.environ.get("EXPLORE", "500")),
    derandomize="EXPLORE" not in os.environ,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
