import json
from dataclasses import replace

import numpy as np
import pytest

from retrain_ops import _core
from retrain_ops.errors import DataError
from retrain_ops.stats.shadow import ShadowRules, judge_shadow

RNG = np.random.default_rng(5)
CHAMPION = RNG.random(1000)
HONEST = np.clip(CHAMPION + RNG.normal(0, 0.1, 1000), 0, 1)
FAST = {"champion_p99_ms": 10.0, "challenger_p99_ms": 20.0}


def counts(challenger=HONEST, champion=CHAMPION, threshold=0.5):
    return _core.shadow_counts(champion, challenger, 0.5, threshold)


def changed(i, value):
    scores = HONEST.copy()
    scores[i] = value
    return scores


def test_an_honest_challenger_passes_without_a_warning():
    verdict = judge_shadow(counts(), **FAST)
    assert (verdict.verdict, verdict.reasons, verdict.warnings) == ("pass", (), ())


@pytest.mark.parametrize(
    ("made", "given", "reason"),
    [
        (counts(changed(3, np.nan)), {}, "bad_scores"),
        (counts(changed(3, 1.0001)), {}, "bad_scores"),
        (counts(np.full(1000, 0.25)), {}, "constant_score"),
        (counts(), {"coverage": 0.9899}, "coverage"),
        (counts(), {"error_rate": 0.0011}, "errors"),
        (counts(), {"champion_p99_ms": 10.0, "challenger_p99_ms": 20.01}, "latency"),
        (counts(1 - CHAMPION), {}, "flips"),
        (counts(threshold=0.05), {}, "positive_rate"),
    ],
)
def test_each_rule_fails_by_name(made, given, reason):
    verdict = judge_shadow(made, **(FAST | given))
    assert verdict.verdict == "fail"
    assert reason in verdict.reasons


def test_values_at_their_bounds_pass():
    assert judge_shadow(counts(), coverage=0.99, error_rate=0.001, **FAST).verdict == "pass"


def test_too_few_rows_are_undecided():
    few = _core.shadow_counts(CHAMPION[:299], 1 - CHAMPION[:299], 0.5, 0.5)
    verdict = judge_shadow(few)
    assert (verdict.verdict, verdict.reasons) == ("undecided", ("too_few_rows",))
    enough = _core.shadow_counts(CHAMPION[:300], HONEST[:300], 0.5, 0.5)
    assert judge_shadow(enough).verdict == "pass"


def test_nonsense_fails_however_few_the_rows():
    assert judge_shadow(_core.shadow_counts([0.5], [np.inf], 0.5, 0.5)).verdict == "fail"


def test_no_rows_at_all_are_undecided_and_plain_json():
    verdict = judge_shadow(_core.shadow_counts([], [], 0.5, 0.5))
    assert verdict.verdict == "undecided"
    json.dumps(verdict.to_json(), allow_nan=False)
    assert verdict.numbers["flip_rate"] is None


def test_warnings_do_not_fail():
    noisy = np.clip(CHAMPION + RNG.normal(0, 0.9, 1000), 0, 1)
    verdict = judge_shadow(counts(noisy))
    assert verdict.verdict == "pass"
    assert verdict.warnings == ("flips", "score_psi", "latency_not_measured")
    champion = CHAMPION.copy()
    champion[0] = np.nan
    assert "champion_bad_scores" in judge_shadow(counts(champion=champion)).warnings


def test_rules_change_the_verdict():
    rules = ShadowRules()
    rate = judge_shadow(counts()).numbers["flip_rate"]
    assert judge_shadow(counts(), replace(rules, max_flips=rate)).verdict == "pass"
    assert judge_shadow(counts(), replace(rules, max_flips=rate - 1e-9)).verdict == "fail"


def test_what_is_missing_or_impossible_is_refused():
    with pytest.raises(DataError, match="compared"):
        judge_shadow({"score_counts": [[0], [0]], "rows": 3})
    with pytest.raises(DataError, match="coverage"):
        judge_shadow(counts(), coverage=1.2)
    with pytest.raises(ValueError, match=r"^max_flips: "):
        ShadowRules(max_flips=1.5)
