"""What is given to others: a complete sdist, one wheel for all CPythons, a clean install."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from tests.support import fresh_prefix

ROOT = Path(__file__).parents[2]

NOT_SOURCE = shutil.ignore_patterns(
    ".git", ".venv*", "build", "dist", "*.so", "*.egg-info", "__pycache__", ".*_cache"
)

# What a user without Django and Channels does first.
FIRST_USE = """
import asyncio, sys
import asgi_shm

async def main():
    layer = asgi_shm.ShmChannelLayer(prefix=sys.argv[1])
    channel = await layer.new_channel()
    await layer.send(channel, {"type": "hello", "bytes": b"x"})
    assert await layer.receive(channel) == {"type": "hello", "bytes": b"x"}
    await layer.close()

try:
    asyncio.run(main())
finally:
    asgi_shm.unlink(sys.argv[1])
assert not {"django", "channels"} & sys.modules.keys()
"""


def run(*command: object, **options: object) -> str:
    """The standard output of a command; what it said is in the error if it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        **options,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory) -> Path:
    """A directory with the sdist, and with the wheel that was built from the sdist."""
    tree = tmp_path_factory.mktemp("packaging") / "tree"
    shutil.copytree(ROOT, tree, ignore=NOT_SOURCE)
    run(sys.executable, "-m", "build", "--no-isolation", cwd=tree)
    return tree / "dist"


@pytest.fixture(scope="module")
def sdist(dist) -> Path:
    (found,) = dist.glob("*.tar.gz")
    return found


@pytest.fixture(scope="module")
def wheel(dist) -> Path:
    (found,) = dist.glob("*.whl")
    return found


def test_the_sdist_holds_everything_that_builds_and_tests(sdist):
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {
        str(path.relative_to(ROOT))
        for pattern in ("csrc/**/*.[ch]", "asgi_shm/**/*.py", "tests/**/*.py", "tests/c/**/*")
        for path in ROOT.glob(pattern)
    }
    wanted |= {
        "CHANGELOG.md",
        "CMakeLists.txt",
        "CMakePresets.json",
        "LICENSE",
        "Makefile",
        "README.md",
        "asgi_shm/py.typed",
        "csrc/build_ffi.py",
        "csrc/sources.txt",
        "examples/chat/requirements.txt",
        "pyproject.toml",
        "setup.py",
    }

    assert sorted(wanted - names) == []


def test_one_wheel_serves_every_cpython(wheel):
    assert "-cp310-abi3-linux_" in wheel.name
    run(sys.executable, "-m", "abi3audit", "--strict", wheel)


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "asgi_shm").rglob("*.py")}

    assert names == modules | {"asgi_shm/py.typed", "asgi_shm/_ashm.abi3.so"}


def test_the_wheel_needs_nothing_but_the_c_library(wheel):
    shown = " ".join(run(sys.executable, "-m", "auditwheel", "show", wheel).split())

    assert re.search(r'is consistent with the following platform tag: "manylinux_', shown)
    # Until glibc 2.34 its threads and real-time parts were libraries of their own.
    assert set(re.findall(r"\blib[\w+-]+\.so", shown)) <= {
        "libc.so",
        "libpthread.so",
        "librt.so",
    }


def test_installed_from_the_sdist_it_works_without_django_and_channels(sdist, tmp_path):
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    pip = [python, "-m", "pip", "--disable-pip-version-check"]
    probe = [*pip, "download", "--quiet", "--no-deps", "--dest", tmp_path, "msgpack"]
    if subprocess.run(probe, capture_output=True, check=False).returncode != 0:
        pytest.skip("no package index within reach")

    run(*pip, "install", sdist)
    run(python, "-c", FIRST_USE, fresh_prefix(), cwd=tmp_path)
