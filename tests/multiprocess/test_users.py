"""Who may use a segment: `mode` and `group`, with processes that really are other users."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from asgi_shm import ShmChannelLayer, errors, unlink
from tests.multiprocess.peer import Peer
from tests.support import SHM, fresh_prefix, leftovers, soon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOBODY = 65534
ONE, TWO, STRANGER = 64001, 64002, 64003  # users without a name, each in a group of that number
COMMON = 64000
SHARED = {"mode": 0o660, "group": COMMON}

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")


async def talk(layer: Any, say: Any) -> str:
    """Use everything once."""
    channel = await layer.new_channel()
    await layer.group_add("group", channel)
    receiver = asyncio.create_task(layer.receive(channel))
    await asyncio.sleep(0)
    await layer.group_send("group", {"type": "test"})
    assert await soon(receiver) == {"type": "test"}
    await layer.group_discard("group", channel)
    layer._attachment.verify()
    return "works"


async def echo(layer: Any, say: Any) -> None:
    """Answer one message to the channel that is said."""
    channel = await layer.new_channel()
    receiver = asyncio.create_task(layer.receive(channel))
    await asyncio.sleep(0)
    say(channel)
    await layer.group_send("group", await receiver)


async def ask(layer: Any, say: Any, channel: str) -> Any:
    """Send to a channel of the other user, and wait for what comes back through a group."""
    own = await layer.new_channel()
    await layer.group_add("group", own)
    receiver = asyncio.create_task(layer.receive(own))
    await asyncio.sleep(0)
    await layer.send(channel, {"type": "question"})
    answer = await soon(receiver)
    await layer.group_discard("group", own)
    return answer


def talk_to_each_other(one: Peer, two: Peer) -> None:
    for first, second in ((one, two), (two, one)):
        first.begin(echo)
        channel = first.hear()
        second.begin(ask, channel)
        assert second.hear() == {"type": "question"}
        assert first.hear() is None


def bells(prefix: str) -> list[Path]:
    return [SHM / name for name in leftovers(prefix) if ":bell." in name]


@pytest.fixture
def prefix() -> Iterator[str]:
    """A prefix whose segment may be another user's."""
    name = fresh_prefix()
    yield name
    unlink(name)
    assert leftovers(name) == []


@pytest.fixture
def make_user(make_peer: Callable[..., Peer]) -> Callable[..., Peer]:
    """Makes processes of users who are in the common group, with a layer that says so."""

    def make(user: int, **options: Any) -> Peer:
        return make_peer(user=user, **{"groups": (COMMON,), **SHARED, **options})

    return make


@needs_root
@pytest.mark.parametrize("owner", [None, NOBODY], ids=["root's", "nobody's"])
@pytest.mark.parametrize("user", [None, ONE], ids=["root", "a user"])
def test_the_segment_of_another_user_is_refused(make_peer, owner, user):
    """Even root does not use it: what is not meant to be shared is not shared by chance."""
    first = make_peer(user=owner)
    assert first.run(talk) == "works"
    second = make_peer(user=user)
    if owner == user:
        assert second.run(talk) == "works"
        return
    with pytest.raises(errors.SegmentPermission, match="belongs to user") as error:
        second.run(talk)

    assert ("root" if owner is None else "nobody") in str(error.value)
    assert first.run(talk) == "works"


@needs_root
@pytest.mark.parametrize("group", [NOBODY, "nogroup"])
def test_root_and_another_user_share_a_segment(make_peer, group):
    one = make_peer(mode=0o660, group=group)
    assert one.run(talk) == "works"
    two = make_peer(user=NOBODY, mode=0o660, group=group)
    assert two.run(talk) == "works"
    talk_to_each_other(one, two)


@needs_root
def test_two_users_share_a_segment_through_mode_and_group(make_user):
    one, two = make_user(ONE), make_user(TWO)
    assert one.run(talk) == "works"
    assert two.run(talk) == "works"
    talk_to_each_other(one, two)


@needs_root
def test_everybody_shares_a_segment_with_mode_666(make_peer):
    one, two = make_peer(user=ONE, mode=0o666), make_peer(user=TWO, mode=0o666)
    assert one.run(talk) == "works"
    assert two.run(talk) == "works"
    talk_to_each_other(one, two)


@needs_root
def test_who_is_not_in_the_group_is_refused(make_user):
    one, stranger = make_user(ONE), make_user(STRANGER, groups=())
    assert one.run(talk) == "works"
    with pytest.raises(errors.SegmentPermission, match=r"mode 0o660 and a common group"):
        stranger.run(talk)

    assert one.run(talk) == "works"


@needs_root
def test_who_does_not_ask_for_a_shared_segment_is_refused(make_peer, make_user):
    """Both sides have to say it: this layer would have others read what it sends."""
    one, other = make_user(ONE), make_peer(user=TWO, groups=(COMMON,))
    assert one.run(talk) == "works"
    with pytest.raises(errors.SegmentPermission, match=r"mode 0o660 and a common group"):
        other.run(talk)


@needs_root
def test_a_segment_is_not_given_to_a_group_that_its_maker_is_not_in(make_user, prefix):
    with pytest.raises(errors.SegmentPermission, match=r"must be a member of that group"):
        make_user(ONE, groups=()).run(talk)

    assert make_user(TWO).run(talk) == "works"


async def reap(layer: Any, say: Any) -> None:
    """Look after the segment until this process is alone in it."""

    async def alone() -> None:
        await layer.new_channel()
        while layer._attachment.info().attached > 1:
            layer._attachment.tick()
            await asyncio.sleep(0.02)

    await soon(alone())


@needs_root
def test_the_bells_of_another_users_killed_processes_do_not_pile_up(make_user, prefix):
    """Nobody but their owner and root may remove them from a directory like /dev/shm."""
    assert SHM.stat().st_mode & stat.S_ISVTX
    survivor = make_user(ONE)
    for _ in range(5):
        survivor.run(reap)
        killed = make_user(TWO)
        killed.begin_receive("killed")
        killed.kill()
        assert len(bells(prefix)) == 1


@needs_root
def test_a_bell_that_another_user_has_left_is_rung(make_user, prefix):
    survivor = make_user(ONE)
    survivor.run(reap)
    killed = make_user(TWO)
    killed.begin_receive("killed")
    killed.kill()
    survivor.run(reap)
    (left,) = bells(prefix)
    assert left.stat().st_uid == TWO

    heir = make_user(ONE)
    for number, sender in enumerate([survivor, make_user(TWO), survivor]):
        heir.begin_receive("heir")
        sender.call("send", "heir", {"number": number})
        assert heir.hear() == {"number": number}
    assert bells(prefix) == [left]
    assert left.stat().st_uid == TWO


@needs_root
def test_what_another_user_puts_in_a_bells_place_is_refused(make_user, prefix):
    """A stranger's FIFO would let a stranger read who is rung, and take the rings away."""
    make_user(ONE).run(talk)
    waiting = make_user(TWO)
    waiting.begin_receive("waiting")
    (bell,) = [path for path in bells(prefix) if path.stat().st_uid == TWO]
    name, _, slot = bell.name.rpartition(".")
    planted = SHM / f"{name}.{int(slot) + 1}"
    os.mkfifo(planted)
    planted.chmod(0o666)
    os.chown(planted, STRANGER, STRANGER)
    with pytest.raises(errors.SegmentPermission):
        make_user(ONE).call("receive", "channel")

    waiting.kill()


@needs_root
def test_unlink_by_the_owner_leaves_no_more_than_anothers_bell(make_user, make_peer, prefix):
    survivor, killed = make_user(ONE), make_user(TWO)
    survivor.run(talk)
    killed.begin_receive("killed")
    killed.kill()
    with pytest.raises(PermissionError):
        make_user(TWO).run(remove, prefix)
    before = leftovers(prefix)
    assert [name for name in before if name.startswith("sem.")] != []
    assert survivor.run(remove, prefix)
    assert {path.stat().st_uid for path in bells(prefix)} == {TWO}
    assert leftovers(prefix) == [path.name for path in bells(prefix)]


async def remove(layer: Any, say: Any, prefix: str) -> bool:
    return unlink(prefix)


UMASKS = [0, 0o027, 0o077, 0o777]


async def talk_under(layer: Any, say: Any, umask: int) -> str:
    os.umask(umask)
    return await talk(layer, say)


def modes(prefix: str) -> set[int]:
    return {(SHM / name).stat().st_mode & 0o777 for name in leftovers(prefix)}


@pytest.mark.parametrize("umask", UMASKS, ids=oct)
@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666], ids=oct)
def test_the_mode_is_set_whatever_the_umask(prefix, umask, mode):
    layer = ShmChannelLayer(prefix=prefix, mode=mode)
    old = os.umask(umask)
    try:
        assert asyncio.run(talk(layer, None)) == "works"
    finally:
        os.umask(old)

    assert bells(prefix)
    assert modes(prefix) == {mode}
    asyncio.run(layer.close())


@needs_root
@pytest.mark.parametrize("umask", [0o077, 0o777], ids=oct)
def test_two_users_share_a_segment_whatever_the_umask(make_user, prefix, umask):
    one, two = make_user(ONE), make_user(TWO)
    assert one.run(talk_under, umask) == "works"
    assert two.run(talk_under, umask) == "works"
    talk_to_each_other(one, two)
    assert modes(prefix) == {0o660}


PROTECTED = [Path("/proc/sys/fs") / f"protected_{what}" for what in ("fifos", "regular")]


@pytest.fixture(params=[0, 1, 2])
def protected(request: pytest.FixtureRequest) -> Iterator[None]:
    """Has the kernel refuse to open what another user made in a place like /dev/shm.

    With O_CREAT, that is: whoever means to make a file does not get a trap.
    """
    before = [path.read_text() for path in PROTECTED]
    try:
        for path in PROTECTED:
            path.write_text(str(request.param))
    except OSError as error:
        pytest.skip(f"needs to set {PROTECTED[0]}: {error}")
    yield
    for path, text in zip(PROTECTED, before, strict=True):
        path.write_text(text)


@needs_root
@pytest.mark.usefixtures("protected")
def test_two_users_share_a_segment_however_the_kernel_protects_files(make_user, prefix):
    one, two = make_user(ONE), make_user(TWO)
    assert two.run(talk) == "works"
    assert one.run(talk) == "works"
    talk_to_each_other(one, two)
    # What a killed process has left is the hardest: it is used and not made anew.
    two.begin_receive("two")
    two.kill()
    one.run(reap)
    heir = make_user(ONE)
    heir.begin_receive("heir")
    assert {path.stat().st_uid for path in bells(prefix)} == {ONE, TWO}
    one.call("send", "heir", {"type": "ring"})
    assert heir.hear() == {"type": "ring"}
    # And what has lost its name is made anew.
    for name in leftovers(prefix):
        if name.startswith("sem."):
            (SHM / name).unlink()
    assert make_user(TWO).run(talk) == "works"
