"""Doubtful labels beside a plain loop, and what is left alone."""

import numpy as np
import pytest

from retrain_ops.stats.noise import NoiseRules, doubtful_rows


def plain(score, label, looked_at, share):
    """The definition, row by row."""
    rest = [i for i in range(len(label)) if not looked_at[i]]
    if len({label[i] for i in rest}) < 2:
        rest = range(len(label))
    least = {
        j: np.mean([score[i] if j else 1 - score[i] for i in rest if label[i] == j]) for j in (0, 1)
    }
    doubts = []
    for i in np.flatnonzero(looked_at):
        other = 1 - label[i]
        p = score[i] if other else 1 - score[i]
        if p >= least[other] and p > 0.5:
            doubts.append((-p, i))
    return sorted(i for _, i in sorted(doubts)[: int(share * looked_at.sum())])


@pytest.mark.parametrize("seed", range(30))
def test_rows_are_those_of_the_definition(seed):
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(10, 300))
    score = rng.integers(0, 20, rows) / 20  # ties
    label = (rng.random(rows) < score).astype(np.uint8)
    label[:2] = (0, 1)
    looked_at = rng.random(rows) < rng.choice([0.2, 0.6, 1.0])
    found = doubtful_rows(score, label, looked_at, 0.125)
    assert np.flatnonzero(found).tolist() == plain(score, label, looked_at, 0.125)


def test_flipped_labels_are_found_and_the_share_is_kept():
    rng = np.random.default_rng(1)
    truth = rng.random(4000) < 0.5
    score = np.clip(np.where(truth, 0.9, 0.1) + rng.normal(0, 0.05, 4000), 0, 1)
    looked_at = np.arange(4000) >= 3000
    flipped = looked_at & (rng.random(4000) < 0.03)
    found = doubtful_rows(score, (truth ^ flipped).astype(np.uint8), looked_at, 0.05)
    assert (flipped | ~found).all()
    assert found.sum() > flipped.sum() / 3
    capped = doubtful_rows(score, (truth ^ flipped).astype(np.uint8), looked_at, 0.01)
    assert capped.sum() == 10
    assert (found | ~capped).all()


def test_labels_of_one_kind_leave_nothing_out():
    one = np.ones(5, np.uint8)
    assert not doubtful_rows(np.zeros(5), one, np.ones(5, np.bool_), 0.5).any()


@pytest.mark.parametrize("rules", [{"days": 0}, {"max_share": 0.0}, {"max_share": 0.6}])
def test_rules_are_checked(rules):
    with pytest.raises(ValueError, match=next(iter(rules))):
        NoiseRules(**rules)
