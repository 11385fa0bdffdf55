"""inspect.py: what one sees of a segment from outside, while other processes use it."""

from __future__ import annotations

import sys

import pytest

from asgi_shm import errors, unlink
from asgi_shm.inspect import COUNTERS, Observer
from tests.multiprocess.peer import CONTEXT, become
from tests.multiprocess.test_users import ONE, needs_root


async def use(layer, say):
    """Be in a group, with a message unread, and say which channel it is."""
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    await layer.send(channel, {"type": "unread"})
    return channel


@pytest.fixture
def observer(prefix, make_peer):
    make_peer().call("send", "work", {"type": "job", "number": 1})
    with Observer(prefix) as observer:
        yield observer


def test_processes(observer, make_peer):
    peer = make_peer(ticks=True)
    peer.run(use)
    peer.begin_receive("jobs")
    first, second = observer.processes()

    assert (first.alive, second.alive) == (True, True)
    assert (first.counters["sends"], second.counters["sends"]) == (1, 1)
    assert second.pid == peer.pid
    assert second.command.startswith(sys.executable)
    assert (second.pending, second.waiting, first.waiting) == (1, 1, 0)
    assert second.age > 0
    make_peer().call("send", "jobs", {"type": "job"})
    assert peer.hear() == {"type": "job"}


def test_a_killed_process_is_not_alive(observer, make_peer):
    peer = make_peer()
    peer.run(use)
    peer.kill()

    assert [process.alive for process in observer.processes()] == [True, False]


def test_channels(observer, make_peer):
    peer = make_peer()
    name = peer.run(use)
    channels = {channel.name: channel for channel in observer.channels()}

    assert set(channels) == {"work", name}
    assert (channels["work"].slot, channels[name].slot) == (None, 1)
    assert (channels["work"].pending, channels["work"].sent) == (1, 1)
    assert (channels["work"].capacity, channels["work"].full) == (100, 0)
    assert channels["work"].age >= 0


def test_many_channels(observer, make_layer):
    attachment = make_layer()._attachment
    for number in range(5000):
        attachment.send(f"x!{number}", b"\x80", 10**11, 1)

    assert len({channel.name for channel in observer.channels()}) == 5001
    assert observer.totals().channels == 5001


def test_groups_and_members(observer, make_peer):
    names = [make_peer().run(use) for _ in range(2)]
    make_peer().call("group_add", "hall", "work")
    hall, room = observer.groups()

    assert (hall.name, hall.members, hall.slots) == ("hall", 1, (None,))
    assert (room.name, room.members, room.slots) == ("room", 2, (1, 2))
    assert len(observer.groups(limit=1)) == 1
    assert sorted(member.channel for member in observer.members("room")) == sorted(names)
    assert {member.group for member in observer.members()} == {"hall", "room"}
    assert all(86000 < member.expiry < 86401 for member in observer.members())


def test_messages_stay_where_they_are(observer, make_peer):
    peer = make_peer()
    peer.call("send", "work", {"type": "large", "body": b"x" * 100_000})
    first, second = observer.messages("work")

    assert first.content == {"type": "job", "number": 1}
    assert second.content == {"type": "large", "body": b"x" * 100_000}
    assert second.size == len(second.body)
    assert 0 <= second.age <= first.age < 60
    assert first.expiry <= second.expiry <= 60
    assert list(observer.messages("nothing")) == []
    assert peer.call("receive", "work") == {"type": "job", "number": 1}
    with pytest.raises(errors.InvalidName, match="not allowed"):
        list(observer.messages("a b"))


def test_totals(observer, make_peer):
    make_peer().run(use)
    totals = observer.totals()

    assert (totals.processes, totals.channels, totals.groups, totals.members) == (2, 2, 1, 1)
    assert totals.pending == 2
    assert set(totals.counters) == {counter.name for counter in COUNTERS}
    assert totals.counters["sent"] == totals.counters["sends"] == 2
    assert 0 < totals.messages_memory.used < totals.messages_memory.size
    assert totals.messages_memory.size == 100 * 1024 * 1024
    assert 0 < totals.reserved < totals.size


def test_nobody_notices(observer, prefix, make_layer):
    before = observer.totals()
    with Observer(prefix) as another:
        list(another.messages("work"))

    assert observer.totals() == before
    make_layer()._attachment.verify()


def test_counters_are_described():
    assert len({counter.name for counter in COUNTERS}) == len(COUNTERS)
    for counter in COUNTERS:
        assert counter.unit
        assert counter.help


def test_there_is_nothing_to_see(prefix, make_layer):
    with pytest.raises(errors.SegmentNotFound, match=f"no segment of prefix '{prefix}'"):
        Observer(prefix)
    with pytest.raises(errors.ConfigError):
        Observer("a/b")
    make_layer()._attachment.sweep()


def test_a_segment_that_was_removed(observer, prefix):
    assert observer.is_current()
    unlink(prefix)

    assert not observer.is_current()
    assert observer.totals().channels == 1


def test_a_closed_observer(observer):
    observer.close()
    observer.close()

    with pytest.raises(errors.AsgiShmError, match="closed"):
        observer.totals()


def test_a_stopped_process_with_a_lock_is_seen(observer, make_peer):
    """Where all others wait, who looks in does not."""
    peer = make_peer()
    peer.begin(verify_for_ever)
    peer.hear()
    peer.stop(holding="memory")

    lock = next(lock for lock in observer.locks() if lock.pid == peer.pid)
    assert observer.processes()[lock.holder].pid == peer.pid
    assert lock.what in {"memory", "commons", "mailbox"}
    assert [channel.name for channel in observer.channels() if channel.name == "work"]
    peer.resume()
    peer.kill()


async def verify_for_ever(layer, say):
    """Hold every lock most of the time."""
    for number in range(3000):
        layer._attachment.send(f"x!{number}", b"\x80", 10**11, 1)
    say("begun")
    while True:
        layer._attachment.verify()


@needs_root
@pytest.mark.parametrize(("mode", "sees"), [(0o644, True), (0o600, False)])
def test_another_user_who_may_only_read(prefix, make_peer, mode, sees):
    make_peer(mode=mode).call("send", "work", {"type": "job"})
    answers, theirs = CONTEXT.Pipe()
    stranger = CONTEXT.Process(target=look_as, args=(ONE, prefix, theirs))
    stranger.start()
    seen = answers.recv()
    stranger.join()

    if sees:
        assert seen == [("work", [{"type": "job"}])]
    else:
        assert isinstance(seen, errors.SegmentPermission)


def look_as(user, prefix, answers):
    become(user, ())
    try:
        with Observer(prefix) as observer:
            answers.send(
                [
                    (channel.name, [each.content for each in observer.messages(channel.name)])
                    for channel in observer.channels()
                ]
            )
    except Exception as error:
        answers.send(error)
