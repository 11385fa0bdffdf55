#!/usr/bin/env python
"""Runs the example: three web workers on one port and a dice worker, until Ctrl-C.

    python demo.py [--host HOST] [--port PORT] [--workers N]

Responsible for the processes: it starts them, says where the site is, ends them
all when it is told to (or when one of them ends by itself), and removes the
layer's shared memory after the last of them has gone.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shlex
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import asgi_shm

HERE = Path(__file__).resolve().parent

STARTING = 60.0
"""Seconds within which the site must answer."""

STOPPING = 10.0
"""Seconds that a process has to end after SIGTERM, before it is killed."""


class DemoError(Exception):
    """The demo cannot go on; the message is for the person who started it."""


def reserve(host: str, port: int) -> tuple[socket.socket, int]:
    """Take a port (0: any free one) without listening on it, and return it with its number.

    As both sockets have SO_REUSEADDR, the web server can listen on the port while
    this one is held, and nobody is given it in between.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    held = socket.socket(family, socket.SOCK_STREAM)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        held.bind((host, port))
    except OSError as error:
        held.close()
        raise DemoError(
            f"Cannot use {host} port {port}: {error.strerror}. Choose another with --port "
            "(0 for any free one)."
        ) from error
    return held, held.getsockname()[1]


def command_lines(host: str, port: int, workers: int) -> dict[str, list[str]]:
    """Return the arguments to Python of each process of the site, by what we call it."""
    server = ["-m", "uvicorn", "config.asgi:application", "--host", host, "--port", str(port)]
    server += ["--workers", str(workers), "--lifespan", "off", "--log-level", "warning"]
    server += ["--timeout-graceful-shutdown", "3"]
    return {
        f"the web server with its {workers} workers": server,
        "the dice worker": ["manage.py", "runworker", "dice"],
    }


async def start(arguments: list[str], env: dict[str, str]) -> Process:
    """Start a process of the site.

    It leads a session of its own: Ctrl-C reaches the demo alone, which then ends
    its processes itself, and what a process has started can be killed with it.
    """
    return await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=HERE, env=env, start_new_session=True
    )


async def end(process: Process) -> None:
    """End a process, and whatever it started: politely, then for certain."""
    with suppress(ProcessLookupError):
        process.terminate()
    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(process.wait(), STOPPING)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


async def watch(name: str, process: Process) -> None:
    """Raise DemoError when the process ends."""
    code = await process.wait()
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    raise DemoError(f"{name[0].upper()}{name[1:]} {how}, and the demo ends with it.")


async def answers(host: str, port: int) -> None:
    """Return as soon as the site serves its page."""
    request = f"GET /room/lobby/ HTTP/1.0\r\nHost: localhost:{port}\r\n\r\n".encode()
    while True:
        with suppress(OSError):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(request)
            status = await reader.readline()
            writer.close()
            if b" 200 " in status:
                return
        await asyncio.sleep(0.1)


async def welcome(host: str, port: int, prefix: str, processes: dict[str, Process]) -> None:
    """Wait until the site answers, and say what to do with it.

    Raises DemoError if it does not answer.
    """
    try:
        await asyncio.wait_for(answers(host, port), STARTING)
    except asyncio.TimeoutError:
        raise DemoError(f"The site did not answer within {STARTING:.0f} seconds.") from None
    announce = [sys.executable, str(HERE / "manage.py"), "announce", "lobby", "Tea is ready"]
    running = ", ".join(f"{name} ({process.pid})" for name, process in processes.items())
    say(f"""
  The chat is at  http://{f"[{host}]" if ":" in host else host}:{port}/

  Open it in two tabs. Then try:
    - say something: each line shows which process took it, and which delivered it
    - /roll 2d6: the dice worker, a process of its own, takes it from its queue
    - kill -9 a web worker (the page shows their numbers): the others do not
      notice, and its people come back by themselves
    - speak from a management command:
      CHAT_PREFIX={shlex.quote(prefix)} {shlex.join(announce)}

  No broker runs, only {running}.
  Ctrl-C ends it.
""")


async def first_of(*coroutines: Coroutine[Any, Any, object]) -> None:
    """Return, or raise, as the first of the coroutines does; cancel the others."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def run(host: str, port: int, workers: int) -> None:
    """Run the site until SIGINT, SIGTERM or SIGHUP.

    Raises DemoError if one of its processes ends before.
    """
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    prefix = os.environ.get("CHAT_PREFIX", "chat-demo")
    local = host in ("localhost", "127.0.0.1", "::1")
    env = {
        **os.environ,
        "CHAT_PREFIX": prefix,
        "CHAT_ALLOWED_HOSTS": "localhost,127.0.0.1,[::1]" if local else "*",
    }
    processes: dict[str, Process] = {}
    held, port = reserve(host, port)
    with held:
        try:
            for name, arguments in command_lines(host, port, workers).items():
                processes[name] = await start(arguments, env)

            async def serve() -> None:
                await welcome(host, port, prefix, processes)
                await stop.wait()

            watches = (watch(name, process) for name, process in processes.items())
            await first_of(serve(), stop.wait(), *watches)
        finally:
            say("Ending …")
            await asyncio.gather(*map(end, processes.values()))
            asgi_shm.unlink(prefix)
    say("Everything has ended, and nothing is left.")


def say(text: str) -> None:
    """Print, unless the terminal has gone: that must not keep us from ending the processes."""
    with suppress(OSError):
        print(text, flush=True)


def main() -> int:
    """Run the demo and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--host", default=os.environ.get("HOST", "127.0.0.1"))
    parser.add_argument(
        "--port", type=int, default=os.environ.get("PORT", "8000"), help="0: any free one"
    )
    parser.add_argument("--workers", type=int, default=3, help="web workers (default: 3)")
    options = parser.parse_args()
    try:
        asyncio.run(run(options.host, options.port, options.workers))
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
