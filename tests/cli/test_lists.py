"""ls, channels, groups, processes: what is there, in which order, for people and programs."""

from __future__ import annotations

import json
import os

import pytest

from asgi_shm import segment
from tests.cli.conftest import shell_as
from tests.multiprocess.test_users import STRANGER, needs_root
from tests.support import SHM, fill, run_alone


def lines(done):
    assert done.code == 0, done
    return done.out.splitlines()


def found(done):
    assert done.code == 0, done
    return json.loads(done.out)


def test_ls(tool, prefix, site):
    heads, row = lines(tool("ls", prefix))

    assert " ".join(heads.split()) == "PREFIX VERSION SIZE USED PROCESSES AGE OWNER MODE"
    assert row.split()[:4] == [prefix, str(segment.LAYOUT_VERSION), "133", "MB"]
    assert row.split()[6] == "1"
    assert row.split()[-1] == "644"


def test_ls_for_programs(tool, prefix, site):
    (row,) = found(tool("ls", "--json", prefix))

    assert row["prefix"] == prefix
    assert row["path"] == str(segment.object_path(prefix))
    assert row["processes"] == 1
    assert 0 < row["used"] < row["size"]
    assert 0 <= row["age"] < 3600


def test_ls_shows_segments_of_other_builds_and_broken_ones(tool, prefix):
    other = SHM / f"asgi_shm.999.{prefix}"
    broken = segment.object_path(prefix)
    other.write_bytes(b"")
    broken.write_bytes(b"no segment" * 1000)
    rows = found(tool("ls", "--json", prefix))

    assert [(row["version"], row["processes"]) for row in rows] == [
        (segment.LAYOUT_VERSION, None),
        (999, None),
    ]
    assert rows[0]["note"] == "SegmentForeign"
    assert rows[1]["note"] == "layout 999: for another build"


def test_ls_without_any(tool, prefix):
    done = tool("ls", prefix)

    assert (done.code, done.out) == (0, "")
    assert "no segment is here" in done.err


def test_channels(tool, prefix, site):
    rows = found(tool("channels", "--prefix", prefix, "--json"))

    assert [(row["name"], row["pending"], row["slot"]) for row in rows] == [
        ("work", 2, None),
        (site, 1, 0),
    ]


def test_channels_as_a_table(tool, prefix, site):
    heads, work, own = lines(tool("channels", "--prefix", prefix))

    assert " ".join(heads.split()) == "PENDING CAPACITY OLDEST WAITING SENT FULL SLOT CHANNEL"
    assert work.split()[:2] == ["2", "100"]
    assert work.endswith(" -  work")
    assert own.endswith(f" 0  {site}")


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["w*"], ["work"]),
        (["--pending", "2"], ["work"]),
        (["--slot", "0"], ["own"]),
        (["--full"], []),
        (["--sort", "name"], ["own", "work"]),
        (["--limit", "1"], ["work"]),
    ],
)
def test_chosen_channels(tool, prefix, site, arguments, names):
    rows = found(tool("channels", "--prefix", prefix, "--json", *arguments))

    assert [row["name"].replace(site, "own") for row in rows] == names


def test_channels_that_were_full(tool, prefix, layer):
    layer.get_capacity = lambda name: 1
    assert run_alone(fill(layer, "small")) == 1

    (row,) = found(tool("channels", "--prefix", prefix, "--json", "--full"))
    assert (row["name"], row["full"]) == ("small", 1)


def test_what_is_left_out_is_said(tool, prefix, site):
    assert "1 more; --limit 0" in tool("channels", "--prefix", prefix, "--limit", "1").err
    assert tool("channels", "--prefix", prefix, "--limit", "0").err == ""


def test_groups(tool, prefix, site):
    heads, hall, room = lines(tool("groups", "--prefix", prefix, "--sort", "name"))

    assert " ".join(heads.split()) == "MEMBERS PROCESSES FULL GROUP"
    assert (hall.split(), room.split()) == (["1", "1", "0", "hall"], ["1", "1", "0", "room"])


def test_members(tool, prefix, site):
    _, row = lines(tool("groups", "ro*", "--members", "--prefix", prefix))

    assert row.split() == ["24", "h", "0", "room", site]
    rows = found(tool("groups", "--members", "--prefix", prefix, "--json"))
    assert [(row["group"], row["channel"]) for row in rows] == [("hall", site), ("room", site)]


def test_processes(tool, prefix, site):
    heads, row = lines(tool("processes", "--prefix", prefix))

    assert " ".join(heads.split()) == "SLOT PID AGE WAITING PENDING SENDS RECEIVES COMMAND"
    assert row.split()[:2] == ["0", str(os.getpid())]
    assert "pytest" in row
    assert len(lines(tool("processes", "no such*", "--prefix", prefix))) == 1


def test_killed_processes(tool, prefix, site, peer):
    peer.call("send", "work", {"type": "job"})
    pid = peer.pid
    peer.kill()
    (row,) = found(tool("processes", "--dead", "--prefix", prefix, "--json"))

    assert (row["pid"], row["alive"]) == (pid, False)


@needs_root
def test_who_may_only_read_sees_all_this(prefix, site):
    for command in ("channels", "groups", "processes", "ls"):
        arguments = [command, *([] if command == "ls" else ["--prefix", prefix])]
        done = shell_as(STRANGER, *arguments)
        assert done.code == 0, done
        assert len(done.out.splitlines()) >= 2
