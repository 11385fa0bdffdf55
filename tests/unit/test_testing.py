"""testing.py: the fixtures, as a project that has asgi_shm installed sees them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest
from channels.layers import get_channel_layer

from asgi_shm import ShmChannelLayer, SyncShmChannelLayer
from tests.support import SHM, TIMEOUT

PREFIXES = []


async def test_a_layer(asgi_shm_layer):
    await asgi_shm_layer.send("channel", {"type": "test"})

    assert get_channel_layer() is asgi_shm_layer
    assert await asgi_shm_layer.receive("channel") == {"type": "test"}
    await asgi_shm_layer.send("channel", {"type": "for nobody"})


def test_the_next_test_finds_nothing(asgi_shm_layer):
    assert asyncio.run(asgi_shm_layer.channel_size("channel")) == 0


def test_it_leaves_nothing_even_if_it_is_killed(asgi_shm_layer):
    assert asgi_shm_layer.config.prefix is None


def test_a_layer_of_a_prefix(make_asgi_shm_layer, asgi_shm_prefix):
    PREFIXES.append(asgi_shm_prefix)
    layer = make_asgi_shm_layer()
    asyncio.run(layer.send("channel", {"type": "test"}))

    assert layer.config.prefix == asgi_shm_prefix


def test_the_next_has_another_prefix_and_finds_nothing(make_asgi_shm_layer, asgi_shm_prefix):
    assert asgi_shm_prefix not in PREFIXES
    assert not [path for path in SHM.iterdir() if PREFIXES[0] in path.name]
    assert asyncio.run(make_asgi_shm_layer().channel_size("channel")) == 0


def test_layers_of_both_kinds(make_asgi_shm_layer, make_asgi_shm_sync_layer):
    one, other = make_asgi_shm_layer(), make_asgi_shm_sync_layer(capacity=1)
    other.send("channel", {"type": "test"})

    assert isinstance(one, ShmChannelLayer)
    assert isinstance(other, SyncShmChannelLayer)
    assert asyncio.run(one.receive("channel")) == {"type": "test"}
    assert other.capacity == 1


def test_nothing_is_left(asgi_shm_prefix):
    assert len(PREFIXES) == 1
    PREFIXES.append(asgi_shm_prefix)

    assert not [path for path in SHM.iterdir() if f"pytest-{os.getpid()}-" in path.name]


def test_it_is_there_without_a_conftest(tmp_path):
    (tmp_path / "test_it.py").write_text(
        "def test_it(make_asgi_shm_sync_layer):\n"
        "    layer = make_asgi_shm_sync_layer()\n"
        "    layer.send('channel', {})\n"
        "    assert layer.receive(['channel']) == ('channel', {})\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tmp_path],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )

    assert "1 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("rate", [0, 0.5, 1])
def test_the_drop_rate(make_asgi_shm_sync_layer, rate):
    layer = make_asgi_shm_sync_layer(drop_rate=rate, capacity=2000)
    layer.group_add("group", "channel")
    for _ in range(500):
        layer.send("channel", {})
        layer.group_send("group", {})
    arrived = layer.channel_size("channel")

    assert arrived == 1000 * (1 - rate) if rate in {0, 1} else 0 < arrived < 1000
    with pytest.raises(TypeError):
        layer.send("a b", {})
