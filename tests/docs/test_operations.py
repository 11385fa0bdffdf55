"""docs/operations.md: its commands run, and it says something of everything there is."""

from __future__ import annotations

import configparser
import re
import shlex
import subprocess

import pytest
import yaml

from asgi_shm import ShmChannelLayer, errors
from asgi_shm.cli.command import EXITS
from asgi_shm.cli.main import COMMANDS, parser
from asgi_shm.config import OPTIONS
from asgi_shm.inspect import COUNTERS
from tests.docs.snippets import DOCS, ROOT, console, ours, run, snippets
from tests.support import run_alone

DOCUMENT = "operations.md"
TEXT = (DOCS / DOCUMENT).read_text()
LINES = [line for line in console(DOCUMENT) if not line.command.startswith("pip ")]


@pytest.fixture
def site(prefix):
    """The site that the commands are about, with something to see."""
    layer = ShmChannelLayer(prefix=prefix)
    channel = run_alone(layer.new_channel())
    run_alone(layer.group_add("chat_lobby", channel))
    run_alone(layer.send("thumbnails", {"type": "make", "id": 1}))
    yield prefix
    run_alone(layer.close())


@pytest.mark.parametrize("line", LINES, ids=[line.command for line in LINES])
def test_commands(line, site):
    done = run(line, site)

    # The machine of the test may have something that doctor finds.
    codes = (0, 1) if "doctor" in line.command else (line.code,)
    assert done.returncode in codes, done.stderr
    assert done.stdout or line.code or re.search("send|flush|unlink", line.command)


def test_extras_that_are_installed_exist():
    project = (ROOT / "pyproject.toml").read_text()
    (extras,) = re.findall(r"asgi-shm\[([\w,]+)\]", TEXT)

    for extra in extras.split(","):
        assert f"\n{extra} = [" in project


@pytest.mark.parametrize("command", sorted(ours(DOCUMENT)))
def test_commands_in_the_text_are_understood(command):
    _, *arguments = shlex.split(command)

    assert parser().parse_args(arguments).command == arguments[0]


def test_settings_are_those_of_a_layer():
    (snippet,) = snippets(DOCUMENT, "python")
    names: dict[str, object] = {}
    exec(snippet.text, names)

    assert "asgi_shm.django" in names["INSTALLED_APPS"]
    ShmChannelLayer(**names["CHANNEL_LAYERS"]["default"]["CONFIG"])


@pytest.mark.parametrize("snippet", snippets(DOCUMENT, "yaml"))
def test_yaml(snippet):
    parsed = yaml.safe_load(snippet.text)

    assert {"services", "spec", "groups"} & parsed.keys()


@pytest.mark.parametrize("snippet", snippets(DOCUMENT, "ini"))
def test_units(snippet):
    parsed = configparser.ConfigParser(interpolation=None)
    parsed.read_string(snippet.text)

    assert parsed.sections()


@pytest.mark.parametrize("snippet", snippets(DOCUMENT, "sh"))
def test_shell(snippet):
    subprocess.run(["bash", "-n"], input=snippet.text, text=True, check=True)


def test_alerts_are_about_metrics_that_exist(site):
    (rules,) = (
        yaml.safe_load(one.text) for one in snippets(DOCUMENT, "yaml") if "alert" in one.text
    )
    told = run(next(line for line in LINES if "metrics" in line.command), site).stdout
    wanted = {
        name
        for rule in rules["groups"][0]["rules"]
        for name in re.findall(r"asgi_shm_\w+", rule["expr"])
    }

    assert len(wanted) >= 7
    for name in wanted:
        assert re.search(rf"^{name}\{{", told, re.MULTILINE), name


def test_every_error_has_a_row():
    for name in errors.__all__:
        assert name == "AsgiShmError" or f"| `{name}` |" in TEXT, name


def test_every_exit_code_has_its_row():
    for code, meaning in EXITS.items():
        assert f"| {code.value} | {meaning} |" in TEXT


def test_every_command_is_shown():
    for command in COMMANDS:
        assert f"asgi-shm {command.name}" in TEXT or f"shm {command.name}" in TEXT, command.name


def test_every_option_is_said_to_be_of_the_process_or_the_segment():
    section = TEXT.partition("## Change an option")[2].partition("\n## ")[0]
    for option in OPTIONS.keys() - {"prefix"}:
        assert f"`{option}`" in section, option


def test_counters_that_rise_are_those_of_the_code():
    names = {counter.name for counter in COUNTERS}

    assert set(re.findall(r"`(\w+)` rises", TEXT)) <= names


def test_every_check_has_a_row():
    checks = (ROOT / "asgi_shm" / "django" / "checks.py").read_text()

    assert set(re.findall(r'id="(asgi_shm\.\w+)"', checks)) == set(
        re.findall(r"^\| `(asgi_shm\.\w+)` \|", TEXT, re.MULTILINE)
    )


def test_links_within_lead_somewhere():
    heads = {
        re.sub(r"[^a-z0-9 -]", "", head.lower()).replace(" ", "-")
        for head in re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE)
    }

    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= heads
