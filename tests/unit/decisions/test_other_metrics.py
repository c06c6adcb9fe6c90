"""Decisions by a metric other than F1: new keys only, replayed, explained and shown by its name."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from devtools.decisions import (
    END,
    decision,
    of_problem,
    random_cells,
    scored,
    spec,
    split,
    stored,
    sums_of,
)
from retrain_ops.decisions.explain import explain
from retrain_ops.decisions.record import metric_of, scores_of
from retrain_ops.decisions.replay import replay
from retrain_ops.report import render
from retrain_ops.stats.degraded import DegradedRules, judge_degraded
from retrain_ops.stats.gate_rules import GateRules, Guard
from retrain_ops.stats.metrics import Costs, MetricName, metric_named
from retrain_ops.workspace import canonical_json
from tests.unit.decisions.test_replay import VALIDATOR

NAMES = get_args(MetricName)
OTHERS = [name for name in NAMES if name != "f1"]
COSTS = Costs(fp=5, fn=80, tp="5.5")
GUARDS = (
    Guard(metric="specificity", max_drop=0.01),
    Guard(metric="mcc", max_drop=0.05),
    Guard(metric="brier", max_drop=0.01),
)
AMOUNT_GUARDS = (
    Guard(metric="bias", max_drop=1),
    Guard(metric="smape", max_drop=0.05),
    Guard(metric="rmse", max_drop=1),
)
CLASS_GUARDS = (Guard(metric="accuracy", max_drop=0.1), Guard(metric="log_loss", max_drop=1))


def guards_of(name):
    """Three further metrics of the same problem."""
    amounts = AMOUNT_GUARDS if name != "bias" else (Guard(metric="r2", max_drop=1),)
    amounts = tuple(guard for guard in amounts if guard.metric != name)
    of = {"binary": GUARDS, "multiclass": CLASS_GUARDS, "regression": amounts}
    return of[rules_of(name).problem]


def rules_of(name, **more):
    if name == "fbeta":
        more["beta"] = 2
    if name == "net_benefit":
        more["costs"] = COSTS
    if name == "pinball":
        more["quantile"] = 0.9
    if metric_named(name).problem == "multiclass":
        more["classes_of"] = "y"
    return GateRules(metric=name, **more)


def judged(name, seed, days=7, **more):
    rng = np.random.default_rng(seed)
    cells = random_cells(rng, days, gain=float(rng.choice([-0.1, 0, 0.3, 1])))
    rules = rules_of(name, protected=("p",), watched=("w",), **more)
    cells = of_problem(cells, rules.problem)
    tables = {"": {"": cells}, "p": split(rng, cells, 2), "w": split(rng, cells, 3)}
    return decision(tables, rules, sums=sums_of(rng, tables, rules))


def with_degraded(content, name):
    rng = np.random.default_rng(5)
    model = {"retrain_key": "m/2020-01-25", "model_sha256": "d" * 64}
    metric, windows = rules_of(name).scored_by, []
    for _ in range(3):
        cells = of_problem(random_cells(rng, 7, gain=1), metric.problem)
        rows = scored(rng, cells, metric)
        sums = rows.sums(metric, rows.everyone)[""] if metric.kind else None
        windows.append(("2020-01-01", "2020-01-07", model, cells, sums))
    report = judge_degraded(windows, DegradedRules(margin=0.001), metric)
    content["drift"]["degraded"] = report.to_json()
    return content


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(6))
def test_any_decision_keeps_the_schema_and_replays_to_its_bytes(name, seed, tmp_path):
    mode = "literal" if seed == 5 else "paired"
    content = judged(name, seed, days=2 + seed, mode=mode, guards=guards_of(name)[: seed % 4])
    content = with_degraded(content, name)
    VALIDATOR.validate(content)
    done = replay(spec(), stored(tmp_path, content), END)
    assert [d for d in done.differences if not d["field"].startswith("drift.reason")] == []
    assert canonical_json(done.computed["gate"]) == canonical_json(content["gate"])


@pytest.mark.parametrize("name", OTHERS)
def test_a_metric_adds_keys_and_takes_none(name):
    plain, other = judged("f1", 3), judged(name, 3)
    added = other["gate"].keys() - plain["gate"].keys()
    assert added == {
        f"score_{who}{kind}" for who in ("champion", "challenger") for kind in ("", "_exact")
    }
    assert plain["gate"].keys() <= other["gate"].keys()
    assert other["gate"]["slices"][0].keys() - plain["gate"]["slices"][0].keys() == added
    if rules_of(name).problem == "binary":
        assert other["gate"]["f1_champion"] == plain["gate"]["f1_champion"]
    else:
        assert other["gate"]["f1_champion"] is None
    assert "metric" not in plain["gate"]["rules"]
    assert not {"metric", "live_score"} & with_degraded(plain, "f1")["drift"]["degraded"].keys()


@pytest.mark.parametrize("name", OTHERS)
def test_words_and_pages_name_the_metric(name):
    content = with_degraded(judged(name, 3, guards=guards_of(name)), name)
    title = rules_of(name).scored_by.title
    champion, _ = scores_of(content["gate"])
    assert metric_of(content["gate"]).name == name
    text = " ".join(explain(content).split())
    assert f"the champion has {title} {champion:.4f}" in text
    better = "above" if rules_of(name).scored_by.sign > 0 else "below"
    assert f"The bare rule alone ({title} {better}" in text
    assert f"Guard on {metric_named(guards_of(name)[0].metric).title}" in text
    assert "F1" not in text.replace(title, "") or title.startswith("F")
    html = render(content, curves={}, counts={}, threshold=0.2, history=[content])
    assert f"{title[0].upper()}{title[1:]} by slice" in html


def test_a_challenger_that_gains_precision_for_recall_is_told_apart_by_the_metric():
    day = [0, 0, 0, 0, 20, 0, 30, 100]  # finds less
    less = np.array([[600, 0, 60, 20, *day[4:]]] * 7) + np.arange(7)[:, None]
    cells = {"": {"": less}}
    assert decision(cells, rules_of("precision"))["outcome"] == "challenger"
    assert decision(cells, rules_of("recall"))["outcome"] == "skipped"
    guarded = rules_of("precision", guards=(Guard(metric="recall", max_drop=0.02),))
    stopped = decision(cells, guarded)
    assert (stopped["outcome"], stopped["reason"]) == ("skipped", "guard_regression")
    wide = replace(guarded, guards=(Guard(metric="recall", max_drop=0.5),))
    assert decision(cells, wide)["outcome"] == "challenger"


def test_a_guard_that_cannot_be_judged_leaves_the_day_undecided():
    same_recall = np.array([[600, 0, 60, 20, 20, 0, 0, 130]] * 7) + np.arange(7)[:, None] * [
        *(1, 0, 0, 0, 0, 0, 0, 0)
    ]
    guards = (Guard(metric="recall", max_drop=0.02),)
    found = decision({"": {"": same_recall}}, rules_of("precision", guards=guards))
    assert (found["outcome"], found["reason"]) == ("undecided", "guard_undecided")
    assert found["gate"]["guards"][0]["reason"] == "undefined"
    bare = rules_of("precision", guards=guards, mode="literal")
    assert decision({"": {"": same_recall}}, bare)["outcome"] == "challenger"


def test_net_benefit_is_money_per_row():
    cells = np.array([[600, 10, 20, 60, 40, 30, 10, 150]] * 7)
    gate = decision({"": {"": cells}}, rules_of("net_benefit", mode="literal"))["gate"]
    rows = 920
    cost_champion = 5 * (20 + 60) + 80 * (40 + 30) + 5.5 * (10 + 150)
    cost_challenger = 5 * (10 + 60) + 80 * (40 + 10) + 5.5 * (30 + 150)
    assert gate["score_champion"] == pytest.approx(-cost_champion / rows)
    assert gate["difference"] == pytest.approx((cost_champion - cost_challenger) / rows)


def test_a_guard_is_of_the_same_problem():
    with pytest.raises(ValueError, match="guards: recall judges models of binary problems, mae"):
        GateRules(metric="mae", guards=(Guard(metric="recall", max_drop=0.1),))
    with pytest.raises(ValueError, match='quantile: is of metric "pinball"'):
        GateRules(metric="mae", quantile=0.9)
    with pytest.raises(ValueError, match="quantile: must lie between 0 and 1"):
        GateRules(metric="pinball", quantile=1)


def test_slices_of_amounts_need_no_positives():
    gate = judged("mae", 3)["gate"]
    assert gate["positives"] == 0
    assert {s["verdict"] for s in gate["slices"] if s["role"] == "protected"} == {"pass"}
