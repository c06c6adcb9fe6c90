"""What real days leave behind: records that keep the schema, can be told and judged again."""

import json
from datetime import timedelta

import jsonschema
import pytest

from devtools.decisions import SCHEMA
from devtools.synthetic import FIRST, SPEC, bootstrap, toy_run, write_days
from retrain_ops.cli.main import main, run_day
from retrain_ops.run import RunContext

CHANGED = FIRST + timedelta(days=36)
SLOW = SPEC.replace("[gate]", "[gate]\ncooldown_days = 60") + "\n[degraded]\ndays = 5\n"
FORCED = RunContext(forced=True)


@pytest.fixture
def changed_world(tmp_path, client, messages):
    """The rule of the labels reverses on day 18, and no feature shows it."""
    write_days(tmp_path / "rows", 60, rule_changes=18)
    bootstrap(tmp_path, client, FIRST + timedelta(days=17), spec=SLOW)
    (tmp_path / "toy.toml").write_text(SLOW)
    return tmp_path


def command(folder, name, day, capsys):
    """Exit code and output of a command that has no server to ask."""
    where = ["--spec", str(folder / "toy.toml"), "--workspace", str(folder / "workspace")]
    code = main([name, *where, "--date", day.isoformat()])
    return code, capsys.readouterr().out


def test_a_cooldown_holds_a_better_challenger_back(changed_world, client):
    run = toy_run(changed_world, client, CHANGED, spec=SLOW, context=FORCED)
    output = run_day(run)
    decision = run.read("decision.json")
    assert (output["outcome"], decision["reason"]) == ("skipped", "cooldown")
    assert decision["gate"]["literal"] is True
    (check,) = decision["gate"]["checks"]
    assert (check["value"], check["needed"]) == (19, 41)


@pytest.fixture
def fallen_behind(changed_world, client):
    """A day on which no feature drifted, long after a newer model was kept back."""
    run_day(toy_run(changed_world, client, CHANGED, spec=SLOW, context=FORCED))
    day = CHANGED + timedelta(days=8)
    return toy_run(changed_world, client, day, spec=SLOW)


def test_a_champion_behind_a_newer_model_on_the_same_rows_is_retrained(fallen_behind):
    output = run_day(fallen_behind)
    assert output["steps"][0]["reason"] == "degraded"
    record = fallen_behind.read("decision.json")["drift"]["degraded"]
    assert [w["verdict"] for w in record["windows"]] == ["degraded", "degraded", "undecided"]
    assert record["windows"][0]["reference"]["retrain_key"] == f"toy/{CHANGED}"
    assert all(w["upper_bound"] < -0.03 for w in record["windows"][:2])
    assert record["live_f1"] < 0.6


def test_without_the_table_nobody_compares(changed_world, client):
    spec = SLOW.partition("[degraded]")[0]
    run_day(toy_run(changed_world, client, CHANGED, spec=spec, context=FORCED))
    run = toy_run(changed_world, client, CHANGED + timedelta(days=8), spec=spec)
    assert run_day(run)["outcome"] == "no_train"
    assert "degraded" not in run.read("decision.json")["drift"]


def test_every_record_keeps_the_schema_replays_and_can_be_told(
    fallen_behind, changed_world, client, capsys
):
    run_day(fallen_behind)
    run_day(toy_run(changed_world, client, CHANGED - timedelta(days=17), spec=SLOW))
    schema = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
    capsys.readouterr()
    days = fallen_behind.workspace.list_keys()
    assert len(days) == 4
    outcomes = set()
    for day in days:
        decision = toy_run(changed_world, client, day, spec=SLOW).read("decision.json")
        schema.validate(decision)
        outcomes.add(decision["outcome"])
        code, replayed = command(changed_world, "replay-decision", day, capsys)
        assert (code, json.loads(replayed)["verdict"]) == (0, "equal"), replayed
        assert json.loads(replayed)["notes"] == []
        code, told = command(changed_world, "explain", day, capsys)
        assert code == 0
        assert told.startswith(f"toy {day}: {decision['outcome']}")
    assert outcomes == {"challenger", "skipped", "no_train"}


def test_a_record_that_was_changed_fails_the_replay_and_names_the_field(
    fallen_behind, changed_world, capsys
):
    run_day(fallen_behind)
    path = changed_world / "workspace" / fallen_behind.path("decision.json")
    decision = json.loads(path.read_text())
    decision["drift"]["features"][0]["psi"] = 0.5
    decision["drift"]["degraded"]["windows"][0]["cells"][0][7] += 1
    path.write_text(json.dumps(decision))
    capsys.readouterr()
    code, replayed = command(changed_world, "replay-decision", fallen_behind.window.end, capsys)
    fields = {d["field"] for d in json.loads(replayed)["differences"]}
    assert code == 1
    assert {"drift.features[0].psi", "drift.degraded.windows[0].rows"} <= fields


def test_a_rerun_of_a_degraded_day_names_the_same_models(fallen_behind, changed_world, client):
    run_day(fallen_behind)
    path = changed_world / "workspace" / fallen_behind.path("decision.json")
    before = path.read_bytes()
    run_day(toy_run(changed_world, client, CHANGED + timedelta(days=7), spec=SLOW, context=FORCED))
    run_day(toy_run(changed_world, client, fallen_behind.window.end, spec=SLOW))
    assert path.read_bytes() == before


def test_a_day_whose_shadow_fails_says_the_same_when_it_is_run_again(tmp_path, client, messages):
    spec = SPEC.replace("max_flips = 0.95", "max_flips = 0.0001")
    write_days(tmp_path / "rows", 60, rule_changes=18, shift_from=18, shift=0.6)
    bootstrap(tmp_path, client, FIRST + timedelta(days=17), spec=spec)
    before = len(messages)
    lines = [
        run_day(toy_run(tmp_path, client, FIRST + timedelta(days=36), spec=spec))["summary"]
        for _ in range(3)
    ]
    assert lines[0].startswith("[closed] toy 2020-02-06: its candidate failed its shadow")
    assert lines[0].endswith("| shadow of version 2: fail (flips)")
    assert lines == lines[:1] * 3
    assert messages[before:] == lines[:1]
