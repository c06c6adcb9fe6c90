import math

import numpy as np
import pytest

from retrain_ops.errors import ConfigError, DataError
from retrain_ops.stats import (
    DriftRules,
    day_permutation_p,
    drift_report,
    psi,
    psi_from_counts,
)

RNG = np.random.default_rng(3)


def test_jeffreys_is_the_default_and_adds_half_a_row_to_every_bin():
    a, b = np.array([3, 5, 0]), np.array([1, 2, 4])
    p, q = (a + 0.5) / 9.5, (b + 0.5) / 8.5
    assert psi_from_counts(a, b) == pytest.approx(((q - p) * np.log(q / p)).sum())


def test_bins_empty_on_both_sides_say_nothing():
    assert psi_from_counts([3, 0, 5], [1, 0, 2]) == psi_from_counts([3, 5], [1, 2])
    assert psi_from_counts([3, 0], [7, 0]) == 0


def test_a_bin_empty_on_one_side_is_infinite_only_without_a_convention():
    assert psi_from_counts([3, 0], [3, 1], "none") == math.inf
    assert math.isfinite(psi_from_counts([3, 0], [3, 1]))


@pytest.mark.parametrize(
    ("a", "b"), [([0, 0], [1, 2]), ([1, 2], [0, 0]), ([1, 2], [1, 2, 3]), ([1.5, 2], [1, 2])]
)
def test_counts_that_cannot_be_compared_are_refused(a, b):
    with pytest.raises(DataError):
        psi_from_counts(a, b)


def test_unknown_conventions_are_refused_by_name():
    with pytest.raises(ConfigError, match="laplace"):
        psi_from_counts([1, 2], [1, 2], "laplace")


def test_psi_tells_a_shift_from_none():
    same = psi(RNG.normal(size=2000), RNG.normal(size=2000))
    moved = psi(RNG.normal(size=2000), RNG.normal(0.3, size=2000))
    assert (same.verdict, moved.verdict) == ("no_drift", "drift")
    assert moved.psi > same.psi > same.debiased
    assert same.counts.shape == (2, 13)
    assert len(same.edges) == 9
    assert (same.counts[0, :10] == 200).all()


def test_psi_counts_nan_and_infinities_in_bins_of_their_own():
    x = np.array([1.0, 2.0, 3.0, 4.0, np.nan, np.inf, -np.inf])
    result = psi(x, [np.nan] * 7, n_bins=2)
    assert result.counts.tolist() == [[2, 2, 1, 1, 1], [0, 0, 0, 0, 7]]


def test_psi_of_strings_counts_unseen_and_missing():
    result = psi(["a", "b", "a"], np.array(["a", "z", None], dtype=object))
    assert result.edges.tolist() == ["a", "b"]
    assert result.counts.tolist() == [[2, 1, 0, 0], [1, 0, 1, 1]]


def test_one_bin_is_undecided():
    assert psi([1.0, 1.0], [1.0, 1.0]).verdict == "undecided"


def days(n, shift=0.0, rows=400, luck=0.0):
    """Counts per day of four bins; `luck` moves all rows of a day together."""
    table = []
    for _ in range(n):
        weights = np.exp(np.arange(4) * (shift + RNG.normal(0, luck) if luck else shift))
        table.append(RNG.multinomial(rows, weights / weights.sum()))
    return np.array(table, np.int64)


def test_the_permutation_p_is_small_for_a_shift_and_reproducible():
    a, b = days(22), days(7, shift=0.5)
    p = day_permutation_p(a, b, seed=1)
    assert p == day_permutation_p(a, b, seed=1) == 1 / 2001
    assert day_permutation_p(a, b, seed=2, draws=99) == 1 / 100


def test_the_permutation_p_does_not_depend_on_empty_days_or_bins():
    a, b = days(10), days(5)
    padded = np.concatenate([a, np.zeros((1, 4), np.int64)])
    assert day_permutation_p(padded, b, seed=5) == day_permutation_p(a, b, seed=5)
    wide_a, wide_b = (np.insert(t, 2, 0, axis=1) for t in (a, b))
    assert day_permutation_p(wide_a, wide_b, seed=5) == day_permutation_p(a, b, seed=5)


def test_equal_days_give_a_p_of_one():
    assert day_permutation_p(np.full((5, 3), 9), np.full((3, 3), 9), seed=0) == 1.0


def test_the_permutation_p_keeps_its_level_where_rows_of_a_day_go_together():
    """Chi-square by rows would call nearly all of these drift."""
    runs = 300
    hits = sum(
        day_permutation_p(days(14, luck=0.3), days(7, luck=0.3), seed=i, draws=199) < 0.05
        for i in range(runs)
    )
    assert hits / runs < 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


def test_no_rows_have_no_permutation_p():
    with pytest.raises(DataError):
        day_permutation_p(np.zeros((3, 2), np.int64), np.ones((3, 2), np.int64), seed=0)
    with pytest.raises(DataError):
        day_permutation_p(np.ones((3, 2), np.int64), np.ones((3, 3), np.int64), seed=0)


def test_triggers_literal_and_proven():
    lucky = np.array([[100, 0]] * 3 + [[0, 100]] * 3, np.int64)  # days of one bin each
    reference = {"calm": days(22), "moved": days(22), "lucky": lucky}
    current = {"calm": days(7), "moved": days(7, shift=0.7), "lucky": lucky[:1]}
    literal = drift_report(reference, current, seed=1)
    verdicts = {f.name: f.verdict for f in literal.features}
    assert verdicts == {"calm": "no_drift", "moved": "drift", "lucky": "not_proven"}
    assert [f.triggers for f in literal.features] == [False, True, True]
    proven = drift_report(reference, current, DriftRules(trigger="proven"), seed=1)
    assert [f.triggers for f in proven.features] == [False, True, False]
    assert literal.psi_max == max(f.psi for f in literal.features)
    assert literal.to_json() == drift_report(reference, current, seed=1).to_json()


def test_a_feature_without_rows_is_undecided_and_does_not_trigger():
    report = drift_report({"x": days(5)}, {"x": np.zeros((7, 4), np.int64)}, seed=1)
    assert report.features[0].verdict == "undecided"
    assert not report.triggered
    assert report.psi_max is None


def test_missing_features_and_other_bins_are_refused_by_name():
    with pytest.raises(DataError, match="wind"):
        drift_report({"wind": days(5)}, {}, seed=1)
    with pytest.raises(DataError, match="wind"):
        drift_report({"wind": days(5)}, {"wind": days(5)[:, :3]}, seed=1)
