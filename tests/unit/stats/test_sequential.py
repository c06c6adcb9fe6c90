import json
import math
from dataclasses import replace

import numpy as np
import pytest

from devtools.decisions import scored
from retrain_ops.errors import DataError
from retrain_ops.stats.metrics import metric_named
from retrain_ops.stats.sequential import CanaryRules, judge_canary, log_mixture, mixture_bound

# cell = 4 y + 2 previous + canary
EQUAL = [600, 11, 11, 60, 40, 11, 11, 156]
WORSE = [600, 11, 11, 60, 40, 2, 60, 116]  # dF1 about -.17, on every day alike
RUINED = [700, 0, 60, 11, 40, 0, 150, 17]  # the canary finds almost nothing


def days(day, n, noise=1):
    table = np.array([day] * n, np.int64).reshape(-1, 8)
    table[::2, 4] += noise
    return table


@pytest.mark.parametrize(
    ("n", "action", "reason"),
    [
        (0, "continue", "too_few_days"),
        (6, "continue", "too_few_days"),
        (7, "keep", "no_harm_shown"),
    ],
)
def test_a_harmless_canary_is_kept_after_seven_days(n, action, reason):
    verdict = judge_canary(days(EQUAL, n))
    assert (verdict.action, verdict.reason) == (action, reason)


def test_keeping_needs_labelled_rows_as_well():
    few = days([40, 1, 1, 4, 3, 1, 1, 9], 7)
    assert judge_canary(few).reason == "too_few_labelled"
    assert judge_canary(np.concatenate([few, few])).action == "keep"


def test_shown_harm_rolls_back_and_not_before_five_days():
    assert judge_canary(days(WORSE, 4)).action == "continue"
    verdict = judge_canary(days(WORSE, 5))
    assert (verdict.action, verdict.reason) == ("rollback", "harm_shown")
    assert verdict.numbers["breach_bound"] < -0.10
    assert verdict.numbers["breach_day"] == 4


def test_a_late_watcher_finds_the_breach_of_an_earlier_day():
    late = np.concatenate([days(WORSE, 6), days(EQUAL, 30)])
    verdict = judge_canary(late)
    assert (verdict.action, verdict.numbers["breach_day"]) == ("rollback", 4)


def test_gross_harm_rolls_back_after_one_day():
    verdict = judge_canary(days(RUINED, 1))
    assert (verdict.action, verdict.reason) == ("rollback", "gross_harm")
    assert verdict.numbers["breach_bound"] < -0.20


def test_gross_harm_needs_rows_and_disagreement():
    one_positive = [[150, 0, 0, 0, 0, 0, 1, 0]]  # F1 falls from 1 to 0 by one row
    assert judge_canary(one_positive).action == "continue"
    small = [[c // 12 for c in RUINED]]
    assert sum(small[0]) < 100
    assert judge_canary(small).action == "continue"


def test_days_without_labels_extend_it_until_it_expires():
    table = np.zeros((20, 8), np.int64)
    table[:3] = EQUAL
    assert judge_canary(table).action == "continue"
    verdict = judge_canary(table, days_elapsed=21)
    assert (verdict.action, verdict.reason) == ("expire", "expired")
    assert verdict.numbers["on_expiry"] == "rollback"


def test_no_positive_and_no_prediction_is_not_kept():
    table = np.zeros((8, 8), np.int64)
    table[:, 0] = 100
    assert judge_canary(table).reason == "undefined"


def test_verdicts_are_plain_json():
    plain = judge_canary(days(WORSE, 5)).to_json()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    json.dumps(judge_canary(np.zeros((0, 8), np.int64)).to_json(), allow_nan=False)


def test_malformed_counts_and_rules_are_refused():
    with pytest.raises(DataError):
        judge_canary(np.ones((3, 7), np.int64))
    with pytest.raises(ValueError, match=r"^max_days: "):
        CanaryRules(max_days=3)
    with pytest.raises(ValueError, match=r"^share: "):
        CanaryRules(share=0.0)


def test_the_bound_lies_on_the_boundary():
    for v in (0.5, 1, 7, 100, 1e6):
        assert log_mixture(mixture_bound(v, 0.05, 3.0), v, 3.0) == pytest.approx(math.log(20))


def test_a_drop_at_the_limit_is_rarely_called_larger_however_often_looked_at():
    """21 daily looks, days that share their luck, a true difference of -.1188."""
    rng = np.random.default_rng(11)
    rules = CanaryRules(max_f1_drop=0.1188)
    runs, rolled_back = 200, 0
    for _ in range(runs):
        lost = 45 * np.exp(rng.normal(0, 0.2, 21))
        table = [rng.poisson([600, 11, 11, 60, 40, 8, x, 116]) for x in lost]
        rolled_back += judge_canary(table, rules).reason == "harm_shown"
    assert rolled_back / runs < 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


def test_harm_is_looked_for_in_the_metric_of_the_gate():
    """A canary that decides 1 far more often: precision falls, recall rises."""
    eager = days([600, 120, 0, 60, 20, 60, 0, 120], 5)
    assert judge_canary(eager, metric=metric_named("recall")).action == "continue"
    verdict = judge_canary(eager, metric=metric_named("precision"))
    assert verdict.reason == "harm_shown"
    numbers = verdict.to_json()["numbers"]
    assert numbers["metric"] == "precision"
    assert numbers["score_previous"] == pytest.approx(120 / 180)
    assert numbers["score_canary"] == pytest.approx(180 / 360)
    assert "metric" not in judge_canary(eager).numbers


@pytest.mark.parametrize("name", ["roc_auc", "log_loss"])
@pytest.mark.parametrize("harmful", [False, True])
def test_harm_in_scores_is_looked_for_in_every_prefix_of_days(name, harmful):
    rng, metric = np.random.default_rng(4), metric_named(name)
    cells = np.array([[600, 20, 20, 60, 40, 20, 20, 120]] * 8) + np.arange(8)[:, None]
    rows = scored(rng, cells)
    if harmful:
        old, new = rows.scores
        rows = replace(rows, scores=(old, rng.permutation(new)))
    verdict = judge_canary(
        cells,
        CanaryRules(gross_drop=0.9),
        metric=metric,
        part=lambda first, end: rows.between(first, end).judged_by(metric),
    )
    assert verdict.reason == ("harm_shown" if harmful else "no_harm_shown")
    if harmful:
        shown = rows.between(0, int(verdict.numbers["breach_day"]) + 1)
        assert shown.n_days == 5
        again = judge_canary(
            cells[:5],
            CanaryRules(gross_drop=0.9),
            metric=metric,
            part=lambda first, end: shown.between(first, end).judged_by(metric),
        )
        assert again.numbers["upper_bound"] == verdict.numbers["breach_bound"]
