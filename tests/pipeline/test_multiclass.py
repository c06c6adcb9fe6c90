"""A week whose label is one of three classes: every step, a re-run that writes nothing, replay and
page."""

import json
from datetime import timedelta

import jsonschema
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from devtools.decisions import SCHEMA
from devtools.synthetic import CLASSES, FIRST, NAMES, bootstrap, files_of, toy_run, write_days
from retrain_ops.cli.main import main, run_day
from retrain_ops.errors import DataError
from retrain_ops.models.tabular import load_model
from retrain_ops.problems import MULTICLASS, Scored
from retrain_ops.problems.problem import LabelledDays
from retrain_ops.run import RunContext

BEGIN = FIRST + timedelta(days=17)
CONTENT = ("decision.json", "model.rtm", "reference.json", "report.json", "report.html")
SORTED = sorted(NAMES)


def week(tmp_path, client, spec=CLASSES, **days):
    """The bootstrap, then a week in whose middle the label's rule is reversed."""
    write_days(tmp_path / "rows", 45, label="classes", **days)
    (tmp_path / "toy.toml").write_text(spec)
    bootstrap(tmp_path, client, BEGIN, spec=spec)


def decide(tmp_path, client, day, spec=CLASSES, **context):
    run = toy_run(tmp_path, client, day, spec=spec, context=RunContext(**context))
    return run, run_day(run)


def test_the_first_champion_is_better_than_the_shares(tmp_path, client, server, messages):
    week(tmp_path, client)
    run = toy_run(tmp_path, client, BEGIN, spec=CLASSES)
    decision = run.read("decision.json")
    gate = decision["gate"]
    assert (gate["verdict"], gate["reason"]) == ("pass", "bootstrap")
    assert gate["score_challenger"] > gate["score_champion"]
    assert gate["difference"] > 0
    assert sum(gate["constant"]) == pytest.approx(1)
    assert decision["challenger"]["classes"] == SORTED
    assert decision["challenger"]["threshold"] is None
    assert decision["auc"]["champion"] is None
    assert gate["auc_lower_bound"] < decision["auc"]["challenger"] < 1
    logged = list(server.runs.values())[-1].metrics
    assert logged["macro_f1_challenger"] == gate["score_challenger"]
    assert not {"threshold", "f1_challenger"} & logged.keys()
    model = load_model(run.workspace.read(run.path("model.rtm")))
    assert list(model.classes) == SORTED
    html = run.workspace.read(run.path("report.html")).decode()
    assert "it predicts better than a constant" in html
    assert "what it says of each class" in html
    assert "very late" in html
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
        schema.validate(toy_run(tmp_path, client, day, spec=CLASSES).read("decision.json"))
        capsys.readouterr()
        assert main(["replay-decision", *where, "--date", day.isoformat()]) == 0
        replayed = json.loads(capsys.readouterr().out)
        assert (replayed["verdict"], replayed["notes"]) == ("equal", [])
        assert main(["explain", *where, "--date", day.isoformat()]) == 0
        assert "macro F1" in capsys.readouterr().out
    gate = toy_run(tmp_path, client, days[0], spec=CLASSES).read("decision.json")["gate"]
    recalls = {s["level"]: s for s in gate["slices"] if s["column"] == "late"}
    assert sorted(recalls) == SORTED
    assert sum(s["rows"] for s in recalls.values()) == gate["rows"]
    assert gate["guards"][0]["metric"] == "log_loss"
    looks = sorted((tmp_path / "workspace").rglob("as_of=*.json"))
    parts = [json.loads(path.read_text()) for path in looks]
    shadow = next(p["shadow"] for p in parts if "shadow" in p)
    assert {"flip_rate", "rate_change", "score_psi"} <= shadow["numbers"].keys()
    canary = next(p["canary"] for p in parts if "canary" in p)
    assert canary["numbers"]["metric"] == "macro_f1"


def rewrite(folder, days, label):
    """Puts other labels into some of the days: those that `label` makes of a day's."""
    for path in sorted(folder.rglob("*.parquet"))[days]:
        table = pq.read_table(path, partitioning=None)
        place = table.schema.get_field_index("late")
        column = pa.array(label(table["late"].to_pylist()), pa.string())
        pq.write_table(table.set_column(place, "late", column), path)


@pytest.mark.parametrize(
    ("days", "label", "problem"),
    [
        (
            slice(11, 12),
            lambda known: ["early", "early", *known[2:]],
            "the label late is 'early' in 2 row(s) of 2020-01-12, a class that no training day has",
        ),
        (
            slice(0, 20),
            lambda known: ["late" if x == "very late" else x for x in known],
            "with a known late, of fewer than 3 classes (late, on time)",
        ),
        (
            slice(0, 20),
            lambda known: [f"{x} {i % 20}" for i, x in enumerate(known)],
            "of 60 classes, and there may be 50",
        ),
    ],
)
def test_labels_that_cannot_be_learnt_stop_the_day(
    days, label, problem, tmp_path, client, messages
):
    write_days(tmp_path / "rows", 25, label="classes")
    rewrite(tmp_path / "rows", days, label)
    output = decide(tmp_path, client, BEGIN, bootstrap=True)[1]
    assert output["outcome"] == "failed"
    assert problem in output["message"]


def test_whole_numbers_are_classes_and_a_day_may_lack_one(tmp_path, client, messages):
    numbers = dict(zip(NAMES, ("2", "10", "-1"), strict=True))
    write_days(tmp_path / "rows", 25, label="classes")
    rewrite(tmp_path / "rows", slice(None), lambda known: [numbers[x] for x in known])
    rewrite(tmp_path / "rows", slice(12, 13), lambda known: ["2" for _ in known])
    for path in (tmp_path / "rows").rglob("*.parquet"):
        table = pq.read_table(path, partitioning=None)
        place = table.schema.get_field_index("late")
        pq.write_table(table.set_column(place, "late", table["late"].cast(pa.float64())), path)
    run, output = decide(tmp_path, client, BEGIN, bootstrap=True)
    assert output["outcome"] == "challenger", output
    assert run.read("train.json")["classes"] == ["-1", "2", "10"]


def rows_of(label):
    days = (FIRST, FIRST + timedelta(days=1))
    label = np.array(label, dtype=object)
    return LabelledDays(day=np.array([0, 1, 1], np.int32), days=days, label=label, column="late")


SOUND = Scored(np.full((3, 3), 1 / 3), classes=("a", "b", "c"))


def test_what_cannot_be_judged_is_named_with_its_day():
    broken = Scored(np.array([[1, 0, 0], [np.nan, 0, 0], [0.5, 0, 0]]), classes=("a", "b", "c"))
    with pytest.raises(DataError, match=r"challenger predicts nan, 0, 0 on 2020-01-02, .* 2 of 3"):
        MULTICLASS.pair(rows_of(["a", "b", "c"]), SOUND, broken)
    with pytest.raises(DataError, match=r"the label late is 'd' on 2020-01-02, .* \(1 of 3 rows\)"):
        MULTICLASS.pair(rows_of(["a", "b", "d"]), SOUND, SOUND)


def test_a_class_that_one_model_has_not_learnt_is_one_that_it_gets_wrong():
    older = Scored(np.array([[0.9, 0.1]] * 3), classes=("a", "b"))
    rows = MULTICLASS.pair(rows_of(["a", "b", "c"]), older, SOUND)
    assert rows.classes.count == 3
    assert rows.classes.label.tolist() == [0, 1, 2]
    assert [d.tolist() for d in rows.decisions] == [[1, 0, 0], [1, 0, 0]]
    assert rows.scores[0].tolist() == [0.9, 0.1, 0.0]
