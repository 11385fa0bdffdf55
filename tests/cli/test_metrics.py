"""metrics: every counter, its name and unit, as text and over HTTP."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import urllib.request

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain

from asgi_shm import segment
from asgi_shm.inspect import COUNTERS, Observer
from tests.support import TIMEOUT, run_alone


def samples(text, parse=plain):
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in parse(text)
        for sample in family.samples
    }


def test_every_counter_and_gauge(tool, prefix, layer, site):
    run_alone(layer.receive("work"))
    done = tool("metrics", "--prefix", prefix)
    found = samples(done.out)
    label = ("prefix", prefix)

    assert (done.code, done.err) == (0, "")
    assert found["asgi_shm_up", label] == 1
    assert found["asgi_shm_sent_messages_total", label] == 3
    assert found["asgi_shm_received_messages_total", label] == 1
    assert found["asgi_shm_sends_calls_total", label] == 3
    assert found["asgi_shm_lock_waits_total", label] == 0
    assert found["asgi_shm_lock_wait_seconds_total", label] == 0
    assert found["asgi_shm_pending_messages", label] == 2
    assert found["asgi_shm_processes", label] == 1
    assert found["asgi_shm_members", label] == 2
    assert found["asgi_shm_oldest_message_age_seconds", label] >= 0
    section = ("section", "messages")
    assert found["asgi_shm_memory_size_bytes", label, section] == 100 * 1024 * 1024
    assert 0 < found["asgi_shm_memory_used_bytes", label, section] < 100_000


def test_nanoseconds_are_told_as_seconds(tool, monkeypatch, prefix, site):
    def totals(observer, real=Observer.totals):
        found = real(observer)
        found.counters["lock_wait_ns"] = 2_500_000_000
        return found

    monkeypatch.setattr(Observer, "totals", totals)
    found = samples(tool("metrics", "--prefix", prefix).out)

    assert found["asgi_shm_lock_wait_seconds_total", ("prefix", prefix)] == 2.5


def test_the_declared_counters_are_those_that_are_told(tool, prefix, site):
    text = tool("metrics", "--openmetrics", "--prefix", prefix).out
    families = {family.name: family for family in open_metrics(text)}
    counters = [family for family in families.values() if family.type == "counter"]

    assert len(counters) == len(COUNTERS)
    for counter in COUNTERS:
        unit = {"nanoseconds": "seconds"}.get(counter.unit, counter.unit)
        name = f"asgi_shm_{counter.name.removesuffix('_ns')}".removesuffix(f"_{unit}")
        assert families[f"{name}_{unit}"].unit == unit
        assert families[f"{name}_{unit}"].documentation == f"{unit} {counter.help}"


def test_chosen_channels(tool, prefix, site):
    found = samples(tool("metrics", "--channels", "w*", "--prefix", prefix).out)
    channels = {key: value for key, value in found.items() if "channel_pending" in key[0]}

    assert channels == {
        ("asgi_shm_channel_pending_messages", ("channel", "work"), ("prefix", prefix)): 2
    }


def test_all_segments_and_those_that_cannot_be_read(tool, prefix, site, make_other):
    other = make_other(f"{prefix}-other")
    broken = f"{prefix}-broken"
    path = segment.object_path(broken)
    path.write_bytes(b"x" * 10_000)
    try:
        found = samples(tool("metrics").out)
    finally:
        path.unlink()
    up = [found["asgi_shm_up", ("prefix", name)] for name in (prefix, other, broken)]

    assert up == [1, 1, 0]


@pytest.fixture
def server(prefix, site):
    process = subprocess.Popen(
        [sys.executable, "-m", "asgi_shm", "metrics", "--port", "0", "--prefix", prefix],
        stderr=subprocess.PIPE,
        text=True,
        # Whoever runs the tests in the background has them ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    yield process
    process.kill()
    process.wait()
    process.stderr.close()


def test_over_http(server, prefix, layer):
    said = server.stderr.readline()
    address = re.search(r"http://127\.0\.0\.1:\d+/metrics", said)[0]

    def ask(accept):
        request = urllib.request.Request(address, headers={"Accept": accept})
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            return answer.headers["Content-Type"], answer.read().decode()

    _, text = ask("text/plain")
    assert samples(text)["asgi_shm_sent_messages_total", ("prefix", prefix)] == 3
    run_alone(layer.send("work", {}))
    kind, text = ask("application/openmetrics-text")
    assert kind.startswith("application/openmetrics-text")
    assert samples(text, open_metrics)["asgi_shm_sent_messages_total", ("prefix", prefix)] == 4
    server.send_signal(signal.SIGINT)
    assert server.wait(TIMEOUT) == 130


@pytest.mark.parametrize(
    ("package", "arguments", "extra"),
    [
        ("prometheus_client", ["metrics"], "asgi-shm[metrics]"),
        ("shtab", ["completion", "bash"], "asgi-shm[cli]"),
    ],
)
def test_without_its_extra_it_says_what_to_install(
    tool, monkeypatch, package, arguments, extra
):
    monkeypatch.setitem(sys.modules, package, None)
    done = tool(*arguments)

    assert (done.code, done.out) == (7, "")
    assert f"pip install '{extra}'" in done.err
