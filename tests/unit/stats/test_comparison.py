"""compare_models: arrays in, the gate's verdict out."""

from __future__ import annotations

import numpy as np
import pytest

from retrain_ops.errors import DataError
from retrain_ops.stats import GateRules, compare_models

RNG = np.random.default_rng(4)
ROWS, DAYS = 7000, 14
Y = RNG.integers(0, 2, ROWS)
DAY = np.repeat(np.arange(DAYS), ROWS // DAYS)
GOOD = np.where(RNG.random(ROWS) < 0.1, 1 - Y, Y)
BAD = np.where(RNG.random(ROWS) < 0.3, 1 - Y, Y)


def f1(said: np.ndarray) -> float:
    return 2 * np.sum(Y & said) / np.sum(Y + said)


def test_the_better_model_passes_and_the_numbers_are_those_of_f1() -> None:
    report = compare_models(Y, BAD, GOOD, days=DAY)
    assert (report.verdict, report.literal) == ("pass", True)
    assert report.difference == pytest.approx(f1(GOOD) - f1(BAD))
    assert report.lower_bound is not None
    assert 0 < report.lower_bound < report.difference


def test_the_same_model_fails() -> None:
    report = compare_models(Y, GOOD, GOOD, days=DAY)
    assert (report.verdict, report.difference) == ("fail", 0.0)


def test_days_may_have_any_name_and_rows_any_order() -> None:
    order = RNG.permutation(ROWS)
    named = np.array([f"2013-08-{d + 1:02d}" for d in DAY])
    one = compare_models(Y, BAD, GOOD, days=DAY)
    two = compare_models(Y[order], BAD[order], GOOD[order], days=named[order])
    assert one == two


def test_without_days_rows_are_independent() -> None:
    rules = GateRules(resample_unit="row", min_days=2)
    alone = compare_models(Y, BAD, GOOD, rules=rules)
    assert alone.lower_bound is not None


def test_a_protected_slice_that_gets_worse_stops_it() -> None:
    group = np.where(np.arange(ROWS) % 2 == 0, "a", "b")
    mixed = np.where(group == "a", GOOD, 1 - Y)
    rules = GateRules(protected=("group",))
    report = compare_models(Y, BAD, mixed, days=DAY, slices={"group": group}, rules=rules)
    assert report.verdict == "fail"
    worse = {s.level: s.verdict for s in report.slices}
    assert worse == {"a": "pass", "b": "fail"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"days": DAY[:-1]}, "days has the shape"),
        ({"days": np.where(DAY == 3, np.nan, DAY)}, "missing value"),
        ({"challenger": GOOD[:-1]}, "rows"),
        ({"challenger": GOOD + 1}, "challenger"),
        ({"rules": GateRules(protected=("nowhere",))}, "nowhere"),
    ],
)
def test_what_cannot_be_compared_is_refused(changes: dict, message: str) -> None:
    arguments = {"champion": BAD, "challenger": GOOD, "days": DAY, **changes}
    with pytest.raises(DataError, match=message):
        compare_models(Y, **arguments)


def scores(flipped: float, seed: int) -> np.ndarray:
    """Higher for positives, the less so the larger `flipped`."""
    rng = np.random.default_rng(seed)
    return np.clip(rng.normal(0.5 + 0.2 * (2 * Y - 1) * (1 - flipped), 0.2), 0.01, 0.99)


@pytest.mark.parametrize("metric", ["roc_auc", "average_precision", "ks", "log_loss", "brier"])
def test_metrics_of_scores_judge_scores_whatever_the_decisions(metric: str) -> None:
    rules = GateRules(metric=metric, protected=("group",), min_rows=100)
    group = np.where(np.arange(ROWS) % 2 == 0, "a", "b")
    worse, better = scores(0.5, 1), scores(0, 2)
    wanted = {"days": DAY, "slices": {"group": group}, "rules": rules}
    up = compare_models(Y, BAD, GOOD, scores=(worse, better), **wanted)
    down = compare_models(Y, BAD, GOOD, scores=(better, worse), **wanted)
    assert (up.verdict, down.verdict) == ("pass", "fail")
    assert up.difference == pytest.approx(-down.difference)
    assert up.difference > 0
    assert all(s.difference > 0 for s in up.slices)


def test_metrics_of_scores_need_scores_that_have_a_value() -> None:
    rules = GateRules(metric="log_loss")
    with pytest.raises(DataError, match="log_loss is a metric of scores: it needs those of both"):
        compare_models(Y, BAD, GOOD, days=DAY, rules=rules)
    odds = scores(0, 1) * 3
    with pytest.raises(DataError, match=r"log_loss: challenger\[\d+\] is .*it is a probability"):
        compare_models(Y, BAD, GOOD, days=DAY, rules=rules, scores=(scores(0, 1), odds))
    gaps = np.where(np.arange(ROWS) == 5, np.nan, odds)
    with pytest.raises(DataError, match=r"roc_auc: champion\[5\] is nan, it has no rank"):
        compare_models(
            Y, BAD, GOOD, days=DAY, rules=GateRules(metric="roc_auc"), scores=(gaps, odds)
        )
