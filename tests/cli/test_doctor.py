"""doctor: each finding, on a machine or a segment that has what it is about; and none else."""

from __future__ import annotations

import json
import os
import time
from types import SimpleNamespace

import pytest

from asgi_shm import segment
from asgi_shm.cli import machine, patient
from asgi_shm.cli.finding import Level
from asgi_shm.inspect import Memory, Observer
from tests.cli.conftest import shell_as
from tests.multiprocess.test_users import STRANGER, needs_root
from tests.support import SHM, fill, run_alone

MIB = 1024 * 1024
NAME = segment.object_name("")[1:]
NONE: list[segment.Found] = []


def only(findings):
    """The one finding."""
    (found,) = findings
    return found


def mine(prefix):
    return [found for found in segment.find() if found.prefix == prefix]


def of_segment(prefix, site=None):
    return list(patient.check(only(mine(prefix)), site))


# -- the tool ---------------------------------------------------------------------------


@pytest.fixture
def healthy(monkeypatch, tmp_path):
    """A machine on which nothing is wrong, whatever else is in its /dev/shm."""
    monkeypatch.setattr(machine, "check", lambda found, site: iter(()))
    monkeypatch.setattr(patient, "check_prefixes", lambda found: iter(()))


def test_nothing_is_wrong(tool, prefix, healthy, site):
    done = tool("doctor", "--prefix", prefix)

    assert (done.code, done.err) == (0, "")
    assert f"layout {segment.LAYOUT_VERSION}, Python 3." in done.out
    assert done.out.endswith("nothing was found\n")


def test_findings_and_what_to_do(tool, prefix, healthy, layer, site):
    layer.get_capacity = lambda name: 1
    run_alone(fill(layer, "small"))
    done = tool("doctor", "--prefix", prefix)

    assert done.code == 1
    assert f"WARNING  {prefix}: 1 messages were refused or dropped" in done.out
    assert "small (1)" in done.out
    assert "         -> read faster" in done.out


def test_for_programs(tool, prefix, healthy, site, peer):
    peer.call("send", "work", {})
    peer.kill()
    done = tool("doctor", "--prefix", prefix, "--json")
    report = json.loads(done.out)

    assert done.code == 0  # a note is nothing wrong
    assert [found["level"] for found in report["findings"]] == ["note"]
    assert report["findings"][0].keys() == {"level", "about", "what", "do"}
    assert report["versions"]["layout"] == str(segment.LAYOUT_VERSION)


def test_the_machine_as_it_is(tool, prefix, site):
    assert tool("doctor", "--prefix", prefix).code in (0, 1)


# -- /dev/shm ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mounts", "level", "text"),
    [
        ("tmpfs / tmpfs rw 0 0\n", Level.WARNING, "nothing is mounted on /dev/shm"),
        ("x /dev/shm ext4 rw 0 0\n", Level.WARNING, "of type ext4"),
        ("x /dev/shm tmpfs ro,nosuid 0 0\n", Level.PROBLEM, "mounted read-only"),
    ],
)
def test_mounts(monkeypatch, tmp_path, mounts, level, text):
    monkeypatch.setattr(machine, "MOUNTS", tmp_path / "mounts")
    (tmp_path / "mounts").write_text(mounts)
    found = only(machine._mount())

    assert found.level is level
    assert text in found.what


def test_a_usual_mount(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "MOUNTS", tmp_path / "mounts")
    (tmp_path / "mounts").write_text("tmpfs /dev/shm tmpfs rw,nosuid,nodev 0 0\n")

    assert list(machine._mount()) == []


def sized(monkeypatch, total, free):
    status = SimpleNamespace(f_frsize=1, f_blocks=total, f_bavail=free)
    monkeypatch.setattr(machine.os, "statvfs", lambda path: status)


def test_dockers_64_megabytes(monkeypatch):
    sized(monkeypatch, 64 * MIB, 60 * MIB)
    found = only(machine._room(NONE, {"prefix": "nobody"}))

    assert "Docker's default" in found.what
    assert "126 MB more" in found.what
    assert "--shm-size" in found.do


def test_enough_room(monkeypatch):
    sized(monkeypatch, 256 * MIB, 200 * MIB)

    assert list(machine._room(NONE, {"prefix": "nobody"})) == []


def test_no_room_for_what_segments_may_come_to(monkeypatch, prefix, site):
    sized(monkeypatch, 200 * MIB, 100 * MIB)

    assert "may come to take" in only(machine._room(mine(prefix), None)).what


# -- systemd ----------------------------------------------------------------------------


@pytest.fixture
def logind(monkeypatch, tmp_path):
    """The directory of logind.conf, on a machine with systemd."""
    monkeypatch.setattr(machine, "SYSTEMD", tmp_path)
    monkeypatch.setattr(machine, "LOGIND", [str(tmp_path)])
    monkeypatch.setattr(machine, "FIRST_LOGIN_UID", 0)
    return tmp_path


def test_remove_ipc_is_the_default(logind, prefix, site):
    assert "RemoveIPC=yes" in only(machine._remove_ipc(mine(prefix))).what


def test_remove_ipc_is_off(logind, prefix, site):
    (logind / "logind.conf").write_text("[Login]\nRemoveIPC=yes\n")
    (logind / "logind.conf.d").mkdir()
    (logind / "logind.conf.d" / "50.conf").write_text("[Login]\nRemoveIPC=no\n")

    assert list(machine._remove_ipc(mine(prefix))) == []


def test_system_users_are_left_alone(logind, monkeypatch, prefix, site):
    monkeypatch.setattr(machine, "FIRST_LOGIN_UID", os.getuid() + 1)

    assert list(machine._remove_ipc(mine(prefix))) == []


# -- versions, leftovers ----------------------------------------------------------------


def test_two_versions(prefix, site):
    (SHM / f"asgi_shm.999.{prefix}").write_bytes(b"")

    assert (
        f"layout versions [{segment.LAYOUT_VERSION}, 999]"
        in only(machine._versions(mine(prefix))).what
    )


def test_another_version(prefix):
    (SHM / f"asgi_shm.999.{prefix}").write_bytes(b"")

    assert "layout version 999" in only(machine._versions(mine(prefix))).what


def test_leftovers(prefix, site):
    old = time.time() - 3600
    for name in (f"{mine(prefix)[0].path.name}:0a1b2c3d", f"sem.{NAME}{prefix}.gone:3"):
        (SHM / name).write_bytes(b"")
        os.utime(SHM / name, (old, old))
    try:
        ours = [found for found in machine._leftovers(mine(prefix)) if prefix in found.about]
        half, lost = sorted(ours, key=lambda found: found.about)
        assert "was killed as it made the segment" in half.what
        assert f"unlink --prefix {prefix}.gone" in lost.do
    finally:
        segment.unlink(f"{prefix}.gone")


# -- segments ---------------------------------------------------------------------------


def test_a_killed_process(prefix, site, peer):
    peer.call("send", "work", {})
    peer.kill()

    assert "1 processes are gone" in only(of_segment(prefix)).what


def test_nobody_uses_it(monkeypatch, prefix, peer):
    peer.call("send", "work", {})
    peer.close()
    monkeypatch.setattr(patient, "STALE", -1.0)

    assert "nobody uses it" in only(of_segment(prefix)).what


def test_a_stopped_process(prefix, site, peer):
    peer.call("send", "work", {})
    peer.stop()
    try:
        while not (found := of_segment(prefix)):
            time.sleep(0.01)
    finally:
        peer.resume()

    assert f"process {peer.pid} is stopped" in only(found).what
    assert f"kill -CONT {peer.pid}" in only(found).do


def test_another_pid_namespace(monkeypatch, tmp_path, prefix, site):
    monkeypatch.setattr(patient, "PROC", tmp_path)  # where its pid is nobody's

    assert "another pid namespace" in only(of_segment(prefix)).what


def test_memory_that_is_nearly_used_up(monkeypatch, prefix, site):
    monkeypatch.setattr(patient, "MUCH", 0.0)
    whats = [found.what for found in of_segment(prefix)]

    assert ["of message_memory" in whats[0], "of group_memory" in whats[1]] == [True, True]
    assert Memory(100, 50).used == 50


def test_many_processes(monkeypatch, prefix, site):
    monkeypatch.setattr(patient, "MANY_PROCESSES", 0)

    assert "1 layers are attached" in only(of_segment(prefix)).what


def test_expired_messages(prefix, layer, site):
    layer._expiry_ns = 1
    run_alone(layer.send("late", {}))
    layer._attachment.sweep()
    found = only(of_segment(prefix))

    assert "1 messages expired before anybody read them" in found.what
    assert "work has one that is" in found.what


def test_unsent_messages(monkeypatch, prefix, site):
    with Observer(prefix) as observer:
        totals = observer.totals()
        totals.counters["unsent"] = 3
        monkeypatch.setattr(observer, "totals", lambda: totals)
        found = only(patient._losses(prefix, observer))

    assert found.level is Level.PROBLEM
    assert "3 messages to groups were dropped" in found.what


def test_options_that_differ(prefix, site):
    wanted = {"prefix": prefix, "message_memory": 50 * MIB, "mode": 0o600}
    memory, mode = of_segment(prefix, wanted)

    assert (
        f"message_memory={50 * MIB}, and the segment was made with {100 * MIB}" in memory.what
    )
    assert "mode=0o600, and the segment was made with 0o644" in mode.what


def test_options_that_do_not_differ(prefix, site):
    assert of_segment(prefix, {"prefix": prefix, "mode": 0o644}) == []


def test_a_semaphore_that_is_gone(prefix, site):
    (SHM / f"sem.{NAME}{prefix}:3").unlink()

    assert "1 of its 16 semaphores are gone" in only(of_segment(prefix)).what


def test_a_semaphore_with_another_mode(prefix, site):
    (SHM / f"sem.{NAME}{prefix}:3").chmod(0o666)

    assert "has mode 666, and the segment 644" in only(of_segment(prefix)).what


def test_what_is_no_segment(prefix):
    (SHM / f"{NAME}{prefix}").write_bytes(b"x" * 10_000)
    first, _ = of_segment(prefix)

    assert first.level is Level.PROBLEM
    assert "no segment of asgi_shm" in first.what


@needs_root
def test_anothers_segment(prefix):
    (SHM / f"{NAME}{prefix}").write_bytes(b"")
    (SHM / f"{NAME}{prefix}").chmod(0o600)
    done = shell_as(STRANGER, "doctor", "--prefix", prefix)

    assert "this user cannot look in" in done.out
    assert "sudo -u root asgi-shm doctor" in done.out


def test_one_site_with_two_prefixes(prefix, site, make_other):
    other = make_other(f"{prefix}-other")
    found = only(patient.check_prefixes(mine(prefix) + mine(other)))

    assert "use 2 prefixes" in found.what
    assert list(patient.check_prefixes(mine(prefix))) == []
