"""A shadow of two models of amounts: how far apart they are, and what stops the challenger."""

import numpy as np
import pytest

from retrain_ops.stats.shadow import ShadowRules, judge_shadow
from retrain_ops.stats.shadow_amounts import AMOUNTS, amount_counts

RULES = ShadowRules(min_rows=100)
RNG = np.random.default_rng(4)
OLD = RNG.normal(12, 5, 4000)
NOISE = RNG.normal(0, 2, 4000)


def judged(new, old=OLD, rules=RULES):
    return judge_shadow(amount_counts(old, np.asarray(new, float)), rules, view=AMOUNTS)


def test_a_model_close_to_the_champion_passes():
    verdict = judged(OLD + NOISE)
    assert (verdict.verdict, verdict.reasons) == ("pass", ())
    numbers = verdict.numbers
    spread = np.abs(OLD - OLD.mean()).mean()
    assert numbers["spread"] == pytest.approx(spread, rel=1e-12)
    assert numbers["difference"] == pytest.approx(np.abs(NOISE).mean() / spread, rel=1e-12)
    assert numbers["mean_change"] == pytest.approx(NOISE.mean() / spread, rel=1e-9)
    assert numbers["score_psi"] < 0.2
    assert "flip_rate" not in numbers


@pytest.mark.parametrize(
    ("new", "reasons"),
    [
        (OLD + 40, ("difference", "mean_change")),
        (OLD * -4 + 60, ("difference",)),
        (np.full(4000, 12.0), ("constant_score",)),
        (np.where(OLD > 20, np.nan, OLD), ("bad_scores",)),
        (np.where(OLD > 20, np.inf, OLD), ("bad_scores",)),
        (np.where(OLD > 20, 1e30, OLD), ("bad_scores",)),
    ],
)
def test_what_answers_another_question_fails(new, reasons):
    verdict = judged(new)
    assert (verdict.verdict, verdict.reasons) == ("fail", reasons)


def test_the_unit_of_the_label_does_not_matter():
    one, other = judged(OLD + NOISE).numbers, judged(1e7 * (OLD + NOISE), 1e7 * OLD).numbers
    for name in ("difference", "mean_change", "score_psi"):
        assert other[name] == pytest.approx(one[name], rel=1e-9)


def test_too_few_requests_and_none_are_undecided():
    assert judged(OLD[:20], OLD[:20]).verdict == "undecided"
    nothing = judged([], np.zeros(0))
    assert (nothing.verdict, nothing.reasons) == ("undecided", ("too_few_rows",))
    assert nothing.numbers["difference"] is None


def test_a_champion_that_says_the_same_for_all_is_a_warning():
    verdict = judged(OLD, np.full(4000, 3.0))
    assert verdict.verdict == "pass"
    assert "champion_constant" in verdict.warnings
    assert verdict.numbers["difference"] is None
