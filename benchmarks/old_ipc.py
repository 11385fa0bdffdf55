"""Measures asgi_ipc, in an interpreter that is old enough for it (Python 3.6 to 3.8).

It stands alone, since the rest of the suite needs a newer Python. asgi_ipc has no
blocking receive and no event loop: whoever waits asks again and again, which is the
fastest that it can be. The order and the outcome are those of ``benchmarks.cell``.
"""

import json
import multiprocessing
import os
import statistics
import sys
import time
import uuid

BODY = "x" * 100
STALL_SECONDS = 3.0
FEWEST = 5


class Unsuitable(Exception):
    """asgi_ipc cannot do a workload; the text says why."""


def now_ns():
    """perf_counter_ns() of Python 3.7."""
    return int(time.perf_counter() * 1e9)


def message(number, body=BODY):
    """Make message ``number``."""
    return {"type": "bench.message", "number": number, "body": body}


def build(config):
    """Make the layer."""
    from asgi_ipc import IPCChannelLayer

    return IPCChannelLayer(**config)


def poll(layer, channel, seconds=STALL_SECONDS):
    """Ask until there is a message; None after ``seconds``."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        _, found = layer.receive([channel])
        if found is not None:
            return found
    return None


def pin(place):
    """Keep this process where the others of the suite would be."""
    usable = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {usable[-1 - place % len(usable)]})


def in_another(function, *arguments):
    """Run a function in another process."""
    process = multiprocessing.Process(target=function, args=arguments, daemon=True)
    process.start()
    return process


def outcome(figures, expected=0, lost=0, doubled=0):
    """Write what benchmarks.cell would write."""
    return {
        "figures": figures,
        "expected": expected,
        "lost": lost,
        "doubled": doubled,
        "yardsticks_ns": [],
    }


def send_receive(config, seconds):
    """One process; the message is there already."""
    layer = build(config)
    times = []
    end = time.perf_counter() + seconds
    while len(times) < FEWEST or time.perf_counter() < end:
        started = now_ns()
        layer.send("bench", message(len(times)))
        layer.receive(["bench"])
        times.append(now_ns() - started)
    return outcome({"time": statistics.median(times)}, len(times))


def _echo(config, place):
    pin(place)
    layer = build(config)
    while True:
        found = poll(layer, "there", seconds=3600)
        layer.send("back", found)


def round_trip(config, seconds, place=1):
    """Both processes poll."""
    echo = in_another(_echo, config, place)
    pin(0)
    layer = build(config)
    times, lost = [], 0
    end = time.perf_counter() + seconds
    while len(times) < FEWEST or time.perf_counter() < end:
        started = now_ns()
        layer.send("there", message(len(times)))
        lost += poll(layer, "back") is None
        times.append(now_ns() - started)
        if lost:
            break
    echo.terminate()
    figures = {"p50": statistics.median(times)}
    if len(times) >= 100:
        figures["p99"] = sorted(times)[len(times) * 99 // 100]
    return outcome(figures, len(times), lost)


def _send_all(config, size, seconds, told):
    pin(0)
    layer, body = build(config), "x" * size
    sent, began = 0, now_ns()
    while now_ns() < began + seconds * 1e9:
        try:
            layer.send("bench", message(sent, body))
            sent += 1
        except layer.ChannelFull:
            time.sleep(0.0002)
    told.send((sent, began))


def stream(config, seconds, size):
    """One process sends, the other polls."""
    layer = build(config)
    told, teller = multiprocessing.Pipe()
    sender = in_another(_send_all, config, size, seconds, teller)
    pin(1)
    numbers, last = [], 0
    while True:
        found = poll(layer, "bench", seconds=1.0)
        if found is None:
            if told.poll():
                break
            continue
        last = now_ns()
        numbers.append(found["number"])
    sent, began = told.recv()
    sender.join()
    different = len(set(numbers))
    rate = different * 1e9 / (last - began) if numbers else 0.0
    return outcome(
        {"rate": rate, "bytes": rate * size}, sent, sent - different, len(numbers) - different
    )


def fan_out(config, seconds, members):
    """The members are in the sender's process, which polls for all of them at once."""
    layer = build(dict(config, capacity=100000))
    here = "bench." + uuid.uuid4().hex + "!"
    for number in range(members):
        layer.group_add("bench", here + str(number))
    calls, lasts, lost = [], [], 0
    end = time.perf_counter() + seconds
    while not calls or time.perf_counter() < end:
        started = now_ns()
        layer.send_group("bench", message(len(calls)))
        calls.append(now_ns() - started)
        got = sum(poll(layer, here) is not None for _ in range(members))
        lasts.append(now_ns() - started)
        lost += members - got
    figures = {"call": statistics.median(calls), "last": statistics.median(lasts)}
    return outcome(figures, len(calls) * members, lost)


def churn(config, seconds, members):
    """One channel joins and leaves."""
    layer = build(config)
    for number in range(members):
        layer.group_add("bench", "bench.other%d" % number)
    times = []
    end = time.perf_counter() + seconds
    while len(times) < FEWEST or time.perf_counter() < end:
        started = now_ns()
        layer.group_add("bench", "bench.one")
        layer.group_discard("bench", "bench.one")
        times.append(now_ns() - started)
    return outcome({"time": statistics.median(times)}, len(times))


NOT_DONE = "asgi_ipc has no asyncio, and no receive that waits"
TOO_SLOW = "each call writes the whole store anew: 1,000 members take it many seconds"
SIZES = {"100": 100, "10k": 10000, "1m": 1000000}


def measure(key, config, seconds):
    """Do the workload of a key."""
    kind, _, size = key.rpartition("_")
    if key == "send_receive":
        return send_receive(config, seconds)
    if key.startswith("round_trip"):
        return round_trip(config, seconds, place=int(key == "round_trip"))
    if kind == "stream":
        return stream(config, seconds, SIZES[size])
    if kind in ("fan_out", "churn"):
        if int(size) > 100:
            raise Unsuitable(TOO_SLOW)
        return {"fan_out": fan_out, "churn": churn}[kind](config, seconds, int(size))
    raise Unsuitable(NOT_DONE)


def main(text):
    """Measure what the order says and print the outcome."""
    order = json.loads(text)
    config = dict(order["layer"][1], prefix="bench-" + uuid.uuid4().hex[:12])
    try:
        found = measure(order["workload"], config, order["seconds"])
    except Unsuitable as reason:
        found = {"unsuitable": str(reason)}
    finally:
        _clean(config["prefix"])
    print(json.dumps(found))


def _clean(prefix):
    for name in os.listdir("/dev/shm"):
        if prefix in name:
            os.unlink("/dev/shm/" + name)


if __name__ == "__main__":
    main(sys.argv[1])
