"""What the gates promise, on counts small enough to follow."""

import itertools
import json
import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from retrain_ops.errors import DataError
from retrain_ops.stats.cells import day_cells
from retrain_ops.stats.gate_rules import GateRules
from retrain_ops.stats.gates import judge
from retrain_ops.stats.paired import compare

# A day's cells: index 4 y + 2 champion + challenger. On GOOD the challenger
# finds 20 positives that the champion misses, and loses 2.
GOOD = [600, 10, 12, 60, 40, 20, 2, 156]
EQUAL = [600, 11, 11, 60, 40, 11, 11, 156]
BAD = [600, 12, 10, 60, 40, 2, 20, 156]


def week(day, jitter=1):
    """Seven days that differ a little, so that days have a spread."""
    days = np.array([day] * 7, np.int64)
    days[::2, 4] += jitter
    days[::3, 5] += jitter
    return days


def whole(days, **columns):
    return {"": {"": days}, **columns}


PAIRED = GateRules()
LITERAL = GateRules(mode="literal")
SLICED = GateRules(protected=("origin",))
WATCHED = GateRules(watched=("carrier",))


def test_a_better_challenger_passes():
    report = judge(whole(week(GOOD)), PAIRED)
    assert (report.verdict, report.reason, report.literal) == ("pass", "better", True)
    assert report.lower_bound > 0
    assert report.days == 7


def test_a_worse_challenger_is_not_better():
    report = judge(whole(week(BAD)), PAIRED)
    assert (report.verdict, report.reason, report.literal) == ("fail", "not_better", False)


def test_a_gain_that_days_do_not_agree_on_is_not_proven():
    days = np.array([GOOD, BAD, GOOD, GOOD, BAD, GOOD, GOOD], np.int64)
    report = judge(whole(days), PAIRED)
    assert report.literal is True
    assert (report.verdict, report.reason) == ("fail", "not_proven")
    assert judge(whole(days), LITERAL).verdict == "pass"
    # By rows alone the same counts would have been taken for proof.
    by_rows = judge(whole(days), replace(PAIRED, resample_unit="row"))
    assert by_rows.standard_error < report.standard_error


def test_the_literal_rule_is_exact_at_its_edge():
    """F1 200/400 against 202/400: better by .005 and not a bit more."""
    cells = np.array([[500, 0, 1, 99, 99, 1, 0, 100]], np.int64)
    report = judge(whole(cells), LITERAL)
    assert report.f1_challenger - report.f1_champion == Fraction(1, 200)
    assert (report.verdict, report.reason) == ("fail", "not_better")
    below = replace(LITERAL, min_improvement=Fraction(1, 200) - Fraction(1, 10**30))
    assert judge(whole(cells), below).verdict == "pass"


def test_a_float_improvement_is_read_as_the_decimal_it_was_written_as():
    assert GateRules(min_improvement=0.005).min_improvement == Fraction(1, 200)


def test_fewer_than_five_days_are_undecided():
    days = week(GOOD)
    days[4:] = 0
    report = judge(whole(days), PAIRED)
    assert (report.verdict, report.reason, report.days) == ("undecided", "too_few_days", 4)
    days[4] = GOOD
    assert judge(whole(days), PAIRED).verdict == "pass"


@pytest.mark.parametrize("mode", ["paired", "literal"])
def test_no_positive_and_no_prediction_is_undefined(mode):
    days = np.zeros((7, 8), np.int64)
    days[:, 0] = 100
    report = judge(whole(days), GateRules(mode=mode))
    assert (report.verdict, report.reason, report.literal) == ("undecided", "undefined", None)
    assert report.f1_champion is None
    assert judge(whole(days[:0]), GateRules(mode=mode)).reason == "undefined"


def test_models_that_never_disagree_prove_nothing():
    days = np.zeros((7, 8), np.int64)
    days[:, [0, 3, 4, 7]] = 500
    rules = GateRules(protected=("origin",), min_improvement=Fraction(0), min_discordant=0)
    report = judge(whole(days, origin={"EWR": days}), rules)
    assert report.verdict == "fail"
    assert report.slices[0].verdict == "undecided"
    assert report.slices[0].reason == "too_few_discordant"


def split(days, parts):
    """`days` as the sum of slices: the named parts, and what is left."""
    rest = days - sum(parts.values())
    assert (rest >= 0).all()
    return {**parts, "rest": rest}


def test_a_protected_slice_must_be_shown_not_to_be_worse():
    good, bad = week(GOOD), week(BAD)
    cells = whole(4 * good + bad, origin={"EWR": 4 * good, "LGA": bad})
    report = judge(cells, SLICED)
    assert (report.verdict, report.reason) == ("fail", "protected_regression")
    assert {s.level: s.verdict for s in report.slices} == {"EWR": "pass", "LGA": "fail"}
    assert report.slices[1].lower_bound <= -0.05
    assert judge(cells, PAIRED).verdict == "pass"


@pytest.mark.parametrize(
    ("rule", "verdict", "warned", "human"),
    [
        ("block", "undecided", 0, False),
        ("allow_with_warning", "pass", 1, False),
        ("human", "undecided", 0, True),
    ],
)
def test_a_protected_slice_too_small_to_judge(rule, verdict, warned, human):
    tiny = week([5, 0, 0, 1, 1, 0, 0, 1], jitter=0)
    cells = whole(week(GOOD), origin=split(week(GOOD), {"LGA": tiny}))
    report = judge(cells, replace(SLICED, undecided_protected=rule))
    assert report.verdict == verdict
    assert report.slices[0].reason == "too_few_rows"
    assert len(report.warnings) == warned
    assert report.needs_human is human


def test_a_vanished_slice_is_undecided_never_passed():
    cells = whole(week(GOOD), origin={"EWR": week(GOOD)})
    report = judge(cells, SLICED, expected_levels={"origin": ["EWR", "JFK"]})
    assert (report.verdict, report.reason) == ("undecided", "protected_undecided")
    assert [(s.level, s.reason) for s in report.slices] == [("EWR", ""), ("JFK", "vanished")]


@pytest.mark.parametrize(
    ("minimum", "reason"),
    [("min_rows", "rows"), ("min_positives", "positives"), ("min_discordant", "discordant")],
)
def test_each_minimum_decides_whether_a_slice_is_judged(minimum, reason):
    days = week(GOOD)
    cells = whole(days, origin={"EWR": days})
    total = days.sum(axis=0)
    have = {
        "rows": total.sum(),
        "positives": total[4:].sum(),
        "discordant": total[[1, 2, 5, 6]].sum(),
    }
    at = replace(SLICED, **{minimum: int(have[reason])})
    assert judge(cells, at).verdict == "pass"
    above = replace(SLICED, **{minimum: int(have[reason]) + 1})
    assert judge(cells, above).slices[0].reason == f"too_few_{reason}"


def test_a_watched_slice_vetoes_only_on_a_proven_regression():
    good, equal, bad = week(GOOD), week(EQUAL), week(BAD)
    cells = whole(5 * good + bad, carrier={"DL": 5 * good, "UA": bad})
    report = judge(cells, WATCHED)
    assert (report.verdict, report.reason) == ("fail", "watched_regression")
    worst = report.slices[1]
    assert worst.p_adjusted == pytest.approx(2 * worst.p_value)
    assert worst.p_adjusted < 0.05
    cells = whole(5 * good + equal, carrier={"DL": 5 * good, "UA": equal})
    assert judge(cells, WATCHED).verdict == "pass"


def test_a_watched_slice_too_small_is_undecided_and_does_not_block():
    tiny = week([5, 0, 0, 1, 1, 0, 1, 1], jitter=0)
    cells = whole(week(GOOD), carrier=split(week(GOOD), {"HA": tiny}))
    report = judge(cells, WATCHED)
    assert report.verdict == "pass"
    assert report.slices[0].verdict == "undecided"
    assert report.slices[0].p_adjusted is None


def test_holm_spares_one_unlucky_slice_among_many():
    """p of about .02 vetoes alone and not among ten."""
    good = week(GOOD)
    unlucky = np.array([EQUAL] * 7, np.int64)
    unlucky[:, 6] += [9, 7, 8, 5, 9, 5, 5]
    alone = judge(whole(9 * good + unlucky, c={"u": unlucky, "g": 9 * good}), with_watch())
    p = next(s for s in alone.slices if s.level == "u").p_value
    assert 0.005 < p < 0.025
    assert alone.reason == "watched_regression"
    many = {f"g{i}": good for i in range(9)}
    among = judge(whole(9 * good + unlucky, c={"u": unlucky, **many}), with_watch())
    assert among.verdict == "pass"


def with_watch():
    return GateRules(watched=("c",))


def test_mode_literal_is_the_bare_rule_and_reports_slices():
    bad = week(BAD)
    cells = whole(5 * week(GOOD) + bad, origin={"EWR": 5 * week(GOOD), "LGA": bad})
    report = judge(cells, replace(LITERAL, protected=("origin",)))
    assert (report.verdict, report.reason) == ("pass", "better")
    assert report.slices[1].verdict == "fail"
    assert judge(whole(week(GOOD)[:1]), LITERAL).verdict == "pass"


def test_a_column_that_loses_rows_is_refused():
    days = week(GOOD)
    with pytest.raises(DataError, match=r"origin.*every row"):
        judge(whole(days, origin={"EWR": days[:-1]}), PAIRED)
    with pytest.raises(DataError, match="'origin'"):
        judge(whole(days), SLICED)
    with pytest.raises(DataError, match="negative"):
        judge(whole(-days), PAIRED)
    with pytest.raises(DataError, match="shape"):
        judge(whole(days[:, :7]), PAIRED)
    with pytest.raises(DataError, match="whole numbers"):
        judge(whole(days + 0.5), PAIRED)


@pytest.mark.parametrize(
    "wrong",
    [
        {"confidence": 1.0},
        {"slice_margin": 0.0},
        {"min_days": 1},
        {"min_rows": -1},
        {"watched_alpha": 0.7},
        {"min_improvement": Fraction(-1, 100)},
    ],
)
def test_impossible_rules_are_refused_by_name(wrong):
    with pytest.raises(ValueError, match=f"^{next(iter(wrong))}: "):
        GateRules(**wrong)


def test_the_report_is_plain_json_and_replays_from_stored_counts():
    days = week(GOOD)
    cells = whole(days, origin={"EWR": days})
    first = json.dumps(judge(cells, SLICED).to_json(), sort_keys=True, allow_nan=False)
    stored = json.loads(
        json.dumps({c: {k: v.tolist() for k, v in b.items()} for c, b in cells.items()})
    )
    again = json.dumps(judge(stored, SLICED).to_json(), sort_keys=True, allow_nan=False)
    assert first == again
    plain = json.loads(first)
    assert plain["rules"]["min_improvement"] == "1/200"
    assert Fraction(plain["f1_champion_exact"]) == judge(cells, SLICED).f1_champion
    assert plain["difference"] == float(f"{plain['difference']:.9g}")


def test_the_order_of_slices_does_not_show():
    days = week(GOOD)
    levels = {"b": 2 * days, "a": days, "c": days}
    reports = {
        json.dumps(judge(whole(4 * days, z=dict(order), y=dict(order)), PAIRED).to_json())
        for order in itertools.permutations(levels.items())
    }
    assert len(reports) == 1


def slow_errors(days):
    """Row and day standard errors from one row at a time, in floats."""
    rows = [
        (d, cell >> 2, cell >> 1 & 1, cell & 1)
        for d, day in enumerate(days)
        for cell, count in enumerate(day)
        for _ in range(count)
    ]
    n = len(rows)

    def phi(said):
        t = 2 * sum(r[1] * r[said] for r in rows)
        mean = sum(r[1] + r[said] for r in rows) / n
        f1 = t / (mean * n)
        return [(2 * r[1] * r[said] - f1 * (r[1] + r[said])) / mean for r in rows]

    w = [c - m for c, m in zip(phi(3), phi(2), strict=True)]
    filled = sorted({r[0] for r in rows})
    u = [sum(x for x, r in zip(w, rows, strict=True) if r[0] == d) for d in filled]
    g = len(filled)
    return (
        math.sqrt(sum(x * x for x in w)) / n,
        math.sqrt(g / (g - 1) * sum(x * x for x in u)) / n,
    )


def test_errors_follow_the_formula_row_by_row():
    rng = np.random.default_rng(4)
    for _ in range(20):
        days = rng.poisson([30, 2, 3, 6, 5, 4, 3, 9], (6, 8))
        days[2] = 0
        paired = compare(day_cells(days))
        assert (paired.row_error, paired.day_error) == pytest.approx(slow_errors(days.tolist()))


def test_swapping_the_models_by_day_passes_about_one_run_in_twenty():
    """Type I error of the paired gate on days that share their luck, seeded.

    Champion and challenger swap names at random by day, so neither is better;
    each day has an effect of its own on all its rows. The literal rule is held
    beside it: it promotes such noise about a third of the time.
    """
    rng = np.random.default_rng(7)
    runs, passed, literal = 1500, 0, 0
    for _ in range(runs):
        luck = rng.normal(0, 0.35, 7)
        days = np.empty((7, 8), np.int64)
        for d in range(7):
            gain = 15 * math.exp(luck[d])
            days[d] = rng.poisson([600, 22, 22, 60, 40, gain, 15, 150])
            if rng.random() < 0.5:
                days[d] = days[d][[0, 2, 1, 3, 4, 6, 5, 7]]
        report = judge(whole(days), PAIRED)
        passed += report.verdict == "pass"
        literal += bool(report.literal)
    error = math.sqrt(0.05 * 0.95 / runs)
    assert 0.02 < passed / runs < 0.05 + 3 * error
    assert literal / runs > 0.15
