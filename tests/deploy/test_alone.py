"""Without Django and without Channels the package imports and works."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support import TIMEOUT

PROGRAM = """
import asyncio
import sys


class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("channels", "django"):
            raise ModuleNotFoundError(name=name)


sys.meta_path.insert(0, Absent())

import asgi_shm

prefix = sys.argv[1]
layer = asgi_shm.ShmChannelLayer(prefix=prefix, capacity=1)
assert layer.ChannelFull is asgi_shm.ChannelFull
assert asgi_shm.ChannelFull.__module__.startswith("asgi_shm")


async def main():
    channel = await layer.new_channel()
    await layer.group_add("group", channel)
    receiver = asyncio.create_task(layer.receive(channel))
    await asyncio.sleep(0)
    await layer.group_send("group", {"type": "test"})
    assert await receiver == {"type": "test"}
    await layer.send(channel, {"type": "test"})
    try:
        await layer.send(channel, {"type": "test"})
    except asgi_shm.ChannelFull:
        print("full")
    await layer.close()


asyncio.run(main())
assert not {"channels", "django"} & set(sys.modules)
asgi_shm.unlink(prefix)
"""


def test_neither_django_nor_channels_is_needed(prefix):
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, prefix],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )

    assert (result.returncode, result.stdout, result.stderr) == (0, "full\n", "")
