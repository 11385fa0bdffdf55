from __future__ import annotations

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from benchmarks import __main__ as command_line
from benchmarks import instructions, publish, report, runner
from benchmarks import plan as planning
from benchmarks.contenders import BASELINE, KNOWN, Contender, chosen
from benchmarks.layers import OURS, LayerSpec, Unsuitable
from benchmarks.plan import Plan, workloads
from benchmarks.runner import run
from benchmarks.servers import SERVERS, Rack, Server
from benchmarks.store import CellKey, Results
from benchmarks.targets import verdicts
from benchmarks.workloads import WORKLOADS
from tests.support import SHM, TIMEOUT, leftovers

NOWHERE = Contender("nowhere", "a layer of nowhere", LayerSpec("nowhere_at_all.Layer"))
NO_SERVER = Contender("no_server", "a layer with no server", LayerSpec(OURS), "none")


class NoSuchServer(Server):
    program = "no-such-server"

    def command(self):
        return [self.path]


def ours(prefix, backend=OURS, **config):
    return Contender("asgi_shm", "asgi_shm", LayerSpec(backend, {"prefix": prefix, **config}))


def plan(*contenders, keys=("send_receive",), repetitions=1):
    return Plan(contenders, ("asyncio",), keys, repetitions, seconds=0.01)


def run_cells(given, path, *, resume=False):
    told = []
    results = run(given, path, told.append, resume=resume)
    return results, [line for line in told if "floor" not in line]


def cell(workload, contender="asgi_shm"):
    return CellKey("asyncio", workload, contender)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What a tiny run found, of layers that can be measured and of two that cannot."""
    path = tmp_path_factory.mktemp("results") / "tiny.jsonl"
    keys = ("send_receive", "round_trip_one_processor", "stream_100", "fan_out_10", "queue")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SERVERS, "none", NoSuchServer)
        run(plan(*BASELINE, NOWHERE, NO_SERVER, keys=keys), path, lambda _: None)
    return Results.read(path)


@pytest.mark.parametrize(
    "workload",
    ["send_receive", "round_trip_one_processor", "stream_100", "fan_out_10", "queue"],
)
def test_every_figure_of_a_workload_is_measured(results, workload):
    figures = WORKLOADS[workload](BASELINE[0].spec).figures

    assert results.reason(cell(workload)) == ""
    for figure in figures.keys() - {"p99"}:  # which so short a run has not
        assert results.median(cell(workload), figure) > 0
    assert results.share(cell(workload), "lost") == 0
    assert results.share(cell(workload), "doubled") == 0


def test_a_layer_of_one_process_has_all_members_there(results):
    assert results.median(cell("fan_out_10", "in_memory"), "last") > 0
    assert "dict of the process" in results.reason(cell("queue", "in_memory"))


def test_what_cannot_run_is_listed_with_its_reason(results):
    reasons = "\n".join(report.reasons(results))

    assert "a layer of nowhere: send_receive, " in reasons
    assert "nowhere_at_all.Layer is not installed" in reasons
    assert "no-such-server is not installed (apt-get install " in reasons
    assert reasons in report.markdown(results)


def test_floors_are_measured_in_the_same_run(results):
    assert results.median(CellKey("asyncio", "fifo_one_processor"), "p50") > 0
    assert "above its floor" in report.markdown(results)


def test_the_report_is_written_with_its_plots(results, tmp_path):
    text = publish.publish(results, tmp_path, "tiny", docs=False)

    assert (tmp_path / "tiny.md").read_text() in text
    assert "| **asgi_shm** |" in text
    document = json.loads((tmp_path / "tiny.json").read_text())
    assert {c["contender"] for c in document["cells"]} >= {"asgi_shm", "in_memory", "nowhere"}
    drawn = sorted(path.name for path in tmp_path.glob("*.svg"))
    assert drawn == ["tiny-fan_out.svg", "tiny-overview.svg", "tiny-stream.svg"]
    for name in drawn:
        assert ET.parse(tmp_path / name).getroot().tag.endswith("svg")


def test_the_documents_get_tables_and_links_that_lead_somewhere(results, tmp_path, monkeypatch):
    marks = "<!-- benchmarks: begin -->\n<!-- benchmarks: end -->\n"
    for name, path in (("README", "README.md"), ("DOCUMENT", "docs/benchmarks.md")):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(marks)
        monkeypatch.setattr(publish, name, tmp_path / path)
    monkeypatch.setattr(publish, "FILES", tmp_path / "docs" / "benchmarks")

    publish.publish(results, tmp_path / "results", "tiny", docs=True)

    for document in (publish.README, publish.DOCUMENT):
        text = document.read_text()
        links = re.findall(r"\]\((\S+)\)", text)
        assert links
        assert [link for link in links if not (document.parent / link).exists()] == []
        assert "| **asgi_shm** |" in text


def test_losses_and_duplicates_are_counted(prefix, tmp_path):
    faulty = ours(prefix, "tests.benchmarks.faulty.FaultyLayer", capacity=1000)
    given = plan(faulty, keys=("stream_100", "fan_out_10"))

    results, _ = run_cells(given, tmp_path / "faulty.jsonl")

    assert results.share(cell("stream_100"), "lost") == pytest.approx(0.1, rel=0.3)
    assert results.share(cell("stream_100"), "doubled") == pytest.approx(0.1, rel=0.2)
    assert results.share(cell("fan_out_10"), "doubled") > 0.1
    cut_off = "receive raised ConnectionError: the faulty layer was cut off"
    assert f"- asgi_shm: stream_100: 1 × {cut_off}." in report.errors(results)


def test_a_run_that_was_ended_goes_on(prefix, tmp_path):
    given = plan(ours(prefix), NOWHERE, keys=("send_receive", "churn_0"), repetitions=2)
    path = tmp_path / "ended.jsonl"
    _, told = run_cells(given, path)
    assert len(told) == 6  # what cannot run is tried once

    *kept, last = path.read_text().splitlines(keepends=True)
    path.write_text("".join(kept) + last[:20])
    results, told = run_cells(given, path, resume=True)

    assert len(told) <= 1
    assert len(Results.read(path).cells) == len(results.cells)
    assert run_cells(given, path, resume=True)[1] == []
    told = []
    run(given, path, told.append, resume=True, again=["churn"])
    assert len(told) == 3


def test_what_failed_is_tried_again(prefix, tmp_path):
    path = tmp_path / "failed.jsonl"
    broken = ours(prefix, capacity=-1)  # a ConfigError, when the cell makes the layer
    results, _ = run_cells(plan(broken), path)
    assert "ConfigError" in results.reason(cell("send_receive"))

    results, _ = run_cells(plan(ours(prefix)), path, resume=True)

    assert results.median(cell("send_receive"), "time") > 0


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import os; os.kill(os.getpid(), 9)", "failed: killed by SIGKILL"),
        ("raise SystemExit(3)", "failed: exit 3"),
        ("raise OSError('no more')", "failed: OSError: no more"),
    ],
)
def test_why_a_cell_failed_is_told(code, told):
    assert runner._run([sys.executable, "-c", code]) == {"unsuitable": told}


def test_what_takes_long_is_not_repeated(prefix, tmp_path, monkeypatch):
    monkeypatch.setattr(planning, "SLOW_SECONDS", 0.0)

    results, _ = run_cells(plan(ours(prefix), repetitions=2), tmp_path / "slow.jsonl")

    assert list(results.values(cell("send_receive"), "time")) == [0]


def test_no_repetition_is_begun_that_would_end_too_late(prefix, tmp_path):
    given = replace(plan(ours(prefix), repetitions=3), minutes=0.0)

    results, told = run_cells(given, tmp_path / "short.jsonl")

    assert [len(outcomes) for outcomes in results.cells.values()] == [1] * len(results.cells)
    assert told[-1].endswith("no time for repetition 2")


def test_a_run_that_was_cut_short_says_so(prefix, tmp_path):
    results, _ = run_cells(plan(ours(prefix), repetitions=2), tmp_path / "cut.jsonl")
    assert "cut short" not in "".join(report.circumstances(results))

    results.add(cell("idle"), 0, {"took": 1, "figures": {}})  # one is enough of it
    results.add(cell("queue"), 0, {"unsuitable": "it cannot"})
    assert "cut short" not in "".join(report.circumstances(results))

    del results.cells[cell("send_receive")][1]

    share = f"1 of {len(results.cells)} were run once less: the last repetition was cut short"
    assert share in "".join(report.circumstances(results))


def test_nothing_is_left_in_shared_memory(prefix, tmp_path):
    run_cells(plan(ours(prefix), keys=("queue", "memory")), tmp_path / "left.jsonl")

    assert [file.name for file in SHM.iterdir() if prefix in file.name] == []


def test_a_cell_that_was_killed_leaves_nothing(prefix, tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "CELL_SECONDS", 1.5)
    given = replace(plan(ours(prefix)), seconds=60)

    results, _ = run_cells(given, tmp_path / "killed.jsonl")

    assert "not done within" in results.reason(cell("send_receive"))
    assert leftovers(prefix) == []


def test_another_plan_is_not_resumed(prefix, tmp_path):
    path = tmp_path / "other.jsonl"
    path.write_text(json.dumps({"plan": {"contenders": []}}) + "\n")

    with pytest.raises(SystemExit, match="another plan"):
        run(plan(ours(prefix)), path, lambda _: None, resume=True)


def test_a_run_may_be_given_more_repetitions(prefix, tmp_path):
    path = tmp_path / "more.jsonl"
    first, _ = run_cells(plan(ours(prefix)), path)
    results, _ = run_cells(plan(ours(prefix), repetitions=3), path, resume=True)

    key = cell("send_receive")
    assert sorted(results.cells[key]) == [0, 1, 2]
    assert results.cells[key][0] == first.cells[key][0]
    assert Results.read(path).header["plan"]["repetitions"] == 3


def test_a_server_that_does_not_start_is_tried_once(monkeypatch):
    class Silent(Server):
        program = "false"
        tried = 0

        def command(self):
            Silent.tried += 1
            return [self.path]

    monkeypatch.setitem(SERVERS, "silent", Silent)
    rack = Rack()
    for _ in range(2):
        with pytest.raises(Unsuitable, match="false did not start"), rack.use("silent"):
            pass

    assert Silent.tried == 1


def results_of(**medians):
    found = Results({"contenders": {"asgi_shm": ["ours", ""], "nats": ["nats", ""]}})
    for name, value in medians.items():
        contender, _, workload = name.partition("__")
        found.add(cell(workload, contender), 0, {
            "figures": {"rate": value, "least": 40}, "expected": 1, "lost": 0, "doubled": 0,
        })  # fmt: skip
    return {verdict.target: verdict for verdict in verdicts(found)}


@pytest.mark.parametrize(("rate", "met"), [(200, True), (199, False)])
def test_targets_are_judged(rate, met):
    judged = results_of(asgi_shm__queue=rate, nats__queue=100)["work queue: 2 × nats"]

    assert judged.met is met
    assert "(nats)" in judged.measured


def test_a_target_that_was_not_measured_is_not_met():
    judged = results_of(asgi_shm__queue=200)

    assert judged["work queue: 2 × nats"].met is None
    assert judged["attaching: under 2 ms"].measured == "not measured"


@pytest.mark.parametrize("contender", ["nats", "asgi_shm"])
def test_targets_are_of_our_layer_alone(contender):
    found = Results({"contenders": {contender: ["a layer", ""]}})
    assert report.has_ours(found) == (contender == "asgi_shm")


def test_the_worst_share_of_losses_is_that_of_any_workload():
    found = Results({
        "contenders": {"nats": ["nats", "1"]}, "plan": {"loops": ["asyncio", "uvloop"]},
    })  # fmt: skip
    outcome = {"figures": {"time": 5.0}, "expected": 8, "lost": 0, "doubled": 0}
    found.add(cell("send_receive", "nats"), 0, outcome)
    found.add(CellKey("uvloop", "wake_receiver", "nats"), 0, {**outcome, "lost": 2})

    assert "| 25 % | 0 |" in "".join(report.glance(found))


def test_what_is_generated_stands_between_its_marks(tmp_path):
    document = tmp_path / "document.md"
    begin, end = "<!-- benchmarks: begin (by a command) -->", "<!-- benchmarks: end -->"
    document.write_text(f"before\n{begin}\nold\n{end}\nafter\n")

    publish.replace_block(document, "new\n")

    assert document.read_text() == f"before\n{begin}\nnew\n{end}\nafter\n"


def test_a_document_without_marks_is_left_alone(tmp_path):
    document = tmp_path / "document.md"
    document.write_text("all\n")

    with pytest.raises(ValueError, match="needs one block"):
        publish.replace_block(document, "new\n")
    assert document.read_text() == "all\n"


@pytest.mark.parametrize("document", [publish.README, publish.DOCUMENT])
def test_the_documents_have_the_marks(document):
    assert len(publish.BLOCK.findall(document.read_text())) == 1


def test_a_layer_is_named_by_the_environment(monkeypatch):
    monkeypatch.setenv("BACKEND", "some.Layer")
    monkeypatch.setenv("CONFIG", '{"option": "{run}"}')

    *_, extra = chosen([])

    assert extra.spec == LayerSpec("some.Layer", {"option": "{run}"})
    assert "{run}" not in extra.spec.for_run().config["option"]
    assert chosen(["redis"]) == (KNOWN["redis"],)


def test_another_configuration_is_another_layer(monkeypatch):
    small, large = (f'some.Layer={{"capacity": {capacity}}}' for capacity in (10, 1000))
    keys = [one.key for one in chosen([small, large, small])]
    assert keys == [small, large]

    monkeypatch.setenv("BACKEND", OURS)
    assert [one.key for one in chosen([])] == [*(one.key for one in BASELINE), OURS]


@pytest.mark.parametrize(
    ("layer", "told"),
    [
        ("redis2", "no layer redis2: there are asgi_shm, in_memory"),
        ("some.", "is no path of a class"),
        ("some.Layer={", "not in JSON"),
        ("some.Layer=[1]", "no JSON object"),
        (OURS + '={"prefix": "site"}', "prefix 'site' .* has no {run}"),
        (OURS + '={"prefix": null}', "has no {run}"),
    ],
)
def test_a_layer_that_is_named_badly_is_an_error(layer, told):
    with pytest.raises(SystemExit, match=told):
        chosen([layer])


def test_options_without_a_layer_are_an_error(monkeypatch):
    monkeypatch.setenv("CONFIG", "{}")
    with pytest.raises(SystemExit, match="no BACKEND"):
        chosen([])


def test_what_is_measured_never_has_the_segment_of_a_site():
    (contender,) = chosen([OURS + '={"capacity": 10}'])
    prefixes = {contender.spec.for_run().config["prefix"] for _ in range(2)}
    assert len(prefixes) == 2
    assert all(prefix.startswith("bench-") for prefix in prefixes)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--repetitions", "0"],
        ["--seconds", "nan"],
        ["--minutes", "-1"],
        ["--output", "../elsewhere"],
        ["--again", "queue"],
        ["--compare", "--docs", "--workload", "queue"],
        ["--layer", "asgi_shm", "--docs"],
        ["--loop", "uvloop", "--workload", "queue"],
        ["--render", "--output", "never-measured"],
    ],
)
def test_a_command_that_makes_no_sense_measures_nothing(arguments, monkeypatch, tmp_path):
    monkeypatch.setattr(command_line, "RESULTS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["benchmarks", *arguments])

    with pytest.raises(SystemExit) as refused:
        command_line.main()

    assert refused.value.code not in (0, None)
    assert list(tmp_path.iterdir()) == []


def test_a_workload_that_does_not_exist_is_an_error():
    assert workloads(["stream"]) == ("stream_100", "stream_10k", "stream_1m")
    with pytest.raises(SystemExit, match="no workload nothing"):
        workloads(["nothing"])


@pytest.mark.parametrize("case", instructions.CASES)
def test_each_case_whose_instructions_are_counted_runs(case):
    command = [sys.executable, "-m", "benchmarks.instructions", case, "2"]
    subprocess.run(command, check=True, timeout=TIMEOUT)
