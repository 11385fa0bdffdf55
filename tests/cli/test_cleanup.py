"""verify, reap, flush, unlink."""

from __future__ import annotations

import mmap
import os
import struct

import pytest

from asgi_shm import ShmChannelLayer, segment
from asgi_shm.inspect import Observer
from tests.cli.conftest import shell_as
from tests.multiprocess.test_users import STRANGER, needs_root
from tests.support import SHM, leftovers, run_alone


def leave(layer):
    run_alone(layer.close())


def damage(prefix, channel):
    """Have a channel's record say that it holds more messages than it does."""
    path = segment.object_path(prefix)
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as content:
        record = content.find(channel.encode()) - 88  # where the name is in it
        content[record + 20 : record + 24] = struct.pack("I", 77)  # its count


# -- verify -----------------------------------------------------------------------------


def test_a_whole_segment(tool, prefix, site):
    done = tool("verify", "--prefix", prefix)

    assert done.code == 0
    assert done.out.startswith(f"{prefix}: whole: 1 processes, 2 channels, 2 groups, 2 members")
    assert done.err == ""


def test_a_damaged_segment(tool, prefix, layer, site):
    damage(prefix, "work")
    done = tool("verify", "--prefix", prefix)

    assert done.code == 1
    assert done.out.startswith(f"{prefix}: damaged: ")
    assert "asgi-shm unlink" in done.err


@needs_root
def test_verify_reads_where_it_may_not_write(prefix, site):
    done = shell_as(STRANGER, "verify", "--prefix", prefix)

    assert done.code == 0, done
    assert "may only read" in done.err
    assert ": whole: " in done.out


@needs_root
def test_where_it_may_not_even_read(prefix):
    private = ShmChannelLayer(prefix=prefix)
    run_alone(private.new_channel())
    leave(private)
    done = shell_as(STRANGER, "verify", "--prefix", prefix)

    assert (done.code, done.out) == (4, "")


# -- reap -------------------------------------------------------------------------------


def test_reap(tool, prefix, site, peer):
    peer.call("group_add", "room", "x")
    peer.kill()
    done = tool("reap", "--prefix", prefix)

    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("cleared up after 1 gone processes, dropped 0 expired")
    with Observer(prefix) as observer:
        assert [process.alive for process in observer.processes()] == [True]


# -- flush ------------------------------------------------------------------------------


def test_flush_asks(tool, prefix, site):
    done = tool("flush", "--prefix", prefix)

    assert done.code == 1
    assert "Drop 3 unread messages and 2 memberships" in done.err
    assert "--yes" in done.err
    with Observer(prefix) as observer:
        assert observer.totals().pending == 3


def test_flush(tool, prefix, site):
    assert tool("flush", "--prefix", prefix, "--yes") == (0, "", "")
    with Observer(prefix) as observer:
        assert (observer.totals().pending, observer.totals().members) == (0, 0)


@pytest.mark.parametrize("command", ["flush", "unlink"])
def test_what_destroys_has_to_be_told_the_segment(tool, site, command):
    done = tool(command, "--yes")

    assert done.code == 2
    assert "--prefix or --django" in done.err


# -- unlink -----------------------------------------------------------------------------


def test_unlink_refuses_while_processes_are_attached(tool, prefix, site):
    done = tool("unlink", "--prefix", prefix, "--yes")

    assert done.code == 1
    assert f"(pid {os.getpid()})" in done.err
    assert segment.object_path(prefix).exists()


def test_unlink_by_force(tool, prefix, site):
    assert tool("unlink", "--prefix", prefix, "--yes", "--force") == (0, "", "")
    assert leftovers(prefix) == []


def test_unlink_asks(tool, prefix, layer, site):
    leave(layer)
    layer._attachment.handles.close_retired(0)
    done = tool("unlink", "--prefix", prefix)

    assert done.code == 1
    assert "Remove the segment" in done.err
    assert segment.object_path(prefix).exists()


def test_unlink(tool, prefix, peer):
    peer.call("send", "work", {"type": "job"})
    peer.close()
    assert tool("unlink", "--prefix", prefix, "--yes") == (0, "", "")
    assert leftovers(prefix) == []
    assert tool("unlink", "--prefix", prefix, "--yes").code == 3


def test_unlink_sees_who_has_a_segment_of_another_build_open(tool, prefix):
    other = SHM / f"asgi_shm.999.{prefix}"
    other.write_bytes(bytes(4096))
    with other.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ):
        assert tool("unlink", "--prefix", prefix, "--yes").code == 1
    assert tool("unlink", "--prefix", prefix, "--yes").code == 0
    assert not other.exists()


def test_unlink_removes_what_is_damaged(tool, prefix, peer):
    peer.call("send", "work", {"type": "job"})
    peer.close()
    segment.object_path(prefix).write_bytes(b"\xff" * 10_000)
    assert tool("unlink", "--prefix", prefix, "--yes").code == 0
    assert leftovers(prefix) == []


@needs_root
def test_nobody_unlinks_anothers(prefix, peer):
    peer.call("send", "work", {"type": "job"})
    peer.close()
    done = shell_as(STRANGER, "unlink", "--prefix", prefix, "--yes")

    assert done.code == 4
    assert segment.object_path(prefix).exists()
