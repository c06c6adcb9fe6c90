"""A week whose label is an amount: every step, a re-run that writes nothing, replay and page."""

import json
from datetime import timedelta

import jsonschema
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from devtools.decisions import SCHEMA
from devtools.pages import ROOT
from devtools.synthetic import AMOUNTS, FIRST, bootstrap, files_of, toy_run, write_days
from retrain_ops.cli.main import main, run_day
from retrain_ops.errors import DataError
from retrain_ops.models.tabular import load_model
from retrain_ops.problems import REGRESSION, Scored
from retrain_ops.problems.problem import LabelledDays
from retrain_ops.run import RunContext

BEGIN = FIRST + timedelta(days=17)
CONTENT = ("decision.json", "model.rtm", "reference.json", "report.json", "report.html")


def week(tmp_path, client, spec=AMOUNTS, **days):
    """The bootstrap, then a week in whose middle the label's rule is reversed."""
    write_days(tmp_path / "rows", 45, label="amounts", **days)
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


def documented_metric():
    """The module of docs/decisions.md, as it stands there."""
    text = (ROOT / "docs" / "decisions.md").read_text()
    block = text.partition("### A metric of your own")[2].partition("```python\n")[2]
    return block.partition("```")[0]


def test_the_documented_metric_of_ones_own_judges_a_day(
    tmp_path, client, server, messages, monkeypatch, capsys
):
    (tmp_path / "team_metrics.py").write_text(documented_metric())
    monkeypatch.syspath_prepend(tmp_path)
    spec = AMOUNTS.replace('"mae"', '"team_metrics:cost_of_delay"')
    week(tmp_path, client, spec, rule_changes=20)
    run, output = decide(tmp_path, client, BEGIN + timedelta(days=14), spec, forced=True)
    gate = run.read("decision.json")["gate"]
    assert output["outcome"] == "challenger", gate
    assert gate["rules"]["metric"] == "team_metrics:cost_of_delay"
    logged = list(server.runs.values())[-1].metrics
    assert logged["team_metrics.cost_of_delay_champion"] == gate["score_champion"]
    where = ["--spec", str(tmp_path / "toy.toml"), "--workspace", str(tmp_path / "workspace")]
    capsys.readouterr()
    assert main(["replay-decision", *where, "--date", run.window.end.isoformat()]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "equal"
    html = run.workspace.read(run.path("report.html")).decode()
    assert "Cost of delay by slice" in html


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (float("inf"), "such as inf"),
        (None, "hold 0 rows with a known late, of fewer than two values"),
    ],
)
def test_labels_that_cannot_be_learnt_stop_the_day(value, problem, tmp_path, client, messages):
    """Infinite ones at validation; where none is known there is nothing to learn."""
    write_days(tmp_path / "rows", 25, label="amounts")
    for path in sorted((tmp_path / "rows").rglob("*.parquet"))[:20]:
        table = pq.read_table(path, partitioning=None)
        known = table["late"].to_pylist()
        column = pa.array([value, *known[1:]] if value else [None] * len(known), pa.float64())
        place = table.schema.get_field_index("late")
        pq.write_table(table.set_column(place, "late", column), path)
    output = decide(tmp_path, client, BEGIN, bootstrap=True)[1]
    assert output["outcome"] == "failed"
    assert problem in output["message"]


def test_a_challenger_without_finite_predictions_is_named_with_its_day():
    rows = LabelledDays(
        day=np.array([0, 1, 1], np.int32),
        days=(FIRST, FIRST + timedelta(days=1)),
        label=np.array([1.0, 2.0, 3.0]),
    )
    broken = Scored(np.array([1.0, np.nan, np.inf]))
    with pytest.raises(DataError, match=r"challenger predicts nan on 2020-01-02, .* for 2 of 3"):
        REGRESSION.pair(rows, 1.0, broken)
