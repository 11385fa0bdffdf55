"""The Django app: what ``manage.py check`` says of CHANNEL_LAYERS, and ``manage.py shm``."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from django.test import override_settings

from asgi_shm import ShmChannelLayer
from asgi_shm.django import checks
from tests.deploy.conftest import ROOT
from tests.support import TIMEOUT, run_alone

OURS = "asgi_shm.ShmChannelLayer"
IN_MEMORY = "channels.layers.InMemoryChannelLayer"
MIB = 1024 * 1024


@pytest.fixture(autouse=True)
def enough_room(monkeypatch):
    """Whatever /dev/shm the tests have."""
    status = SimpleNamespace(f_frsize=MIB, f_blocks=500)
    monkeypatch.setattr(checks.os, "statvfs", lambda path: status)


def check(**layers):
    with override_settings(CHANNEL_LAYERS=layers):
        return {message.id: message for message in checks.check_channel_layers()}


def ours(**config):
    return {"BACKEND": OURS, "CONFIG": config}


def test_nothing_is_wrong():
    assert check(default=ours(prefix="mysite"), other=ours()) == {}
    assert check(default={"BACKEND": OURS}) == {}


def test_layers_of_others_are_theirs():
    assert check(default={"BACKEND": IN_MEMORY}) == {}
    assert check() == {}
    assert check(default={"BACKEND": "no.such.Layer", "CONFIG": {"capacity": 0}}) == {}


def test_bad_options():
    found = check(default=ours(capcity=10))

    assert found.keys() == {"asgi_shm.E001"}
    assert "CHANNEL_LAYERS['default']['CONFIG']: capcity=10" in found["asgi_shm.E001"].msg
    assert found["asgi_shm.E001"].is_serious()


def test_a_leftover_in_memory():
    found = check(default=ours(), other={"BACKEND": IN_MEMORY})

    assert found.keys() == {"asgi_shm.W001"}
    assert "CHANNEL_LAYERS['other'] is the in-memory layer" in found["asgi_shm.W001"].msg


def test_two_layers_of_one_segment():
    found = check(default=ours(), other=ours(message_memory=MIB))

    assert found.keys() == {"asgi_shm.W002"}
    assert f"message_memory {MIB} and {100 * MIB}" in found["asgi_shm.W002"].msg
    assert check(default=ours(), other=ours(capacity=7)) == {}


def test_a_layer_that_loses_messages_on_purpose():
    assert check(default=ours(drop_rate=0.1)).keys() == {"asgi_shm.W004"}


def test_a_private_segment_is_for_tests():
    private = ours(prefix=None)
    with override_settings(DEBUG=True):
        assert check(default=private, other=private) == {}
    with override_settings(DEBUG=False):
        found = check(default=private)

    assert found.keys() == {"asgi_shm.W005"}
    assert "does not reach the others" in found["asgi_shm.W005"].msg
    assert not found["asgi_shm.W005"].is_serious()


def test_private_segments_are_apart_and_take_no_shared_memory():
    with override_settings(DEBUG=True):
        assert check(default=ours(prefix=None), other=ours(prefix=None, mode=0o660)) == {}
        assert check(default=ours(prefix=None, message_memory=490 * MIB)) == {}


def test_too_little_room():
    found = check(default=ours(message_memory=490 * MIB))

    assert found.keys() == {"asgi_shm.W003"}
    assert "--shm-size" in found["asgi_shm.W003"].hint
    assert check(default=ours(message_memory=480 * MIB)) == {}
    assert check(default=ours(message_memory=300 * MIB), other=ours(prefix="two")) == {}
    three = {f"layer{n}": ours(prefix=f"p{n}", message_memory=200 * MIB) for n in range(3)}
    assert check(**three).keys() == {"asgi_shm.W003"}


def test_no_shared_memory(monkeypatch):
    def absent(path):
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(checks.os, "statvfs", absent)
    assert check(default=ours()).keys() == {"asgi_shm.E002"}


# -- manage.py --------------------------------------------------------------------------


def manage(prefix, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "django", *arguments],
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.deploy.project.settings",
            "TEST_PREFIX": prefix,
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=4 * TIMEOUT,
        check=False,
    )


def test_manage_check(prefix):
    done = manage("not allowed", "check")

    assert done.returncode == 1
    assert "(asgi_shm.E001) CHANNEL_LAYERS['default']['CONFIG']: prefix=" in done.stderr


def test_manage_shm_is_about_the_sites_segment(prefix):
    layer = ShmChannelLayer(prefix=prefix)
    run_alone(layer.send("work", {"type": "job"}))
    done = manage(prefix, "shm", "peek", "work")
    run_alone(layer.close())

    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith('{"type": "job"}\n')


def test_manage_shm_ends_with_the_codes_of_the_tool(prefix):
    done = manage(prefix, "shm", "channels")

    assert done.returncode == 3
    assert "there is no segment of prefix" in done.stderr


def test_manage_shm_has_the_help_of_the_tool(prefix):
    done = manage(prefix, "shm", "unlink", "--help")

    assert done.returncode == 0
    assert "examples:" in done.stdout
    assert "--django" not in done.stdout
