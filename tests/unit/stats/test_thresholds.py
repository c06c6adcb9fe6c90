"""Where thresholds are put: against every distinct score tried one by one."""

import logging

import numpy as np
import pytest

from retrain_ops import _core
from retrain_ops.stats.gate_rules import GateRules, Guard
from retrain_ops.stats.metrics import Costs
from retrain_ops.stats.metrics.decisions import BY_NAME
from retrain_ops.stats.thresholds import Threshold, threshold_of

COSTS = GateRules(metric="net_benefit", costs=Costs(fp=1, fn=5), guards=())
BETA = GateRules(beta=2, guards=(Guard(metric="fbeta", max_drop=0.1),))


def rows(seed, n=300, negative=False):
    rng = np.random.default_rng(seed)
    label = (rng.random(n) < 0.3).astype(np.uint8)
    score = np.round(rng.normal(0.3 * label, 0.3), 2)
    return (score if negative else np.clip(score + 0.5, 0, 1)), label


def confusion(score, label, at):
    said = (score >= at).astype(int)
    return tuple(int(((2 * label + said) == cell).sum()) for cell in range(4))


@pytest.mark.parametrize("name", [*BY_NAME, "fbeta", "net_benefit"])
@pytest.mark.parametrize("negative", [False, True])
def test_no_threshold_is_better_than_the_one_that_is_best(name, negative):
    rule = threshold_of(name, None, {"fbeta": BETA, "net_benefit": COSTS}.get(name, GateRules()))
    for seed in range(5):
        score, label = rows(seed, negative=negative)
        every = {t: rule.metric.score(confusion(score, label, t)) for t in np.unique(score)}
        best = max(x for x in every.values() if x is not None)
        found = rule.choose(score, label)
        assert float(every[found]) == pytest.approx(float(best), abs=1e-12)


def test_f1_is_the_threshold_it_always_was():
    score, label = rows(1)
    assert Threshold().choose(score, label) == _core.f1_threshold(score, label)[0]


def test_a_fixed_threshold_looks_at_nothing():
    assert Threshold("fixed", 0.37).choose(*rows(2)) == 0.37


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.95])
def test_a_rate_is_the_largest_that_is_not_above_the_share(share):
    score, label = rows(3, negative=True)
    at = Threshold("positive_rate", share).choose(score, label)
    rates = [(score >= t).mean() for t in np.unique(score)]
    assert (score >= at).mean() == max(r for r in rates if r <= share)


def test_a_rate_below_the_share_of_the_highest_score_takes_that_score_and_says_so(caplog):
    with caplog.at_level(logging.WARNING):
        assert Threshold("positive_rate", 0.1).choose(np.ones(9), np.ones(9, np.uint8)) == 1
    assert "1 of the rows have the highest score out of fold, more than 0.1" in caplog.text


def test_recall_at_precision_is_the_best_recall_that_is_precise_enough(caplog):
    score, label = rows(4)
    at = Threshold("recall_at_precision", 0.6).choose(score, label)
    _, fp, fn, tp = confusion(score, label, at)
    assert tp / (tp + fp) >= 0.6
    for t in np.unique(score):
        _, other_fp, _, other_tp = confusion(score, label, t)
        assert other_tp <= tp or other_tp / (other_tp + other_fp) < 0.6
    assert fn == label.sum() - tp
    backwards = -score
    with caplog.at_level(logging.WARNING):
        closest = Threshold("recall_at_precision", 0.99).choose(backwards, label)
    assert "no threshold has a precision of 0.99" in caplog.text
    assert closest in backwards


@pytest.mark.parametrize(
    ("by", "value", "words"),
    [
        ("fixed", None, 'threshold = "fixed" needs one'),
        ("positive_rate", 1.0, "must lie between 0 and 1"),
        ("f1", 0.5, 'threshold = "f1" has none; it is of fixed, positive_rate'),
    ],
)
def test_a_value_that_does_not_fit_is_refused(by, value, words):
    with pytest.raises(ValueError, match=words):
        Threshold(by, value).check()
