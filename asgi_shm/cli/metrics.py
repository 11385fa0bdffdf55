"""``metrics``: the figures of segments for Prometheus, as text or over HTTP."""

from __future__ import annotations

import fnmatch
import threading
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from typing import Any, Final

from asgi_shm import segment
from asgi_shm.errors import AsgiShmError
from asgi_shm.inspect import COUNTERS, Channel, Counter, Observer, Process, Totals

from .command import Command, Exit, missing_extra
from .target import resolve
from .text import note, say

__all__ = ["COMMANDS"]

_NANOSECONDS: Final = "nanoseconds"
# Gauges: name, unit, help.
_GAUGES: Final = (
    ("processes", "", "processes that are attached"),
    ("gone_processes", "", "processes that are gone and not cleared up after yet"),
    ("channels", "", "channels in use"),
    ("groups", "", "groups with members"),
    ("members", "", "memberships"),
    ("pending", "messages", "unread messages"),
    ("oldest_message_age", "seconds", "that the oldest unread message has waited"),
    ("reserved", "bytes", "that the file system has given for the segment"),
)


class Collector:
    """Looks at segments whenever it is asked; for prometheus_client."""

    def __init__(self, prefix: str | None, channels: str | None) -> None:
        """Take the prefix (None: all), and a glob of the channels to be told one by one."""
        self._prefix = prefix
        self._channels = channels

    def describe(self) -> list[Any]:
        """Say nothing before the first look."""
        return []

    def collect(self) -> Iterator[Any]:
        """Give the families of metrics, of every segment."""
        families = _Families()
        for prefix in self._prefixes():
            families.look(prefix, self._channels)
        yield from families.everything()

    def _prefixes(self) -> list[str]:
        if self._prefix is not None:
            return [self._prefix]
        ours = (found for found in segment.find() if found.version == segment.LAYOUT_VERSION)
        return sorted({found.prefix for found in ours})


class _Families:
    """The metrics of one look: counters as they are declared, and gauges."""

    def __init__(self) -> None:
        from prometheus_client.core import (  # noqa: PLC0415 - an extra
            CounterMetricFamily,
            GaugeMetricFamily,
        )

        def gauge(name: str, unit: str, text: str, *labels: str) -> Any:
            return GaugeMetricFamily(
                f"asgi_shm_{name}", text, labels=["prefix", *labels], unit=unit
            )

        self.up = gauge("up", "", "1: the segment can be read")
        self.counters = {
            counter.name: CounterMetricFamily(
                f"asgi_shm_{counter.name.removesuffix('_ns')}",
                f"{_unit(counter)} {counter.help}",
                labels=["prefix"],
                unit=_unit(counter),
            )
            for counter in COUNTERS
        }
        self.gauges = {name: gauge(name, unit, text) for name, unit, text in _GAUGES}
        self.size = gauge("memory_size", "bytes", "of a part of the segment", "section")
        self.used = gauge("memory_used", "bytes", "of it that are in use", "section")
        self.channel = gauge("channel_pending", "messages", "unread in a channel", "channel")

    def everything(self) -> Iterator[Any]:
        yield self.up
        yield from self.counters.values()
        yield from self.gauges.values()
        yield from (self.size, self.used, self.channel)

    def look(self, prefix: str, glob: str | None) -> None:
        """Add a segment; one that cannot be read is down."""
        try:
            with Observer(prefix) as observer:
                self._add(prefix, observer, glob)
        except AsgiShmError:
            self.up.add_metric([prefix], 0)

    def _add(self, prefix: str, observer: Observer, glob: str | None) -> None:
        totals, channels = observer.totals(), list(observer.channels())
        for counter in COUNTERS:
            value = totals.counters[counter.name]
            scale = 1e9 if counter.unit == _NANOSECONDS else 1
            self.counters[counter.name].add_metric([prefix], value / scale)
        gauges = _gauges(totals, observer.processes(), channels)
        gauges["groups"] = len(observer.groups())
        for name, gauge in self.gauges.items():
            gauge.add_metric([prefix], gauges[name])
        for section, memory in (
            ("messages", totals.messages_memory),
            ("groups", totals.groups_memory),
        ):
            self.size.add_metric([prefix, section], memory.size)
            self.used.add_metric([prefix, section], memory.used)
        for channel in channels:
            if glob is not None and fnmatch.fnmatchcase(channel.name, glob):
                self.channel.add_metric([prefix, channel.name], channel.pending)
        self.up.add_metric([prefix], 1)


def _unit(counter: Counter) -> str:
    return "seconds" if counter.unit == _NANOSECONDS else counter.unit


def _gauges(
    totals: Totals, processes: list[Process], channels: list[Channel]
) -> dict[str, float]:
    alive = sum(process.alive for process in processes)
    return {
        "processes": alive,
        "gone_processes": len(processes) - alive,
        "channels": totals.channels,
        "members": totals.members,
        "pending": totals.pending,
        "oldest_message_age": max((one.age for one in channels if one.pending), default=0.0),
        "reserved": totals.reserved,
    }


def _metrics(arguments: Namespace) -> int:
    try:
        import prometheus_client  # noqa: PLC0415 - an extra
        from prometheus_client.openmetrics import exposition  # noqa: PLC0415
    except ImportError:
        raise missing_extra("metrics", "prometheus_client", "metrics") from None
    told = arguments.prefix or arguments.bound or arguments.django or arguments.layer
    prefix = resolve(arguments).prefix if told else None
    registry = prometheus_client.CollectorRegistry()
    registry.register(Collector(prefix, arguments.channels))
    if arguments.port is None:
        generate = (
            exposition.generate_latest
            if arguments.openmetrics
            else prometheus_client.generate_latest
        )
        say(generate(registry).decode().rstrip("\n"))
        return Exit.OK
    server, thread = prometheus_client.start_http_server(
        arguments.port, arguments.address, registry
    )
    note(f"http://{arguments.address}:{server.server_port}/metrics, until Ctrl-C")
    try:
        threading.Event().wait()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    return Exit.OK


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--port", type=int, help="serve them over HTTP, in the format that is asked for"
    )
    parser.add_argument(
        "--address",
        default="127.0.0.1",
        help="where to; default: %(default)s, which is this machine alone",
    )
    parser.add_argument("--openmetrics", action="store_true", help="text in OpenMetrics")
    parser.add_argument(
        "--channels", metavar="GLOB", help="tell the unread messages of each of these channels"
    )


COMMANDS: Final = (
    Command(
        "metrics",
        "give the figures to Prometheus, as text or over HTTP",
        _metrics,
        _arguments,
        (
            "asgi-shm metrics",
            "asgi-shm metrics --port 9321 --channels 'jobs*'",
            "asgi-shm metrics --openmetrics --prefix mysite",
        ),
        "Of all segments of this machine, or of one. Every counter of the segment is there, "
        "with its unit; asgi_shm_up is 0 for a segment that cannot be read. Needs "
        "prometheus_client: pip install 'asgi-shm[metrics]'.",
    ),
)
