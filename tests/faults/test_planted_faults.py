"""Every fault of the tables is named, costs one document and one alert, and changes nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

import retrain_ops.run
from devtools.doubles.registry_server import Client
from devtools.servers.slack_server import SlackServer
from devtools.synthetic import SPEC, write_days
from devtools.worlds import BOOTSTRAP, World
from retrain_ops.cli.main import main
from tests.faults.planted_faults import DAY, ROW_FAULTS, SPEC_FAULTS, SpecFault
from tests.faults.planted_surroundings import SURROUNDINGS

KEY = f"window_end={DAY}"


@pytest.fixture(scope="module")
def slack():
    with SlackServer() as server:
        yield server


@pytest.fixture(scope="module")
def serving(tmp_path_factory) -> World:
    """A champion that serves; its second day is still to come."""
    world = World(tmp_path_factory.mktemp("serving") / "world")
    write_days(world.folder / "rows", 18)
    (world.folder / "toy.toml").write_text(SPEC)
    world.must_do(("run", "--date", BOOTSTRAP.isoformat(), "--bootstrap"))
    return world


@pytest.fixture
def world(serving, slack, tmp_path, monkeypatch) -> World:
    """A world of its own, in which this process runs commands."""
    copied = serving.copy(tmp_path / "world")
    monkeypatch.setattr(retrain_ops.run, "MlflowClient", lambda *_: Client(copied.server))
    monkeypatch.setenv("RETRAIN_OPS_WORKSPACE", str(copied.folder / "workspace"))
    monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.url)
    slack.messages.clear()
    return copied


@pytest.fixture
def run(world, capsys):
    """Runs the day: exit code, the one document, standard error."""

    def run(*arguments: str) -> tuple[int, dict[str, Any], str]:
        date = () if "--date" in arguments else ("--date", DAY.isoformat())
        code = main(["run", "--spec", str(world.folder / "toy.toml"), *date, *arguments])
        shown = capsys.readouterr()
        document = json.loads(shown.out)
        assert isinstance(document, dict)
        return code, document, shown.err

    return run


def registry_of(world: World) -> dict[str, Any]:
    """All that the server keeps, but for the counter of its ids."""
    return {k: v for k, v in vars(world.server).items() if k != "ids"}


def files_of(world: World) -> dict[str, bytes]:
    """The files of the days before, and of the day that fails those that would decide it."""
    root = world.folder / "workspace"
    found = (p for p in root.rglob("*") if p.is_file()) if root.is_dir() else ()
    return {
        str(p.relative_to(root)): p.read_bytes()
        for p in found
        if KEY not in p.parts or p.name == "decision.json"
    }


def must_fail(document: dict[str, Any], words: Sequence[str]) -> str:
    """The message of a failed day, all words in its first line."""
    assert document["status"] == "failed"
    message: str = document["message"]
    steps = [step for step in document.get("steps", ()) if step["status"] == "failed"]
    assert not steps or steps[0]["message"] == message
    first = message.splitlines()[0]
    missing = [word for word in words if word not in first]
    assert not missing, f"{missing} not in {first!r}"
    return message


def must_alert(slack: SlackServer, document: dict[str, Any], alerts: int) -> None:
    """So many messages came, and each names the day and what was wrong."""
    assert len(slack.messages) == alerts, slack.messages
    for message in slack.messages:
        assert message["text"].startswith(f"[FAILED] toy {DAY}: ")
        assert document["message"].split()[0] in message["text"]


def expected_place(text: str, fault: SpecFault) -> str:
    """File, line and key, as the message of a wrong spec begins."""
    end = text.index(fault.new) + len(fault.new.rstrip("\n"))
    return f"toy.toml, line {text[:end].count(chr(10)) + 1}: {fault.place}"


@pytest.mark.parametrize("name", SPEC_FAULTS)
def test_a_wrong_spec(name, world, run, slack):
    fault = SPEC_FAULTS[name]
    change(world, fault.old, fault.new)
    before = registry_of(world), files_of(world)
    code, document, err = run()
    assert code == 2, document
    message = must_fail(document, (fault.words,))
    text = (world.folder / "toy.toml").read_text()
    assert message.startswith(expected_place(text, fault)), message
    # What needs the rows to be seen is refused by the day's first step, which sends its alert.
    must_alert(slack, document, 1 if "steps" in document else 0)
    assert "Traceback" not in err
    assert (registry_of(world), files_of(world)) == before


@pytest.mark.parametrize("name", ROW_FAULTS)
def test_wrong_rows(name, world, run, slack):
    fault = ROW_FAULTS[name]
    if any(fault.spec):
        change(world, *fault.spec)
    fault.plant(world.folder / "rows")
    before = registry_of(world), files_of(world)
    code, document, err = run("--force")
    assert code == 20, document
    must_fail(document, fault.words)
    must_alert(slack, document, 1)
    assert "Traceback" not in err
    assert (registry_of(world), files_of(world)) == before


@pytest.mark.parametrize("name", SURROUNDINGS)
def test_wrong_surroundings(name, world, run, slack, monkeypatch):
    fault = SURROUNDINGS[name]
    fault.plant(world, monkeypatch)
    before = registry_of(world), files_of(world)
    code, document, err = run(*fault.arguments)
    assert code == fault.code, document
    must_fail(document, fault.words)
    must_alert(slack, document, fault.alerts)
    assert ("Traceback" in err) == fault.unforeseen
    assert (registry_of(world), files_of(world)) == before


def change(world: World, old: str, new: str) -> None:
    """Plants a fault in one place of the spec; at its end when it replaces nothing."""
    assert SPEC.count(old) == 1 or not old
    text = SPEC.replace(old, new) if old else SPEC + new
    (world.folder / "toy.toml").write_text(text)


def test_the_tables_hold_enough():
    assert len(SPEC_FAULTS) + len(ROW_FAULTS) + len(SURROUNDINGS) >= 60
