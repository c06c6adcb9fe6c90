"""A week whose label is an amount: every step, a re-run that writes nothing, replay and page."""

import json
from datetime import timedelta

import jsonschema

from devtools.decisions import SCHEMA
from devtools.synthetic import AMOUNTS, FIRST, bootstrap, files_of, toy_run, write_days
from retrain_ops.cli.main import main, run_day
from retrain_ops.models.tabular import load_model
from retrain_ops.run import RunContext

BEGIN = FIRST + timedelta(days=17)
CONTENT = ("decision.json", "model.rtm", "reference.json", "report.json", "report.html")


def week(tmp_path, client, spec=AMOUNTS, **days):
    """The bootstrap, then a week in whose middle the label's rule is reversed."""
    write_days(tmp_path / "rows", 45, amounts=True, **days)
    (tmp_path / "toy.toml").write_text(spec)
    bootstrap(tmp_path, client, BEGIN, spec=spec)


def decide(tmp_path, client, day, spec=AMOUNTS, **context):
    run = toy_run(tmp_path, client, day, spec=spec, context=RunContext(**context))
    return run, run_day(run)


def test_the_first_champion_is_better_than_the_median(tmp_path, client, server, messages):
    week(tmp_path, client)
    run = toy_run(tmp_path, client, BEGIN, spec=AMOUNTS)
    decision = run.read("decision.json")
    gate = decision["gate"]
    assert (gate["verdict"], gate["reason"]) == ("pass", "bootstrap")
    assert gate["score_challenger"] < gate["score_champion"]
    assert 0 < gate["lower_bound"] < gate["difference"]
    assert decision["challenger"]["threshold"] is None
    assert decision["challenger"]["positives"] == 0
    assert decision["auc"]["champion"] is None
    assert gate["auc_lower_bound"] < decision["auc"]["challenger"] < 1
    logged = list(server.runs.values())[-1].metrics
    assert logged["mae_challenger"] == gate["score_challenger"]
    assert not {"threshold", "f1_challenger"} & logged.keys()
    model = load_model(run.workspace.read(run.path("model.rtm")))
    assert model.amounts
    html = run.workspace.read(run.path("report.html")).decode()
    assert "it predicts better than a constant" in html
    assert "Predicted and observed" in html
    assert "ROC" not in html


def test_a_week_promotes_keeps_and_can_be_run_again(tmp_path, client, messages, capsys):
    week(tmp_path, client, rule_changes=20)
    days = [BEGIN + timedelta(days=n) for n in (12, 13, 14, 20)]
    outcomes = [decide(tmp_path, client, day, forced=True)[1]["outcome"] for day in days]
    assert "challenger" in outcomes, outcomes
    before = files_of(tmp_path / "workspace", CONTENT)
    for day in days:
        decide(tmp_path, client, day, forced=True)
    assert files_of(tmp_path / "workspace", CONTENT) == before

    schema = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
    where = ["--spec", str(tmp_path / "toy.toml"), "--workspace", str(tmp_path / "workspace")]
    for day in (BEGIN, *days):
        schema.validate(toy_run(tmp_path, client, day, spec=AMOUNTS).read("decision.json"))
        capsys.readouterr()
        assert main(["replay-decision", *where, "--date", day.isoformat()]) == 0
        replayed = json.loads(capsys.readouterr().out)
        assert (replayed["verdict"], replayed["notes"]) == ("equal", [])
        assert main(["explain", *where, "--date", day.isoformat()]) == 0
        told = capsys.readouterr().out
        assert "MAE" in told
        assert "F1" not in told
    looks = sorted((tmp_path / "workspace").rglob("as_of=*.json"))
    parts = [json.loads(path.read_text()) for path in looks]
    shadow = next(p["shadow"] for p in parts if "shadow" in p)
    assert {"difference", "mean_change", "spread", "score_psi"} <= shadow["numbers"].keys()
    assert "flip_rate" not in shadow["numbers"]
    canary = next(p["canary"] for p in parts if "canary" in p)
    assert canary["numbers"]["metric"] == "mae"
