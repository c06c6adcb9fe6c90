"""The commands of docs/runbook.md that need no Airflow, each in the situation it is for."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from devtools import runbook
from devtools.servers.mlflow_server import MlflowServer
from devtools.synthetic import FIRST, SPEC, write_days

NOT_YET = 75
BOOTSTRAP, DAY = FIRST + timedelta(days=17), FIRST + timedelta(days=36)
COMMANDS = [
    (block.heading, command) for block in runbook.blocks("cli") for command in block.commands
]
executed: set[tuple[str, str]] = set()


@dataclass(slots=True)
class World:
    """A toy model of its own on a real MLflow; `say` runs commands of the page."""

    folder: Path
    variables: dict[str, str]

    def say(self, heading: str, *, code: int = 0, only: str = "") -> list[dict[str, Any]]:
        """The section's commands in order, or those that contain `only`; what each printed."""
        chosen = [c for h, c in COMMANDS if h == heading and only in c]
        assert chosen, f"no command {only!r} under {heading!r}"
        return [self.command(heading, command, code) for command in chosen]

    def command(self, heading: str, command: str, code: int) -> dict[str, Any]:
        returned, printed = runbook.run(command, self.variables, timeout_s=600)
        assert returned == code, f"{command}: {returned}\n{printed}"
        executed.add((heading, command))
        if not printed.startswith("{"):
            return {"text": printed}
        found: dict[str, Any] = json.JSONDecoder().raw_decode(printed)[0]
        return found

    def run(self, day: date, *options: str) -> int:
        """A day as the night ran it."""
        command = f"retrain-ops run --spec $SPEC --date {day} {' '.join(options)}"
        return runbook.run(command, self.variables, timeout_s=600)[0]

    def aliases(self) -> dict[str, str]:
        (status,) = self.say("Where do we stand", only="status")
        found: dict[str, str] = status["aliases"]
        return found


@pytest.fixture
def world(tmp_path: Path, mlflow_server: MlflowServer, request: pytest.FixtureRequest) -> World:
    """A champion that is soon wrong, as in test_days; the model is named after the test."""
    write_days(tmp_path / "rows", 60, rule_changes=18, shift_from=18, shift=0.6)
    return _world(tmp_path, mlflow_server, request.node.name, SPEC, BOOTSTRAP)


def _world(folder: Path, server: MlflowServer, name: str, spec: str, bootstrap: date) -> World:
    (folder / "toy.toml").write_text(spec.replace('"toy"', f'"{name}"'))
    path = f"{folder / 'bin'}:{Path(sys.executable).parent}"
    world = World(
        folder,
        {
            "PATH": f"{path}:/usr/bin:/bin",
            "SPEC": str(folder / "toy.toml"),
            "RETRAIN_OPS_WORKSPACE": str(folder / "workspace"),
            "MLFLOW_TRACKING_URI": server.url,
            "DAY": DAY.isoformat(),
            "VERSION": "2",
        },
    )
    assert world.run(bootstrap, "--bootstrap") == 0
    return world


def test_where_we_stand_and_a_day_that_is_missing_or_failed(world: World) -> None:
    (missing,) = world.say("A day is missing")
    assert missing["outcome"] == "challenger"
    status, history, verify, explained = world.say("Where do we stand")
    assert status["aliases"] == history["aliases"] == {"champion": "2", "previous": "1"}
    assert [event["kind"] for event in history["events"]] == ["bootstrap", "promote"]
    assert verify["ok"]
    assert "challenger" in explained["text"]
    (again,) = world.say("A day failed")
    assert again["outcome"] == "challenger"
    assert world.say("Where do we stand", only="history") == [history]
    (drift,) = world.say("Drift every day")
    assert drift == explained


def test_the_new_champion_is_taken_off_once(world: World) -> None:
    assert world.run(DAY) == 0
    plan, done, verify = world.say("The new champion is bad")[:3]
    assert plan["plan"]
    assert done["rolled_back"] == "2"
    assert verify["ok"]
    assert world.aliases() == {"champion": "1"}
    (again,) = world.say("The new champion is bad", only="$VERSION")
    assert again["rolled_back"] == "2"  # since before: nothing moves
    assert world.aliases() == {"champion": "1"}


def test_a_shadow_that_does_not_end_is_asked_and_given_up(
    tmp_path: Path, mlflow_server: MlflowServer
) -> None:
    today = datetime.now(UTC).date()
    first = today - timedelta(days=36)
    options = {"rule_changes": 18, "shift_from": 18, "shift": 0.6, "first": first}
    write_days(tmp_path / "rows", 36, **options)
    bootstrap = first + timedelta(days=17)
    world = _world(tmp_path, mlflow_server, "runbook_shadow", SPEC, bootstrap)
    world.variables["DAY"] = today.isoformat()
    assert world.run(today) == NOT_YET
    (look,) = world.say("A shadow does not end", only="shadow_test", code=NOT_YET)
    assert look["steps"][0]["status"] == "not_yet"
    (given_up,) = world.say("A shadow does not end", only="reject")
    assert given_up["state"] == "rejected"
    assert world.aliases() == {"champion": "1"}
    (status,) = world.say("Where do we stand", only="status")
    assert status["candidate"] is None


@pytest.fixture
def waiting(world: World) -> World:
    """A candidate whose shadow has passed, and nobody has approved."""
    spec = Path(world.variables["SPEC"])
    spec.write_text(spec.read_text() + '\n[rollout]\napproval = "required"\n')
    assert world.run(DAY) == NOT_YET
    return world


def test_an_approval_that_comes_late_still_counts(waiting: World) -> None:
    (plan,) = waiting.say("An approval comes late", only="--dry-run")
    assert plan["plan"]
    (answered,) = waiting.say("An approval comes late", only="approve")
    assert answered["answer"]["verdict"] == "approved"
    assert answered["promoted"]
    assert waiting.aliases() == {"champion": "2", "previous": "1"}


def test_a_late_refusal_closes_the_candidate(waiting: World) -> None:
    (refused,) = waiting.say("An approval comes late", only="reject")
    assert refused["state"] == "rejected"
    assert waiting.aliases() == {"champion": "1"}


def test_a_registry_that_was_down_is_repaired_and_the_day_goes_on(world: World) -> None:
    there = world.variables["MLFLOW_TRACKING_URI"]
    world.variables["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:9"
    assert world.run(DAY) == 1
    world.variables["MLFLOW_TRACKING_URI"] = there
    verify, repaired, run = world.say("The registry is down")
    assert verify["ok"]
    assert repaired["ok"]
    assert run["outcome"] == "challenger"
    assert world.aliases() == {"champion": "2", "previous": "1"}


def test_a_model_too_old_is_trained_anew_and_put_in_force_by_hand(world: World) -> None:
    world.variables["DAY"] = (BOOTSTRAP + timedelta(days=1)).isoformat()
    trained, forced = world.say("The model is too old")
    assert trained["steps"][0]["reason"] == "forced"
    assert trained["outcome"] == "skipped"
    assert forced["promoted"]
    assert world.aliases() == {"champion": "2", "previous": "1"}


def test_every_command_of_the_page_was_executed() -> None:
    """Last in the file; each test above does a part."""
    assert executed == set(COMMANDS)


def test_the_page_names_every_variable_that_it_uses() -> None:
    everything = [c for kind in runbook.KINDS for b in runbook.blocks(kind) for c in b.commands]
    used = {name for c in everything for name in runbook.variables_of(c)}
    assert used <= runbook.names()
