"""Metrics of amounts against scikit-learn and a bootstrap of days; `proofs metrics` does more."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from devtools.amount_peers import (
    PEERS,
    bootstrap_ratio,
    check_table,
    named,
    random_rows,
    random_table,
)
from retrain_ops.errors import DataError
from retrain_ops.stats.cells import CHALLENGER
from retrain_ops.stats.metrics import metric_named, metric_of_record
from retrain_ops.stats.paired import compare
from retrain_ops.stats.tables import paired_amounts


def rows_of(target, champion, challenger, day=None):
    target = np.asarray(target, np.float64)
    day = np.arange(len(target)) if day is None else np.asarray(day)
    both = np.asarray(champion, np.float64), np.asarray(challenger, np.float64)
    return paired_amounts(day.astype(np.int32), int(day.max()) + 1, target, both)


@pytest.mark.parametrize("name", PEERS)
def test_scores_are_those_of_the_peer(name):
    rng = np.random.default_rng(17)
    found = [check_table(name, random_table(rng)) for _ in range(40)]
    assert max(distance for distance, _ in found) < 1e-12
    assert sum(undefined for _, undefined in found) > 0


@pytest.mark.parametrize("name", PEERS)
def test_the_error_by_days_is_that_of_a_bootstrap(name):
    rng = np.random.default_rng(3)
    ratio = bootstrap_ratio(name, random_rows(rng, 28, 400), rng, draws=800)
    assert ratio == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("name", PEERS)
def test_the_error_by_rows_is_that_of_each_row_alone(name):
    """A day of its own for each row: both errors are then one, but for sqrt(G / (G - 1))."""
    rng = np.random.default_rng(5)
    rows = random_rows(rng, 300, 1)
    found = compare(rows.judged_by(named(name)), named(name))
    assert found.row_error == pytest.approx(found.day_error * np.sqrt(299 / 300), rel=1e-9)


@pytest.mark.parametrize("name", PEERS)
def test_a_record_names_its_metric(name):
    metric = named(name)
    assert metric_of_record({"name": metric.name, **metric.arguments}) == metric


@pytest.mark.parametrize("name", PEERS)
def test_sums_are_the_same_for_any_threads_and_order(name):
    rows = random_rows(np.random.default_rng(1), 4, 150_000)
    one = rows.sums(named(name), rows.everyone)
    assert replace(rows, n_threads=5).sums(named(name), rows.everyone) == one
    assert rows.target is not None
    assert rows.scores is not None
    a, b = rows.scores
    turned = paired_amounts(rows.day[::-1], 4, rows.target[::-1], (a[::-1], b[::-1]))
    if name != "r2":  # the mean label is summed in the order of the rows
        assert turned.sums(named(name), rows.everyone) == one


def test_values_by_hand():
    rows = rows_of([1, 2, 4, 0], [2, 2, 1, 0], [0, 4, 4, 0])
    scores = {name: compare(rows.judged_by(named(name)), named(name)) for name in PEERS}
    of = {n: (s.score_champion, s.score_challenger) for n, s in scores.items()}
    assert of["mae"] == (1, Fraction(3, 4))
    assert of["bias"] == (Fraction(1, 2), Fraction(1, 4))
    assert of["mape"] == (Fraction(7, 12), Fraction(2, 3))
    assert [float(s) for s in of["rmse"]] == pytest.approx([2.5**0.5, 1.25**0.5], rel=1e-15)
    assert [float(s) for s in of["r2"]] == pytest.approx([1 - 10 / 8.75, 1 - 5 / 8.75], rel=1e-15)
    assert float(of["smape"][0]) == pytest.approx((2 / 3 + 6 / 5) / 4, rel=1e-15)
    assert float(of["pinball"][0]) == pytest.approx((0.1 + 2.7) / 4, rel=1e-15)
    assert scores["mae"].difference == Fraction(1, 4)  # less is better
    assert scores["r2"].difference > 0  # more is
    assert (scores["mae"].rows, scores["mae"].discordant, scores["mae"].positives) == (4, 3, 0)


def test_a_perfect_model_has_no_influence_on_a_root():
    rows = rows_of([1, 2, 4, 0], [1, 2, 4, 0], [0, 4, 4, 0])
    found = compare(rows.judged_by(metric_named("rmse")), metric_named("rmse"))
    assert found.score_champion == 0
    assert found.day_error > 0
    perfect = compare(rows_of([3, 3], [3, 3], [3, 3]).judged_by(metric_named("rmse")), named("r2"))
    assert perfect.difference == 0


def test_equal_models_differ_by_nothing():
    rows = random_rows(np.random.default_rng(2), 6, 50)
    same = paired_amounts(rows.day, 6, rows.target, (rows.scores[0], rows.scores[0]))
    for name in PEERS:
        found = compare(same.judged_by(named(name)), named(name))
        assert (found.difference, found.row_error, found.day_error) == (0, 0, 0)


@pytest.mark.parametrize(
    ("target", "champion", "problem"),
    [
        ([1.0, np.nan], [1.0, 2.0], r"mae: y\[1\] is nan"),
        ([1.0, 2.0], [np.inf, 2.0], r"mae: champion\[0\] is inf"),
        ([1.0, 1e30], [1.0, 2.0], "row 1: y is 1e.30, .* the label is too far off"),
    ],
)
def test_what_cannot_be_summed_is_refused(target, champion, problem):
    rows = rows_of(target, champion, [0, 0])
    with pytest.raises(DataError, match=problem):
        rows.judged_by(metric_named("mae"))


def test_a_metric_of_amounts_needs_amounts():
    rows = replace(rows_of([1], [2], [3]), target=None)
    with pytest.raises(DataError, match="mae is a metric of amounts: it needs labels"):
        rows.judged_by(metric_named("mae"))


def test_a_slice_without_rows_has_no_score():
    for name in PEERS:
        metric = named(name)
        assert metric.score(metric.totals([0] * 8, CHALLENGER)) is None
