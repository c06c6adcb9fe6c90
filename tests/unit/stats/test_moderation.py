"""A variance that borrows from earlier windows: the prior it finds, and what bounds make of it."""

import math

import numpy as np
import pytest

from devtools.decisions import random_cells
from retrain_ops.stats.bounds import lower_bound
from retrain_ops.stats.cells import day_cells
from retrain_ops.stats.distributions import student_quantile, trigamma, trigamma_inverse
from retrain_ops.stats.gate_rules import GateRules
from retrain_ops.stats.gates import judge
from retrain_ops.stats.moderation import (
    MIN_WINDOWS,
    EarlierWindow,
    earlier_window,
    moderation_of,
)
from retrain_ops.stats.paired import compare

MODERATED = GateRules(variance="moderated")


def windows(effects, days=7):
    return [EarlierWindow(f"2020-01-{i:02d}", days, float(x)) for i, x in enumerate(effects)]


def drawn(rng, n, degrees, effect, days=7):
    """Effects whose truth is scaled inverse chi-square, seen through a few days."""
    truth = effect * degrees / rng.chisquare(degrees, n)
    return windows(truth * rng.chisquare(days - 1, n) / (days - 1), days)


@pytest.mark.parametrize("y", [1e-6, 0.01, 0.3, 1.0, 50.0, 1e6])
def test_trigamma_is_inverted(y):
    assert trigamma(trigamma_inverse(y)) == pytest.approx(y, rel=1e-10)


@pytest.mark.parametrize(("degrees", "effect"), [(4, 2.0), (10, 3.0), (30, 1.5)])
def test_the_prior_that_made_the_windows_is_found(degrees, effect):
    found = moderation_of(drawn(np.random.default_rng(5), 20000, degrees, effect))
    assert found.degrees == pytest.approx(degrees, rel=0.15)
    assert found.design_effect == pytest.approx(effect, rel=0.05)


def test_windows_that_are_all_alike_are_worth_all_their_days():
    found = moderation_of(windows([2.0] * 8))
    assert found.degrees == 8 * 6
    assert found.design_effect == pytest.approx(2.0, rel=0.25)


def test_too_few_windows_lend_nothing():
    found = moderation_of(windows([2.0] * (MIN_WINDOWS - 1)))
    paired = compare(day_cells(random_cells(np.random.default_rng(1), 7, gain=1)))
    assert (found.degrees, found.design_effect) == (0, 0)
    assert lower_bound(paired, MODERATED, found) == lower_bound(paired, MODERATED)


def test_the_error_is_drawn_towards_the_prior_and_never_below_that_of_rows():
    paired = compare(day_cells(random_cells(np.random.default_rng(1), 7, gain=1)))
    own = (paired.day_error / paired.row_error) ** 2
    low, high = moderation_of(windows([0.01] * 6)), moderation_of(windows([9.0] * 6))
    bound, error = lower_bound(paired, MODERATED, high)
    weighted = (high.degrees * high.design_effect + 6 * own) / (high.degrees + 6)
    assert error == pytest.approx(paired.row_error * math.sqrt(weighted))
    quantile = student_quantile(0.95, 6 + high.degrees)
    assert bound == pytest.approx(float(paired.difference) - quantile * error)
    assert low.error_of(paired) == paired.row_error


def test_the_record_says_what_was_borrowed_and_only_then():
    cells = {"": {"": random_cells(np.random.default_rng(2), 7, gain=1)}}
    earlier = windows([2.0, 1.1, 3.2, 1.7, 0.8])
    plain = judge(cells, GateRules(), earlier=earlier).to_json()
    assert plain == judge(cells, GateRules()).to_json()
    found = judge(cells, MODERATED, earlier=earlier).to_json()
    assert found.keys() - plain.keys() == {"moderation"}
    assert len(found["moderation"]["windows"]) == 5
    assert found["slices"] == plain["slices"]
    again = [EarlierWindow(**w) for w in found["moderation"]["windows"]]
    assert judge(cells, MODERATED, earlier=again).to_json() == found


def test_a_window_without_spread_lends_nothing():
    same = compare(day_cells(np.array([[600, 0, 0, 60, 40, 0, 0, 120]] * 7)))
    assert earlier_window("2020-01-01", same) is None
