"""Starts the servers that peers need, on free ports of the loopback, and stops them.

A server sleeps (SIGSTOP) while layers that do not use it are measured: an idle
broker is not idle enough to stand beside a figure in microseconds.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .layers import Unsuitable

START_SECONDS = 60.0
APT = "apt-get install redis-server rabbitmq-server nats-server postgresql"
"""What installs all of them on Debian."""


class Server:
    """One server program. Subclasses say how it is started and where it listens."""

    program: str
    places: Sequence[str] = ("/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin")
    user: str | None = None
    """Whom to run it as, if we are root and it refuses root."""

    def __init__(self) -> None:
        self.port = free_port()
        self.directory = Path(tempfile.mkdtemp(prefix=f"bench-{self.program}-"))
        self.process: subprocess.Popen[bytes] | None = None
        if self.user is not None and os.geteuid() == 0:
            self.directory.chmod(0o755)
            os.chown(self.directory, *_ids(self.user))

    @property
    def path(self) -> str:
        """Where the program is. Raises Unsuitable if it is not installed."""
        found = shutil.which(self.program, path=os.pathsep.join([*self.places, os.defpath]))
        if found is None:
            raise Unsuitable(f"{self.program} is not installed ({APT})")
        return found

    def command(self) -> list[str]:
        """Give the command that runs the server in the foreground."""
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        """Give what the server needs in its environment."""
        return {}

    def words(self) -> dict[str, str]:
        """Give what stands in a CONFIG for the places where the server listens."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it and wait until it listens. Raises Unsuitable if it does not."""
        self.prepare()
        with (self.directory / "log").open("wb") as log:
            self.process = subprocess.Popen(
                self.command(), cwd=self.directory, stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, env={**os.environ, **self.environment()},
                start_new_session=True, **_as_user(self.user),
            )  # fmt: skip
        self._await_listening()
        self.ready()

    def prepare(self) -> None:
        """Do what comes before the first start."""

    def ready(self) -> None:
        """Do what comes once it listens."""

    def sleep(self) -> None:
        """Let it use no processor until wake()."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it, and remove what it has written."""
        self.wake()
        self._signal(signal.SIGTERM)
        if self.process is not None:
            try:
                self.process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                self._signal(signal.SIGKILL)
                self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def run(self, *command: str) -> None:
        """Run a tool of the server's; what it says is in the reason if it fails."""
        done = subprocess.run(
            command, cwd=self.directory, capture_output=True, text=True, check=False,
            env={**os.environ, **self.environment()}, **_as_user(self.user),
        )  # fmt: skip
        if done.returncode:
            raise Unsuitable(f"{Path(command[0]).name} failed: {_last_line(done.stderr)}")

    def _signal(self, number: signal.Signals) -> None:
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def _await_listening(self) -> None:
        assert self.process is not None
        end = time.monotonic() + START_SECONDS
        while not listens(self.port):
            if self.process.poll() is not None or time.monotonic() > end:
                log = (self.directory / "log").read_text(errors="replace")
                self.stop()
                raise Unsuitable(f"{self.program} did not start: {_last_line(log)}")
            time.sleep(0.05)


class Redis(Server):
    program = "redis-server"

    def command(self) -> list[str]:
        return [
            self.path, "--bind", "127.0.0.1", "--port", str(self.port),
            "--unixsocket", self.words()["redis_socket"],
            "--save", "", "--appendonly", "no",
        ]  # fmt: skip

    def words(self) -> dict[str, str]:
        return {
            "redis_port": str(self.port),
            "redis_socket": str(self.directory / "socket"),
        }


class Nats(Server):
    program = "nats-server"

    def command(self) -> list[str]:
        return [self.path, "--addr", "127.0.0.1", "--port", str(self.port)]

    def words(self) -> dict[str, str]:
        return {"nats_port": str(self.port)}


class RabbitMQ(Server):
    program = "rabbitmq-server"
    # Debian's /usr/sbin/rabbitmq-server changes the user and hides the log.
    places = ("/usr/lib/rabbitmq/bin",)

    def __init__(self) -> None:
        super().__init__()
        self.names_port = free_port()

    def command(self) -> list[str]:
        return [self.path]

    def environment(self) -> Mapping[str, str]:
        here = str(self.directory)
        return {
            "HOME": here,
            "RABBITMQ_NODENAME": f"bench{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": here,
            "RABBITMQ_LOG_BASE": here,
            "RABBITMQ_CONFIG_FILE": f"{here}/none",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{here}/plugins",
            # Without this its schedulers spin for a while after each message.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self.names_port),
        }

    def words(self) -> dict[str, str]:
        return {"rabbitmq_port": str(self.port)}

    def stop(self) -> None:
        super().stop()
        with suppress(FileNotFoundError):  # the daemon of names, which it started
            subprocess.run(
                ["epmd", "-port", str(self.names_port), "-kill"],
                env={**os.environ, "ERL_EPMD_RELAXED_COMMAND_CHECK": "1"},
                capture_output=True, check=False,
            )  # fmt: skip


class Postgres(Server):
    program = "postgres"
    user = "postgres"

    @property
    def places(self) -> Sequence[str]:  # type: ignore[override]
        versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
        return [*map(str, versions), *Server.places]

    def prepare(self) -> None:
        initdb = str(Path(self.path).with_name("initdb"))
        data = str(self.directory / "data")
        self.run(initdb, "-D", data, "-U", "bench", "-A", "trust", "-E", "UTF8", "-N")

    def command(self) -> list[str]:
        return [
            self.path, "-D", str(self.directory / "data"), "-p", str(self.port),
            "-c", "listen_addresses=127.0.0.1",
            "-c", f"unix_socket_directories={self.directory}",
            "-c", "fsync=off", "-c", "max_connections=200",
        ]  # fmt: skip

    def words(self) -> dict[str, str]:
        return {"postgres_port": str(self.port)}

    def ready(self) -> None:
        """Make the tables of channels_postgres, as its migrations do."""
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.postgres_site", str(self.port)],
            cwd=Path(__file__).parent.parent, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            self.stop()
            raise Unsuitable(f"its tables could not be made: {_last_line(done.stderr)}")


class Zmq(Server):
    """The daemon that channels_zmq asks its user to write."""

    program = "python"

    def __init__(self) -> None:
        super().__init__()
        self.out_port = free_port()

    def command(self) -> list[str]:
        daemon = Path(__file__).with_name("zmq_daemon.py")
        return [sys.executable, str(daemon), str(self.port), str(self.out_port)]

    def words(self) -> dict[str, str]:
        return {"zmq_in_port": str(self.port), "zmq_out_port": str(self.out_port)}


SERVERS: dict[str, type[Server]] = {
    "redis": Redis,
    "nats": Nats,
    "rabbitmq": RabbitMQ,
    "postgres": Postgres,
    "zmq": Zmq,
}


class Rack:
    """The servers of a run: each is started when it is first needed."""

    def __init__(self) -> None:
        self._running: dict[str, Server] = {}
        self._refused: dict[str, str] = {}

    @contextmanager
    def use(self, key: str | None) -> Iterator[Mapping[str, str]]:
        """Give the words of a server that is awake meanwhile; none needs none."""
        if key is None:
            yield {}
            return
        server = self._get(key)
        server.wake()
        try:
            yield server.words()
        finally:
            server.sleep()

    def close(self) -> None:
        """Stop all that run."""
        for server in self._running.values():
            server.stop()
        self._running.clear()

    def _get(self, key: str) -> Server:
        if key in self._refused:
            raise Unsuitable(self._refused[key])
        if key not in self._running:
            server = SERVERS[key]()
            try:
                server.start()
            except Unsuitable as reason:
                shutil.rmtree(server.directory, ignore_errors=True)
                self._refused[key] = str(reason)
                raise
            self._running[key] = server
        return self._running[key]


def free_port() -> int:
    """Find a port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listens(port: int) -> bool:
    """Say whether somebody listens on a port of the loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _ids(user: str) -> tuple[int, int]:
    entry = pwd.getpwnam(user)
    return entry.pw_uid, entry.pw_gid


def _as_user(user: str | None) -> dict[str, Any]:
    """The arguments that make a subprocess another user's, where that is needed."""
    if user is None or os.geteuid() != 0:
        return {}
    uid, gid = _ids(user)
    return {"user": uid, "group": gid}


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it said nothing"
