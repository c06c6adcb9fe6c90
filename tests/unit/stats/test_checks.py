"""The limits beside the gates: off by default, recorded when on, each with what it would take."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from devtools.decisions import random_cells, spec
from retrain_ops.decisions.curves import BINS, curve
from retrain_ops.errors import DataError
from retrain_ops.stats.checks import calibration_error
from retrain_ops.stats.gate_rules import GateRules, rules_of_record
from retrain_ops.stats.gates import judge

RULES = GateRules()
GOOD = {"": {"": random_cells(np.random.default_rng(3), 7, gain=0.8)}}
NEWER = {"promoted_at": "2020-01-30T02:00:00Z", "instant": "2020-02-06T02:00:00Z"}
FACTS = {
    "cooldown": NEWER,
    "label_coverage": {"labelled": 6300, "requests": 7000},
    "model_size": {"bytes": 40_000},
    "calibration": {"count": [10, 10], "positives": [1, 9], "score_sum": [2 << 30, 8 << 30]},
    "forgetting": {
        "2019-11": {"change": -0.04, "judged": True},
        "2019-12": {"change": 0.02, "judged": True},
        "2020-01": {"change": -0.3, "judged": False},
        "2020-02": {"change": None, "judged": True},
    },
}


def judged(**limits):
    return judge(GOOD, replace(RULES, **limits), facts=FACTS)


def test_without_limits_the_record_has_no_trace_of_them():
    record = judged().to_json()
    assert "checks" not in record
    assert "cooldown_days" not in record["rules"]
    assert judged().verdict == "pass"


@pytest.mark.parametrize(
    ("limits", "verdict", "name", "needed", "unit"),
    [
        ({"cooldown_days": 8}, "fail", "cooldown", 1, "days"),
        ({"cooldown_days": 7}, "pass", "cooldown", None, None),
        ({"min_holdout_rows": 6400}, "undecided", "holdout_rows", 100, "rows"),
        ({"min_holdout_rows": 6300}, "pass", "holdout_rows", None, None),
        ({"min_label_coverage": 0.95}, "undecided", "label_coverage", 350, "rows"),
        ({"min_label_coverage": 0.9}, "pass", "label_coverage", None, None),
        ({"min_label_coverage": 0.94}, "undecided", "label_coverage", 280, "rows"),
        ({"max_model_bytes": 39_999}, "fail", "model_size", None, None),
        ({"max_model_bytes": 40_000}, "pass", "model_size", None, None),
        ({"max_calibration_error": 0.05}, "fail", "calibration", None, None),
        ({"max_calibration_error": 0.1}, "pass", "calibration", None, None),
        ({"max_forgetting": 0.03}, "fail", "forgetting", None, None),
        ({"max_forgetting": 0.04}, "pass", "forgetting", None, None),
    ],
)
def test_a_limit_stops_a_challenger_that_would_pass(limits, verdict, name, needed, unit):
    report = judged(**limits)
    (check,) = report.checks
    assert (check.name, check.verdict, check.needed, check.unit) == (name, verdict, needed, unit)
    assert report.verdict == verdict
    assert report.reason == ("better" if verdict == "pass" else name)
    assert report.literal is True


def test_a_limit_without_evidence_is_undecided_and_never_a_pass():
    on = replace(RULES, max_model_bytes=1, max_calibration_error=0.5, min_label_coverage=0.5)
    report = judge(GOOD, on)
    assert {c.verdict for c in report.checks} == {"undecided"}
    assert report.verdict == "undecided"


def test_where_no_season_is_known_nothing_is_forgotten():
    report = judge(GOOD, replace(RULES, max_forgetting=0.01))
    assert [(check.verdict, check.value) for check in report.checks] == [("pass", None)]


def test_nobody_was_ever_promoted_so_nothing_cools_down():
    report = judge(GOOD, replace(RULES, cooldown_days=9), facts={"cooldown": {"promoted_at": None}})
    assert report.verdict == "pass"


def test_a_failed_limit_outranks_a_missing_one_and_neither_saves_a_worse_model():
    assert judged(min_holdout_rows=9999, max_model_bytes=1).reason == "model_size"
    worse = {"": {"": GOOD[""][""][:, [0, 2, 1, 3, 4, 6, 5, 7]]}}
    assert judge(worse, replace(RULES, max_model_bytes=1), facts=FACTS).reason == "not_better"


def test_limits_hold_for_the_literal_rule_too():
    assert judged(mode="literal", cooldown_days=30).reason == "cooldown"


def test_calibration_error_is_zero_when_scores_say_what_happens():
    assert calibration_error([4, 6], [1, 3], [1 << 30, 3 << 30]) == 0
    assert calibration_error([], [], []) is None
    assert calibration_error([4], [4], [1 << 30]) == pytest.approx(0.75)


def test_score_counts_are_exact_for_any_order_of_rows():
    rng = np.random.default_rng(0)
    scores = np.concatenate([rng.random(5000), [0.0, 1.0, 1.0]])
    label = (rng.random(5003) < scores).astype(np.uint8)
    counted = curve(label, scores)
    order = rng.permutation(5003)
    assert curve(label[order], scores[order]) == counted
    assert sum(counted["count"]) == 5003
    assert sum(counted["positives"]) == label.sum()
    assert len(counted["count"]) == BINS
    assert sum(counted["score_sum"]) / 2**30 == pytest.approx(scores.sum(), abs=5003 * 2**-31)


def test_scores_that_are_no_probabilities_have_no_curve():
    assert curve(np.zeros(2, np.uint8), np.array([0.1, np.nan])) is None
    assert curve(np.zeros(2, np.uint8), np.array([0.1, 1.5])) is None
    assert curve(np.zeros(0, np.uint8), None) is None


def test_rules_survive_the_record_and_a_spec_that_uses_none_keeps_its_hash():
    rules = replace(RULES, cooldown_days=7, protected=("c",), min_improvement=Fraction(1, 300))
    assert rules_of_record(rules.to_json()) == rules
    assert rules_of_record(RULES.to_json()) == RULES
    plain = spec()
    assert plain.sha256() == replace(plain, gate=replace(plain.gate, max_model_bytes=0)).sha256()
    assert plain.sha256() != replace(plain, gate=replace(plain.gate, max_model_bytes=9)).sha256()
    with pytest.raises(DataError, match="rules in the record"):
        rules_of_record({"mode": "paired"})
    with pytest.raises(ValueError, match="max_model_bytes"):
        replace(RULES, max_model_bytes=-1)


def test_a_share_that_is_met_exactly_lacks_no_row():
    """7 % of 100 rows are 7 rows; as doubles they are a little more."""
    facts = {**FACTS, "label_coverage": {"labelled": 3, "requests": 100}}
    (check,) = judge(GOOD, replace(RULES, min_label_coverage=0.07), facts=facts).checks
    assert check.needed == 4
