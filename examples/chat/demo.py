#!/usr/bin/env python
"""Runs the example: three web workers on one port and a dice worker, until Ctrl-C.

    python demo.py [--host HOST] [--port PORT] [--workers N]

Responsible for the processes: it starts them, says where the site is, replaces
one that is killed, ends them all when it is told to, and removes the layer's
shared memory after the last of them has gone.
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
from contextlib import ExitStack, suppress
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


# The port


def listen(host: str, port: int, count: int) -> list[socket.socket]:
    """Return `count` listening sockets on one port (0: any free one).

    The kernel deals new connections out among them by a hash of the addresses. If
    the workers shared one socket instead, an idle machine would wake the same one
    first nearly every time, and two tabs would rarely be in two processes.

    The sockets stay open here. While a worker is being replaced, its connections
    wait for its successor.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        # SO_REUSEPORT would let a second demo have a share in the port of the first.
        with socket.create_server((host, port), family=family) as probe:
            port = probe.getsockname()[1]
        return [
            socket.create_server((host, port), family=family, reuse_port=True)
            for _ in range(count)
        ]
    except OSError as error:
        raise DemoError(
            f"Cannot use {host} port {port}: {error.strerror}. "
            "Choose another with --port (0 for any free one)."
        ) from error


# The processes


class Site:
    """The processes of the site, by what we call them."""

    def __init__(self, env: dict[str, str]) -> None:
        self.running: dict[str, Process] = {}
        self._env = env

    async def keep(self, name: str, *arguments: str, inherits: tuple[int, ...] = ()) -> None:
        """Run a process, and another one in its place if it is killed.

        It leads a session of its own: Ctrl-C reaches the demo alone, which then
        ends the process itself. Raises DemoError if it ends in any other way.
        """
        while True:
            process = self.running[name] = await asyncio.create_subprocess_exec(
                sys.executable,
                *arguments,
                cwd=HERE,
                env=self._env,
                pass_fds=inherits,
                start_new_session=True,
            )
            code = await process.wait()
            if code != -signal.SIGKILL:
                how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
                raise DemoError(f"{name} ({process.pid}) has ended {how}; so the demo ends.")
            say(f"{name} ({process.pid}) was killed; another one takes its place.")

    async def end(self) -> None:
        """End all processes: politely, then for certain."""
        await asyncio.gather(*map(self._end, self.running.values()))

    async def _end(self, process: Process) -> None:
        with suppress(ProcessLookupError):
            process.terminate()
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(process.wait(), STOPPING)
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


# What the person is told


def say(text: str) -> None:
    """Print, unless the terminal has gone: that must not keep us from ending the processes."""
    with suppress(OSError):
        print(text, flush=True)


async def answers(host: str, port: int) -> None:
    """Return when the site has served its page. Raises DemoError if it does not."""
    try:
        reader, writer = await asyncio.open_connection(host, port)
        request = f"GET /room/lobby/ HTTP/1.0\r\nHost: localhost:{port}\r\n\r\n"
        writer.write(request.encode())
        status = await asyncio.wait_for(reader.readline(), STARTING)
        writer.close()
    except asyncio.TimeoutError:
        raise DemoError(f"The site did not answer within {STARTING:.0f} seconds.") from None
    if b" 200 " not in status:
        raise DemoError(f"The site answered {status.decode('latin-1').strip()!r}.")


def greeting(host: str, port: int, prefix: str, running: dict[str, Process]) -> str:
    """Return what to do with the site."""
    announce = [sys.executable, str(HERE / "manage.py"), "announce", "lobby", "Tea is ready"]
    processes = "".join(f"\n    {process.pid:>8}  {name}" for name, process in running.items())
    return f"""
  The chat is at  http://{f"[{host}]" if ":" in host else host}:{port}/

  Open it in two tabs. Then try:
    - say something: each line shows which process took it, and which delivered it
    - /roll 2d6: the dice worker takes it from its queue
    - kill -9 any process below: the others do not notice, its people come back by
      themselves, and what waits in its queue is done by its successor
    - speak from a management command:
      CHAT_PREFIX={shlex.quote(prefix)} {shlex.join(announce)}

  No broker runs, only these processes:{processes}

  Ctrl-C ends it.
"""


# The whole


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
    """Run the site until SIGINT, SIGTERM or SIGHUP. Raises DemoError if it cannot run."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    prefix = os.environ.get("CHAT_PREFIX", "chat-demo")
    local = host in {"localhost", "127.0.0.1", "::1"}
    hosts = "localhost,127.0.0.1,[::1]" if local else "*"
    site = Site({**os.environ, "CHAT_PREFIX": prefix, "CHAT_ALLOWED_HOSTS": hosts})

    async def welcome() -> None:
        await answers(host, port)
        say(greeting(host, port, prefix, site.running))
        await stop.wait()

    with ExitStack() as stack:
        sockets = [stack.enter_context(listener) for listener in listen(host, port, workers)]
        port = sockets[0].getsockname()[1]
        web_workers = [
            site.keep(f"Web worker {n}", "serve.py", str(fd), inherits=(fd,))
            for n, fd in enumerate((listener.fileno() for listener in sockets), start=1)
        ]
        dice_worker = site.keep("The dice worker", "manage.py", "runworker", "dice")
        try:
            await first_of(stop.wait(), *web_workers, dice_worker, welcome())
        finally:
            say("Ending …")
            await site.end()
            asgi_shm.unlink(prefix)
    say("Everything has ended, and nothing is left.")


def main() -> int:
    """Run the demo and return its exit code."""
    env = os.environ
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--host", default=env.get("HOST", "127.0.0.1"))
    parser.add_argument("--port", type=int, default=env.get("PORT", "8000"), help="0: any")
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
