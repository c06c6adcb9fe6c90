"""Days judged by a metric other than F1: gate, trigger and canary, MLflow, page, replay."""

import json
from datetime import timedelta

import jsonschema
import pytest

from devtools.decisions import SCHEMA
from devtools.synthetic import FIRST, SPEC, bootstrap, toy_run, write_days
from retrain_ops.cli.main import main, run_day
from retrain_ops.run import RunContext

CHANGED = FIRST + timedelta(days=36)
METRICS = {
    "balanced_accuracy": 'metric = "balanced_accuracy"\n',
    "net_benefit": 'metric = "net_benefit"\ncosts = { fp = 1, fn = 3 }\n',
    "roc_auc": 'metric = "roc_auc"\nwatched = ["c"]\n',
    "log_loss": 'metric = "log_loss"\n',
}

THRESHOLDS = {
    "net_benefit": 'threshold = "net_benefit"\n',
    "balanced_accuracy": 'threshold = "positive_rate"\nthreshold_value = 0.4\n',
}


def spec_of(name):
    guards = '{ metric = "recall", max_drop = 0.3 }, { metric = "brier", max_drop = 0.1 }'
    keys = f"{METRICS[name]}guards = [{guards}]\n"
    if name in THRESHOLDS:
        keys = f'variance = "moderated"\n{keys}'
    model = f"seed = 1\n{THRESHOLDS.get(name, '')}"
    text = SPEC.replace("seed = 1\n", model).replace("[gate]\n", "[gate]\n" + keys)
    return text + "\n[degraded]\ndays = 5\n"


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_judges_the_day_the_trigger_and_the_canary(
    name, tmp_path, client, server, messages, capsys
):
    text = spec_of(name)
    write_days(tmp_path / "rows", 60, rule_changes=18)
    (tmp_path / "toy.toml").write_text(text)
    bootstrap(tmp_path, client, FIRST + timedelta(days=17), spec=text)
    run = toy_run(tmp_path, client, CHANGED, spec=text, context=RunContext(forced=True))
    output = run_day(run)
    decision = run.read("decision.json")
    assert output["outcome"] == "challenger", decision["gate"]
    assert f"{name} {decision['gate']['score_champion']:.4f} ->" in json.dumps(output)
    assert [g["verdict"] for g in decision["gate"]["guards"]] == ["pass", "pass"]
    challenger, gate = decision["challenger"], decision["gate"]
    assert ("threshold_by" in challenger) == ("moderation" in gate) == (name in THRESHOLDS)
    assert challenger.get("threshold_value") == (0.4 if name == "balanced_accuracy" else None)
    logged = list(server.runs.values())[-1]
    assert logged.metrics[f"{name}_champion"] == decision["gate"]["score_champion"]
    assert logged.metrics["f1_champion"] == decision["gate"]["f1_champion"]

    later = toy_run(tmp_path, client, CHANGED + timedelta(days=8), spec=text)
    run_day(later)
    assert later.read("decision.json")["drift"]["degraded"]["metric"]["name"] == name
    looks = sorted((tmp_path / "workspace").rglob("as_of=*.json"))
    canary = next(c for p in looks[::-1] if (c := json.loads(p.read_text()).get("canary")))
    assert canary["numbers"]["metric"] == name

    schema = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
    where = ["--spec", str(tmp_path / "toy.toml"), "--workspace", str(tmp_path / "workspace")]
    for day in run.workspace.list_keys():
        schema.validate(toy_run(tmp_path, client, day, spec=text).read("decision.json"))
        capsys.readouterr()
        assert main(["replay-decision", *where, "--date", day.isoformat()]) == 0
        replayed = json.loads(capsys.readouterr().out)
        assert (replayed["verdict"], replayed["notes"]) == ("equal", [])
