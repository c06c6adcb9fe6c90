"""Metrics of several classes against scikit-learn and a bootstrap of days; `proofs metrics` does
more."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from devtools.class_peers import (
    PEERS,
    bootstrap_ratio,
    check_table,
    named,
    random_rows,
    random_table,
)
from retrain_ops.errors import DataError
from retrain_ops.stats.cells import CHALLENGER
from retrain_ops.stats.class_counts import SaidClasses, class_tables
from retrain_ops.stats.metrics import metric_of_record
from retrain_ops.stats.paired import compare
from retrain_ops.stats.sums import with_sums
from retrain_ops.stats.tables import paired_classes


def rows_of(label, champion, challenger, day=None, classes=3):
    codes = [np.asarray(x, np.uint8) for x in (label, champion, challenger)]
    day = np.arange(len(label)) if day is None else np.asarray(day)
    half = np.full(len(label), 0.5)
    said = SaidClasses(*codes, classes)
    return paired_classes(day.astype(np.int32), int(day.max()) + 1, said, (half, half))


@pytest.mark.parametrize("name", PEERS)
def test_scores_are_those_of_the_peer(name):
    rng = np.random.default_rng(17)
    found = [check_table(name, random_table(rng)) for _ in range(60)]
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
    rows = random_rows(np.random.default_rng(5), 300, 1)
    found = compare(rows.judged_by(named(name)), named(name))
    assert found.row_error == pytest.approx(found.day_error * np.sqrt(299 / 300), rel=1e-9)


@pytest.mark.parametrize("name", PEERS)
def test_a_record_names_its_metric(name):
    metric = named(name)
    assert metric_of_record({"name": metric.name, **metric.arguments}) == metric
    assert metric_of_record({"name": metric.name, "classes_of": "late"}) == metric


@pytest.mark.parametrize("name", PEERS)
def test_sums_are_the_same_for_any_threads_and_add_up(name):
    metric, rows = named(name), random_rows(np.random.default_rng(1), 4, 50_000)
    one = rows.sums(metric, rows.everyone)
    for team in (2, 7):
        assert replace(rows, n_threads=team).sums(metric, rows.everyone) == one
    first, rest = (rows.between(*ends).judged_by(metric) for ends in ((0, 1), (1, 4)))
    assert first + rest == rows.judged_by(metric)


def test_values_by_hand():
    """Class 2 is only said, by the challenger: it is no class of the champion's mean."""
    rows = rows_of([0, 0, 0, 1], [0, 0, 1, 1], [0, 2, 0, 0], classes=4)
    found = {name: compare(rows.judged_by(named(name)), named(name)) for name in PEERS}
    of = {n: (s.score_champion, s.score_challenger) for n, s in found.items()}
    assert of["accuracy"] == (Fraction(3, 4), Fraction(1, 2))
    assert of["macro_f1"] == ((Fraction(4, 5) + Fraction(2, 3)) / 2, Fraction(2, 3) / 3)
    assert of["weighted_f1"] == (Fraction(3 * 4, 4 * 5) + Fraction(2, 12), Fraction(3 * 2, 4 * 3))
    assert float(of["log_loss"][0]) == pytest.approx(np.log(2), abs=1e-12)
    assert {(s.rows, s.discordant) for s in found.values()} == {(4, 3)}
    assert {(s.f1_champion, s.f1_challenger) for s in found.values()} == {(None, None)}


def test_equal_models_differ_by_nothing():
    rows = random_rows(np.random.default_rng(2), 6, 50)
    said = replace(rows.classes, challenger=rows.classes.champion)
    same = paired_classes(rows.day, 6, said, (rows.scores[0], rows.scores[0]))
    for name in PEERS:
        found = compare(same.judged_by(named(name)), named(name))
        assert (found.difference, found.row_error, found.day_error) == (0, 0, 0)


def test_what_cannot_be_counted_is_refused():
    rows = rows_of([0, 1], [0, 3], [1, 1])
    with pytest.raises(DataError, match=r"macro_f1: champion\[1\] is 3, it must lie in 0..2"):
        rows.judged_by(named("macro_f1"))
    with pytest.raises(DataError, match="weighted_f1 is a metric of several classes"):
        replace(rows, classes=None).judged_by(named("weighted_f1"))
    with pytest.raises(DataError, match="7 numbers are not five tables"):
        class_tables([0] * 7)
    with pytest.raises(DataError, match="sums of m must hold 5 whole numbers a day"):
        with_sums(((1,) * 8, (1,) * 8), [[1] * 5, [1] * 20], None, name="sums of m")


def test_a_slice_without_rows_has_no_score():
    for name in PEERS:
        metric = named(name)
        assert metric.score(metric.totals([0] * 8, CHALLENGER)) is None
