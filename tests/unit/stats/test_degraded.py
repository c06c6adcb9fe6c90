"""The champion beside another model: harm that is shown in two of three windows triggers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from devtools.decisions import SPEC, random_cells, scored
from retrain_ops.errors import ConfigError, DataError
from retrain_ops.spec.spec import parse_spec
from retrain_ops.stats.degraded import DegradedRules, judge_degraded
from retrain_ops.stats.metrics import metric_named

RULES = DegradedRules()
OTHER = {"retrain_key": "m/2020-01-20", "model_sha256": "a" * 64}


def windows(*gains, days=7, seed=0):
    """One window per number: how much more of the positives the other model finds."""
    rng = np.random.default_rng(seed)
    return [("2020-01-01", "2020-01-07", OTHER, random_cells(rng, days, gain=g)) for g in gains]


def test_two_windows_of_three_trigger_and_one_does_not():
    two = judge_degraded(windows(1.5, 0, 1.5), RULES)
    assert [w.verdict for w in two.windows] == ["degraded", "no", "degraded"]
    assert two.triggered
    assert not judge_degraded(windows(0, 1.5, 0), RULES).triggered


def test_the_other_model_being_worse_is_no_reason():
    assert not judge_degraded(windows(-0.15, -0.15, -0.15), RULES).triggered


def test_the_difference_has_the_champion_first_and_its_bound_above():
    (window,) = judge_degraded(windows(1.5), replace(RULES, of=1, windows=1)).windows
    exact = float(window.f1_champion - window.f1_reference)
    assert window.difference == pytest.approx(exact)
    assert window.difference < window.upper_bound < -RULES.margin


def test_a_gap_within_the_margin_is_not_degraded():
    report = judge_degraded(windows(0.1, 0.1, 0.1), RULES)
    assert all(w.difference < 0 for w in report.windows)
    assert not report.triggered
    assert judge_degraded(windows(0.1, 0.1, 0.1), replace(RULES, margin=0.001)).triggered


def test_few_days_no_rows_and_nobody_to_compare_with_are_undecided():
    report = judge_degraded(windows(1.5, 1.5, days=4), RULES)
    assert {w.verdict for w in report.windows} == {"undecided"}
    empty = ("2020-01-01", "2020-01-07", None, np.zeros((0, 8), dtype=np.int64))
    assert judge_degraded([empty] * 3, RULES).live_f1 is None


def test_equal_models_trigger_in_at_most_a_twentieth_of_looks():
    rng = np.random.default_rng(4)
    looks = 200
    hits = 0
    for _ in range(looks):
        three = [("", "", OTHER, random_cells(rng, 7)) for _ in range(3)]
        hits += judge_degraded(three, replace(RULES, margin=1e-9)).triggered
    assert hits <= 0.05 * looks


def test_malformed_counts_and_impossible_rules_are_refused():
    with pytest.raises(DataError, match="cells of 2020-01-01"):
        judge_degraded([("2020-01-01", "2020-01-07", OTHER, np.zeros((2, 7), int))], RULES)
    for bad in ("margin = 0", "windows = 4", "days = 4", "confidence = 0.4", "min_days = 1"):
        with pytest.raises(ConfigError, match=r"\[degraded\]"):
            parse_spec(f"{SPEC}\n[degraded]\n{bad}\n", where="m.toml", folder=Path("."))


def test_the_table_turns_it_on_and_enters_the_hash(tmp_path):
    off = parse_spec(SPEC, where="m.toml", folder=tmp_path)
    on = parse_spec(f"{SPEC}\n[degraded]\n", where="m.toml", folder=tmp_path)
    assert (off.degraded, on.degraded) == (None, RULES)
    assert off.sha256() != on.sha256()


def test_the_champion_falls_behind_in_the_metric_of_the_gate():
    """The other model finds more, at the price of false alarms."""
    week = np.array([[600, 60, 0, 60, 20, 60, 0, 120]] * 7) + np.arange(7)[:, None]
    three = [(f"2020-01-0{i}", f"2020-01-1{i}", OTHER, week) for i in range(1, 4)]
    recall = judge_degraded(three, RULES, metric_named("recall"))
    assert recall.triggered
    assert not judge_degraded(three, RULES, metric_named("precision")).triggered
    plain = recall.to_json()
    assert plain["metric"] == {"name": "recall"}
    exact = recall.windows[0].score_reference
    assert plain["windows"][0]["score_reference"] == pytest.approx(float(exact))
    assert plain["live_score"] < exact


@pytest.mark.parametrize(("name", "pooled"), [("roc_auc", False), ("log_loss", True)])
def test_the_champion_falls_behind_in_a_metric_of_scores(name, pooled):
    """Ranks of one window cannot be pooled with another's; losses can."""
    rng, metric = np.random.default_rng(2), metric_named(name)
    windows = []
    for i in range(1, 4):
        cells = np.array([[500, 60, 60, 60, 40, 80, 20, 80]] * 7) + np.arange(7)[:, None]
        rows = scored(rng, cells)
        sums = rows.sums(metric, rows.everyone)[""]
        windows.append((f"2020-01-0{i}", f"2020-01-1{i}", OTHER, cells, sums))
    report = judge_degraded(windows, RULES, metric)
    assert report.triggered
    assert (report.live_score is not None) == pooled
    assert report.to_json()["windows"][0]["sums"] == windows[0][4]
    with pytest.raises(DataError, match="cover 0 days, there are 7"):
        judge_degraded([(*windows[0][:4], [])], RULES, metric)
