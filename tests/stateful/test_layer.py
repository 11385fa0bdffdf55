"""The layer as a state machine: every outcome is the model's, every state is sound."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from asgi_shm import ChannelFull, ShmChannelLayer, _receiver, unlink
from asgi_shm.errors import MemoryFull
from tests.stateful.model import Model, client
from tests.stateful.remote import Dropped, Remote
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
NORMAL = ["small", "other", "ample", "server!one", "server!two"]
GROUPS = ["one", "two"]
LAYERS = 3
REMOTES = 2
MIB = 1024 * 1024

# Between two messages. Who finds no memory looks for some only once in 10 ms.
MOMENT = 0.0137
# Never a whole number, so that nothing is looked at in the instant of its deadline.
EXPIRY, GROUP_EXPIRY = 4.5, 8.5
CAPACITIES = {"small": 2, "other": 4, "ample": 1000}

indexes = st.integers(0, 10**6)
# Of sizes that take a small block, a large block, and a chain of pages.
BODIES = {"small": 1, "large": b"x" * 1500, "huge": "x" * 9000}
FILLER = b"x" * 50_000
bodies = st.sampled_from(sorted(BODIES))
# None: as the layer's option says.
expiries = st.sampled_from([None, None, 2.5, 40.5])


@pytest.fixture(autouse=True)
def no_tick(monkeypatch):
    monkeypatch.setattr(_receiver, "TICK", NO_TICK)


class LayerMachine(RuleBasedStateMachine):
    """Several layers of one prefix in one process, and others in processes that it forks.

    Each is a participant of its own. What a dead one leaves is there until somebody looks.
    """

    def __init__(self) -> None:
        super().__init__()
        self.prefix = fresh_prefix()
        self.loop = asyncio.new_event_loop()
        self.clock = Clock()
        self.model = Model(EXPIRY, GROUP_EXPIRY, CAPACITIES)
        self.layers: list[Any] = []
        self.channels = list(NORMAL)
        self.owner: dict[str | None, Any] = {}
        self.remotes: list[Remote] = []
        self.waiting: dict[str, list[asyncio.Task[Any]]] = {}
        # Where a remote waits, which does not run, or waited that nobody has found dead yet.
        self.stuck: dict[str, set[Any]] = {}
        self.dropped = Dropped()
        self.number = 0

    def teardown(self) -> None:
        try:
            self.stop_waiting()
            self.drain()
            for participant in [*self.layers, *self.remotes]:
                self.run(participant.close())
        except BaseException:
            for remote in self.remotes:
                with contextlib.suppress(OSError):  # it has been closed
                    remote.kill()
            raise
        finally:
            self.loop.close()
            unlink(self.prefix)
        assert leftovers(self.prefix) == []

    # What the rules are made of.

    def run(self, coroutine: Any) -> Any:
        return self.loop.run_until_complete(coroutine)

    def layer(self, index: int) -> Any:
        participants = [*self.layers, *self.remotes]
        return participants[index % len(participants)]

    def channel(self, index: int) -> str:
        return self.channels[index % len(self.channels)]

    def reader(self, channel: str, index: int) -> Any:
        """Who may receive from a channel: its owner, or anybody."""
        return self.owner.get(client(channel)) or self.layer(index)

    def memberships(self) -> list[tuple[str, str]]:
        return [(group, name) for group, names in self.model.groups.items() for name in names]

    def next(self) -> int:
        self.pass_time(MOMENT)
        self.number += 1
        return self.number

    def message(self, body: str) -> dict[str, Any]:
        return {"number": self.next(), "body": BODIES[body]}

    def drain(self) -> None:
        """Everything that the model still holds is there, and nothing else."""
        for channel in self.channels:
            reader = self.reader(channel, 0)
            while (expected := self.model.receive(channel)) is not None:
                assert self.look(reader, channel) == expected
            assert self.look(reader, channel) is None
        self.reap()
        self.layers[0]._attachment.sweep()
        info = self.layers[0]._attachment.info()
        assert (info.messages, info.message_used) == (0, 0)

    def stop_waiting(self) -> None:
        for channel in list(self.waiting):
            self.stop_waiting_for(channel)

    def stop_waiting_for(self, channel: str) -> None:
        tasks = self.waiting.pop(channel)
        for task in tasks:
            task.cancel()
        if tasks:
            self.run(asyncio.wait(tasks))
        assert all(task.cancelled() for task in tasks)

    def look(self, reader: Any, channel: str) -> Any:
        """The message that stands first in a channel."""
        if isinstance(reader, Remote):
            return reader.receive_nowait(channel)
        return self.run(receive_nowait(reader, channel))

    def serve_waiting(self) -> None:
        """Whoever waits and has a message must get one; who gets which is open."""
        self.run(asyncio.sleep(0))
        for channel, tasks in self.waiting.items():
            if self.stuck.get(channel):
                self.note_served(channel)
                continue
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

    def note_served(self, channel: str) -> None:
        """Where the turn may be somebody's who does not run, nobody has to be served."""
        tasks = self.waiting[channel]
        received = [task.result() for task in tasks if task.done()]
        tasks[:] = [task for task in tasks if not task.done()]
        assert sorted(received, key=number_of) == [
            self.model.receive(channel) for _ in received
        ]

    def try_to_send(
        self, layer: Any, channel: str, message: dict[str, Any], expiry: float | None = None
    ) -> bool:
        """Send where there is room; False if there was no memory for it, either."""
        fits = len(self.model.queue(channel)) < self.model.capacity(channel)
        try:
            run_alone(layer.send(channel, message, expiry=expiry))
        except MemoryFull:  # it may be said first of a channel that is full, too
            self.check_that_memory_is_full(message)
            return False
        except ChannelFull:
            assert not fits
        else:
            assert self.model.send(channel, message, expiry)
        return True

    def check_that_memory_is_full(self, message: dict[str, Any]) -> None:
        """Nothing can have been swept or reaped, and the pages that are free are too few."""
        info = self.layers[0]._attachment.info()
        free = info.message_memory - info.message_used
        assert free < len(repr(message["body"])) + 8192

    def leave(self, process: str | None) -> None:
        """A process is gone, and what was its own."""
        self.model.leave(process)
        self.owner.pop(process, None)
        self.channels = [name for name in self.channels if client(name) != process]

    def leave_all(self, participant: Any) -> None:
        for process in [name for name, owner in self.owner.items() if owner is participant]:
            self.leave(process)

    # The rules.

    @initialize()
    def open_layers(self) -> None:
        for _ in range(LAYERS):
            self.open_layer()

    def make_layer(self) -> ShmChannelLayer:
        layer = ShmChannelLayer(
            prefix=self.prefix,
            expiry=EXPIRY,
            group_expiry=GROUP_EXPIRY,
            capacity=CAPACITIES["other"],
            channel_capacity={
                "small*": CAPACITIES["small"],
                "ample*": CAPACITIES["ample"],
            },
            message_memory=MIB,
            group_memory=MIB,
        )
        layer._attachment._unsent = self.dropped
        return layer

    @precondition(lambda self: len(self.layers) < LAYERS)
    @rule()
    def open_layer(self) -> None:
        layer = self.make_layer()
        self.clock.follow(layer)
        self.layers.append(layer)

    @precondition(lambda self: len(self.layers) > 1)
    @rule(index=indexes)
    def close_layer(self, index: int) -> None:
        self.stop_waiting()
        layer = self.layers.pop(index % len(self.layers))
        self.clock.forget(layer)
        self.run(layer.close())
        self.leave_all(layer)

    @precondition(lambda self: len(self.remotes) < REMOTES)
    @rule(index=indexes, inherited=st.booleans())
    def fork(self, index: int, *, inherited: bool) -> None:
        """A child with a layer of its own, or with one that its parent has used."""
        layer = self.layers[index % len(self.layers)]
        remote = Remote(lambda: layer if inherited else self.make_layer())
        self.clock.follow(remote)
        self.remotes.append(remote)

    @precondition(lambda self: self.remotes)
    @rule(index=indexes, killed=st.booleans())
    def end_remote(self, index: int, *, killed: bool) -> None:
        remote = self.remotes.pop(index % len(self.remotes))
        self.clock.forget(remote)
        if killed:
            remote.kill()
        else:
            self.run(remote.close())
            for waiters in self.stuck.values():
                waiters.discard(remote)
        self.leave_all(remote)
        self.serve_waiting()

    @precondition(lambda self: self.remotes)
    @rule(index=indexes, group=st.sampled_from(GROUPS))
    def fork_a_grandchild_and_kill_it(self, index: int, group: str) -> None:
        remote = self.remotes[index % len(self.remotes)]
        self.leave(client(remote.fork_and_die(group)))

    @rule()
    def find_the_dead(self) -> None:
        self.reap()
        self.serve_waiting()

    def reap(self) -> None:
        """Nobody is left that is dead; what they were told of others are told of."""
        self.clock.advance(1)
        self.model.now += 1
        self.layers[0]._attachment.tick()
        assert self.layers[0]._attachment.info().attached <= len(self.layers) + len(
            self.remotes
        )
        for waiters in self.stuck.values():
            waiters.intersection_update(self.remotes)

    @precondition(lambda self: self.remotes)
    @rule(index=indexes, of=indexes)
    def begin_remote_receive(self, index: int, of: int) -> None:
        """One that does not run, and so keeps the turn that it may be given."""
        channel = self.channel(of)
        remote = self.remotes[index % len(self.remotes)]
        owner = self.owner.get(client(channel))
        if self.waiting.get(channel) or owner not in (None, remote):
            return
        received = remote.begin_receive(channel)
        assert received == self.model.receive(channel)
        if received is None:
            self.stuck.setdefault(channel, set()).add(remote)

    @precondition(lambda self: len(self.channels) < 8)
    @rule(index=indexes, prefix=st.sampled_from(["small", "other"]))
    def new_channel(self, index: int, prefix: str) -> None:
        layer = self.layer(index)
        channel = run_alone(layer.new_channel(prefix))
        assert channel not in self.channels
        self.owner[client(channel)] = layer
        self.channels.append(channel)

    @rule(
        index=indexes,
        to=indexes,
        body=bodies,
        times=st.sampled_from([1, 1, 1, 2, 6]),
        expiry=expiries,
    )
    def send(self, index: int, to: int, body: str, times: int, expiry: float | None) -> None:
        layer, channel = self.layer(index), self.channel(to)
        for _ in range(times):
            self.try_to_send(layer, channel, self.message(body), expiry)
        self.serve_waiting()

    @rule(index=indexes)
    def fill_memory(self, index: int) -> None:
        layer = self.layer(index)
        sent = 0
        while self.try_to_send(layer, "ample", {"number": self.next(), "body": FILLER}):
            sent += 1
            assert sent < MIB // len(FILLER)
        self.serve_waiting()

    # It takes its time.
    @rule(index=indexes, really=st.sampled_from([*[False] * 9, True]))
    def fill_group_memory(self, index: int, *, really: bool) -> None:
        """As long as it is full others are refused, and nothing else happens to them."""
        if not really:
            return
        layer = self.layers[index % len(self.layers)]
        joined = self.join_until_full(layer, "hoard")
        layer._attachment.verify()
        others = self.join_until_full(self.layer(index), "another")
        self.serve_waiting()
        for number in range(joined):
            run_alone(layer.group_discard("hoard", f"hoard.{number}"))
        for number in range(others):
            run_alone(layer.group_discard("hoard", f"another.{number}"))
        layer._attachment.sweep()

    def join_until_full(self, layer: Any, name: str) -> int:
        """How many of this name are in a group then, to which nobody sends."""
        for number in range(MIB // 64):
            try:
                run_alone(layer.group_add("hoard", f"{name}.{number}"))
            except MemoryFull:  # noqa: PERF203 -- the last round
                return number
        raise AssertionError("there is no end to it")

    @rule(index=indexes, of=indexes)
    def receive(self, index: int, of: int) -> None:
        channel = self.channel(of)
        if channel not in self.waiting:
            received = self.look(self.reader(channel, index), channel)
            assert received == self.model.receive(channel)

    @rule(index=indexes, of=indexes)
    def receive_by_prefix(self, index: int, of: int) -> None:
        channel = self.channel(of)
        process = client(channel)
        # Which of two copies comes first is open, and their order with others then, too.
        if process and not self.waiting and not self.model.ambiguous(f"{process}!"):
            received = self.look(self.reader(channel, index), f"{process}!")
            assert received == self.model.receive(f"{process}!")

    @rule(index=indexes, of=indexes)
    def begin_receive(self, index: int, of: int) -> None:
        channel = self.channel(of)
        owner = self.owner.get(client(channel), self.layers[index % len(self.layers)])
        if isinstance(owner, Remote):
            return
        task = self.loop.create_task(owner.receive(channel))
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
            self.try_to_send(self.layer(index), channel, self.message("small"))
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

    @rule(index=indexes, of=indexes)
    def discard_all(self, index: int, of: int) -> None:
        channel = self.channel(of)
        run_alone(self.layer(index).discard_all(channel))
        self.model.discard_all(channel)

    @rule(index=indexes, group=st.sampled_from(GROUPS))
    def ask_who_is_in_a_group(self, index: int, group: str) -> None:
        self.find_the_dead()
        members = run_alone(self.layer(index).group_channels(group))
        assert sorted(members) == sorted(self.model.members(group))
        assert run_alone(self.layer(index).group_count(group)) == len(members)

    @rule(index=indexes, of=indexes)
    def ask_for_figures(self, index: int, of: int) -> None:
        self.find_the_dead()
        layer, channel = self.layer(index), self.channel(of)
        figures = run_alone(layer.channel_statistics(channel))
        assert figures["messages_pending"] == len(self.model.queue(channel))
        assert figures["messages_pending"] == run_alone(layer.channel_size(channel))
        assert figures["messages_max_age"] == pytest.approx(self.model.age(channel), abs=0.1)
        layer._attachment.sweep()
        assert run_alone(layer.global_statistics())["messages_pending"] == self.model.pending()

    # 70 are more than a mailbox keeps before the sender delivers them itself.
    @rule(
        index=indexes,
        group=st.sampled_from(GROUPS),
        body=bodies,
        times=st.sampled_from([1, 1, 1, 2, 6, 70]),
        expiry=expiries,
    )
    def group_send(
        self, index: int, group: str, body: str, times: int, expiry: float | None
    ) -> None:
        for _ in range(times):
            self.send_to_group(self.layer(index), group, self.message(body), expiry=expiry)
            self.serve_waiting()

    @rule(
        index=indexes,
        group=st.sampled_from(GROUPS),
        body=bodies,
        but=st.sets(indexes, max_size=3),
        report=st.booleans(),
    )
    def group_send_but(
        self, index: int, group: str, body: str, but: set[int], *, report: bool
    ) -> None:
        """Not to some, and with word of who got it: it counts the dead who are not found."""
        if report:
            self.find_the_dead()
        exclude = sorted({self.channel(of) for of in but})
        self.send_to_group(
            self.layer(index), group, self.message(body), exclude=exclude, report=report
        )
        self.serve_waiting()

    def send_to_group(
        self, layer: Any, group: str, message: dict[str, Any], **options: Any
    ) -> None:
        """To all, or to nobody if there is no memory for it."""
        before = self.dropped.count
        report = run_alone(layer.group_send(group, message, **options))
        if report == -1 or self.dropped.count > before:
            self.check_that_memory_is_full(message)
            return
        expected = self.model.group_send(
            group, message, options.get("expiry"), options.get("exclude", ())
        )
        if options.get("report"):
            assert report == expected

    @rule(seconds=st.sampled_from([1, 3, 5, 10]))
    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.model.now += seconds

    # More would leave too little to look at.
    @rule(really=st.booleans())
    def replace_segment(self, *, really: bool) -> None:
        """What was in it is gone; who waits for what any process may read waits on."""
        if not really:
            return
        for channel in [name for name in self.waiting if client(name) in self.owner]:
            self.stop_waiting_for(channel)
        unlink(self.prefix)
        for participant in [*self.layers, *self.remotes]:
            participant._attachment.tick()
        self.model.flush()
        for process in list(self.owner):
            self.leave(process)
        self.stuck.clear()
        for channel in [name for name, tasks in self.waiting.items() if tasks]:
            assert self.try_to_send(self.layers[-1], channel, self.message("small"))
        self.serve_waiting()

    @rule(index=indexes)
    def sweep(self, index: int) -> None:
        self.layer(index)._attachment.sweep()

    # As above.
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
# EXPLORE=5000 python -m pytest -o faulthandler_timeout=0 tests/stateful
TestLayer.settings = settings(
    max_examples=int(os.environ.get("EXPLORE", "200")),
    derandomize="EXPLORE" not in os.environ,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
