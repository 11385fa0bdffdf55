"""Finds an interpreter that is old enough for asgi_ipc, and gives it what it needs.

asgi_ipc needs Python 3.8 or older with packages of its time, so it has a venv of its
own, which is made when it is first needed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

from .layers import Unsuitable

PACKAGES = ("asgi_ipc==1.4.2", "asgiref==1.1.2", "msgpack-python==0.5.6", "six", "posix_ipc")
_VENV = Path(__file__).with_name(".build") / "asgi_ipc"
_VARIABLE = "OLD_PYTHON"
_VERSIONS = ("3.8", "3.7", "3.6")


@cache
def find() -> str:
    """Give the interpreter that can import asgi_ipc. Raises Unsuitable if none can."""
    python = _VENV / "bin" / "python"
    if not (_VENV / "made").exists():
        _make_venv(_old_python())
    return str(python)


def version(package: str) -> str:
    """Give the version of a package there."""
    try:
        done = _run(
            find(), "-c", "import pkg_resources, sys;"
            "print(pkg_resources.get_distribution(sys.argv[1]).version)", package,
        )  # fmt: skip
    except Unsuitable:
        return "not installed"
    return done.strip()


def _old_python() -> str:
    named = os.environ.get(_VARIABLE)
    if named:
        return named
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for release in _VERSIONS:
        kept = sorted(map(str, pyenv.glob(f"versions/{release}.*/bin/python")))
        for python in (shutil.which(f"python{release}"), *kept):
            if python is not None and _works(python):
                return python
    raise Unsuitable(
        f"it needs Python {_VERSIONS[-1]} to {_VERSIONS[0]}; name one by {_VARIABLE}"
    )


def _works(python: str) -> bool:
    """Say whether it runs: a version manager's stand-in may not."""
    done = subprocess.run([python, "-c", "import venv"], capture_output=True, check=False)
    return done.returncode == 0


def _make_venv(python: str) -> None:
    shutil.rmtree(_VENV, ignore_errors=True)
    _VENV.parent.mkdir(exist_ok=True)
    _run(python, "-m", "venv", str(_VENV))
    _run(str(_VENV / "bin" / "pip"), "install", "--quiet", *PACKAGES)
    (_VENV / "made").touch()


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise Unsuitable(f"{Path(command[0]).name} {command[1]} failed: {last}")
    return done.stdout
