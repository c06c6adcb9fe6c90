"""history, promote, rollback and verify as a person types them, over an in-memory registry."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from devtools.doubles.registry_server import Client, Server
from retrain_ops.cli import command
from retrain_ops.cli.main import main
from retrain_ops.models import GBDTClassifier, LogisticRegression
from retrain_ops.registry.events import APPROVAL_TAG, REPLACES_TAG
from retrain_ops.registry.registry import Registry
from tests.unit.registry.test_registry import A, B, C, instant, promote, registered

SPEC = Path(__file__).resolve().parents[3] / "dags" / "flights.toml"
MODEL = "flights_delay"


@pytest.fixture
def registry(monkeypatch):
    """A champion of A and B, its canary over."""
    server = Server()
    monkeypatch.setattr("retrain_ops.run.MlflowClient", lambda uri: Client(server))
    made = Registry(client=Client(server), name=MODEL)
    for day in (A, B):
        version = registered(made, day)
        made.open_shadow(version, opened_at=instant(day))
        promote(made, made.version(version.number))
    made.set_state(made.version("2"), "promoted", closed_at=instant(C))
    return made


@pytest.fixture
def say(tmp_path, capsys):
    """Runs a command; (exit code, its output)."""

    def run(name: str, *options: str, date: str | None = "2013-08-19"):
        where = ["--spec", str(SPEC), "--workspace", str(tmp_path), "--model", MODEL]
        where += [] if date is None else ["--date", date]
        code = main([name, *where, "--tracking-uri", "http://x", *options])
        return code, json.loads(capsys.readouterr().out)

    return run


def candidate(registry, day=C, state="shadow_passed"):
    version = registered(registry, day)
    registry.open_shadow(version, opened_at=instant(day))
    registry.set_state(registry.version(version.number), state)
    return version.number


def test_history_tells_every_change_with_its_version(registry, say):
    registry.rollback("2", effective_from=instant(C), recorded_at=instant(C))
    code, told = say("history")
    assert code == 0
    assert [e["kind"] for e in told["events"]] == ["bootstrap", "promote", "rollback"]
    assert told["events"][1]["state"] == "rolled_back"
    assert told["events"][2]["failed"] == "2"
    assert told["aliases"] == {"champion": "1"}


@pytest.mark.parametrize(("format", "ending"), [("onnx", "onnx"), ("lightgbm", "txt")])
def test_export_writes_the_registered_model(registry, say, tmp_path, monkeypatch, format, ending):
    model = GBDTClassifier(n_estimators=2).fit(np.arange(80.0)[:, None], np.arange(80) > 40).model_
    monkeypatch.setattr("retrain_ops.comparison.scoring.load_version", lambda run, version: model)
    monkeypatch.chdir(tmp_path)
    code, told = say("export", "--version", "2", "--format", format)
    data = (tmp_path / f"{MODEL}-2.{ending}").read_bytes()
    assert data == (model.to_onnx() if format == "onnx" else model.to_lightgbm().encode())
    assert (code, told["sha256"]) == (0, hashlib.sha256(data).hexdigest())


def test_export_refuses_what_has_no_such_form(registry, say, monkeypatch, tmp_path):
    model = LogisticRegression().fit(np.arange(80.0)[:, None], np.arange(80) > 40).model_
    monkeypatch.setattr("retrain_ops.comparison.scoring.load_version", lambda run, version: model)
    monkeypatch.chdir(tmp_path)
    code, told = say("export", "--version", "2", "--format", "lightgbm")
    assert (code, told["error"]) == (2, "ConfigError")
    assert "version 2: a linear model has no trees" in told["message"]
    assert list(tmp_path.iterdir()) == []


def test_promote_approves_and_promotes_what_passed_its_shadow(registry, say):
    candidate(registry)
    code, told = say("promote")
    assert (code, told["promoted"], told["state"]) == (0, True, "canary")
    assert told["aliases"] == {"champion": "3", "previous": "2"}
    assert registry.version("3").tags[APPROVAL_TAG] == "approved"
    assert registry.verify().ok


def test_promote_only_approves_what_is_still_in_shadow(registry, say):
    candidate(registry, state="shadow")
    code, told = say("promote")
    assert (code, told["promoted"], told["state"]) == (0, False, "shadow")
    assert registry.version("3").tags[APPROVAL_TAG] == "approved"
    assert told["aliases"]["champion"] == "2"


def test_approve_records_who_and_when_and_promotes(registry, say):
    candidate(registry)
    code, told = say("approve", "--by", "amy")
    assert (code, told["promoted"], told["state"]) == (0, True, "canary")
    tags = registry.version("3").tags
    assert tags["retrain.approved_by"] == "amy"
    assert tags["retrain.approved_at"] == "2013-08-19T02:00:00Z"
    assert say("approve", "--version", "3", "--by", "bob")[0] == 0  # the answer it has already
    assert registry.version("3").tags["retrain.approved_by"] == "amy"
    assert say("reject", "--version", "3")[0] == command.EXIT_FAILED


def test_approve_waits_for_a_shadow_that_still_lasts(registry, say):
    candidate(registry, state="shadow")
    code, told = say("approve")
    assert (code, told["promoted"], told["state"]) == (0, False, "shadow")
    assert told["aliases"]["champion"] == "2"


@pytest.mark.parametrize("state", ["shadow", "shadow_passed"])
def test_reject_closes_the_candidate_for_ever(registry, say, state):
    candidate(registry, state=state)
    code, told = say("reject", "--by", "amy")
    assert (code, told["state"]) == (0, "rejected")
    assert told["answer"] == {"verdict": "rejected", "by": "amy", "at": "2013-08-19T02:00:00Z"}
    assert told["aliases"] == {"champion": "2", "previous": "1"}
    assert say("reject", "--version", "3")[0] == 0
    assert say("approve", "--version", "3")[0] == command.EXIT_FAILED
    assert say("approve")[0] == command.EXIT_FAILED  # it was rejected; the first answer stands
    assert say("reject")[0] == 0
    assert say("promote")[0] == command.EXIT_USAGE


def test_an_answer_for_another_version_than_waits_is_refused(registry, say):
    candidate(registry)
    code, told = say("approve", "--version", "2")
    assert code == command.EXIT_USAGE
    assert "version 3 of flights_delay waits" in told["message"]


def test_promote_forces_a_version_past_its_gates_and_still_forward_only(registry, say):
    number = registered(registry, C).number
    assert say("promote", "--version", number)[0] == command.EXIT_USAGE
    code, told = say("promote", "--version", number, "--force")
    assert (code, told["promoted"], told["aliases"]["champion"]) == (0, True, "3")
    assert say("promote", "--version", "1", "--force")[0] == command.EXIT_USAGE


def test_promote_refuses_a_second_candidate(registry, say):
    candidate(registry)
    other = registered(registry, C.replace(day=26)).number
    code, told = say("promote", "--version", other, "--force")
    assert code == command.EXIT_USAGE
    assert "one candidate at a time" in told["message"]


def test_promote_puts_other_bytes_of_the_serving_window_through_shadow(registry, say):
    assert "no bytes but those that serve" in say("promote", "--replace-superseded")[1]["message"]
    fixed = registered(registry, B, digest="fixed")
    code, told = say("promote", "--replace-superseded")
    assert (code, told["version"], told["state"]) == (0, fixed.number, "shadow")
    assert registry.version(fixed.number).tags[REPLACES_TAG] == "2"
    registry.set_state(registry.version(fixed.number), "shadow_passed")
    assert say("promote")[1]["aliases"] == {"champion": "3", "previous": "2"}
    assert registry.verify().ok


@pytest.mark.parametrize("name", ["promote", "rollback"])
def test_a_dry_run_leaves_no_file_and_waits_for_no_lock(registry, say, tmp_path, name):
    candidate(registry)
    code, _ = say(name, "--dry-run")
    assert code == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["promote", "rollback"])
def test_a_dry_run_lists_the_writes_and_makes_none(registry, say, name):
    candidate(registry)
    writes = registry.client.server.writes
    code, told = say(name, "--dry-run")
    assert code == 0
    writes_first = ["claim", "claim", "event"]  # the epoch, its settlement, what it came to
    assert [w["write"] for w in told["plan"][:3]] == writes_first
    assert "champion" in [w["name"] for w in told["plan"] if w["write"] == "alias"]
    assert registry.client.server.writes == writes


@pytest.mark.parametrize("answered", [False, True])
@pytest.mark.parametrize(
    ("state", "options"),
    [
        ("shadow_passed", ()),
        ("shadow_passed", ("--as-of", "2013-08-20T11:00Z")),
        ("shadow_passed", ("--as-of", "2013-08-21")),
        ("shadow", ("--force",)),
        (None, ("--version", "3", "--force")),
        (None, ("--version", "3", "--force", "--as-of", "2013-08-20")),
    ],
)
def test_a_dry_run_plans_for_the_instant_of_the_promotion(registry, say, state, options, answered):
    number = registered(registry, C).number if state is None else candidate(registry, state=state)
    if answered:
        give = {"by": "amy", "at": "2013-08-22T05:00:00Z"}
        for name, value in give.items():
            registry.set_tag(registry.version(number), f"retrain.approved_{name}", value)
        registry.set_tag(registry.version(number), APPROVAL_TAG, "approved")
    date = None if "--as-of" in options else "2013-08-19"
    _, planned = say("promote", "--dry-run", *options, date=date)
    (event,) = [json.loads(w["value"]) for w in planned["plan"] if w["write"] == "event"]
    code, told = say("promote", *options, date=date)
    assert (code, told["promoted"]) == (0, True)
    made = registry.snapshot().newest
    assert event["effective_from"] == made.effective_from
    assert (event["version"], event["previous"]) == (made.version, made.previous)


def test_a_dry_run_of_what_was_rejected_plans_no_promotion(registry, say):
    number = candidate(registry)
    registry.set_tag(registry.version(number), APPROVAL_TAG, "rejected")
    code, told = say("promote", "--dry-run")
    assert (code, told["plan"]) == (0, [])
    assert "rejected by unnamed" in told["message"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("promote",),
        ("promote", "--force"),
        ("promote", "--replace-superseded"),
        ("approve",),
        ("reject",),
        ("export", "--format", "onnx"),
    ],
)
def test_a_version_that_is_not_there_is_named(registry, say, arguments):
    code, told = say(arguments[0], "--version", "99", *arguments[1:])
    assert (code, told["error"]) == (command.EXIT_USAGE, "ConfigError")
    assert told["message"] == f"{MODEL} has no version 99 that retrain_ops made; its newest is 2"


def test_rollback_goes_back_once(registry, say):
    code, told = say("rollback")
    assert (code, told["rolled_back"], told["aliases"]) == (0, "2", {"champion": "1"})
    code, told = say("rollback", "--version", "2")
    assert (code, told["rolled_back"]) == (0, "2")
    code, told = say("rollback")
    assert (code, told["rolled_back"], told["aliases"]) == (0, "2", {"champion": "1"})
    code, told = say("rollback", "--version", "1")
    assert code == command.EXIT_FAILED
    assert "first champion" in told["message"]
    code, told = say("rollback", "--version", "77")
    assert code == command.EXIT_USAGE
    assert "version 77 never took @champion" in told["message"]


def test_verify_tells_and_repairs(registry, say, monkeypatch):
    monkeypatch.setattr("retrain_ops.rollout.artefacts._lost", lambda *_: ())
    assert say("verify")[0] == 0
    registry.client.set_registered_model_alias(MODEL, "champion", "1")
    code, told = say("verify")
    assert (code, told["ok"]) == (command.EXIT_FAILED, False)
    assert told["missing"][0] == {"write": "alias", "name": "champion", "value": "2", "of": None}
    code, told = say("verify", "--repair")
    assert (code, told["ok"], len(told["repaired"])) == (0, True, 1)
    assert registry.snapshot().aliases["champion"] == "2"


@pytest.mark.parametrize("name", ["status", "history"])
def test_a_person_at_a_terminal_gets_a_table(registry, tmp_path, capsys, monkeypatch, name):
    candidate(registry)
    where = [name, "--spec", str(SPEC), "--workspace", str(tmp_path), "--tracking-uri", "http://x"]
    assert main(where) == 0
    piped = json.loads(capsys.readouterr().out)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert main([*where, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == piped
    assert main(where) == 0
    lines = capsys.readouterr().out.splitlines()
    served = "@challenger version 3, @champion version 2, @previous version 1"
    assert lines[0] == f"flights_delay: {served}"
    assert any(line.split()[:3] == ["2", "promote", "2"] for line in lines)
    told = f"candidate: version 3 (m/{C}), shadow passed since {instant(C).isoformat()}"
    assert (told in lines) == (name == "status")


def test_a_failure_at_a_terminal_is_a_document(registry, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert main(["status", "--spec", "nowhere.toml", "--workspace", str(tmp_path)]) == 2
    assert json.loads(capsys.readouterr().out)["status"] == "failed"


@pytest.mark.parametrize("name", ["promote", "approve", "reject", "rollback"])
@pytest.mark.parametrize("number", ["abc", "-1", "0", "1.0", "²"])
def test_what_is_no_versions_number_is_refused_with_the_usage(say, name, number):
    code, told = say(name, f"--version={number}")
    assert code == command.EXIT_USAGE
    assert "is no version's number, such as 3" in told["message"]
