"""A metric of one's own: the same verdicts as ours by the same formula, and mistakes named."""

import math
import sys
from dataclasses import replace
from fractions import Fraction
from types import ModuleType

import numpy as np
import pytest

from devtools.amount_peers import named, random_rows
from devtools.decisions import random_cells, scored
from retrain_ops.errors import DataError
from retrain_ops.stats import GateRules, RowMetric
from retrain_ops.stats.metrics import metric_named, metric_of_record
from retrain_ops.stats.metrics.own import own_metric
from retrain_ops.stats.paired import compare

ABSOLUTE = RowMetric(
    title="mean distance",
    better="less",
    values=lambda label, score: np.abs(label - score),
    unit="minutes",
    problem="regression",
)
ROOT = replace(
    ABSOLUTE,
    values=lambda label, score: (label - score) ** 2,
    score=lambda value, base: math.sqrt(value / base),
    slope=lambda value, base: 1 / (2 * math.sqrt(value / base) * base),
)
SQUARED = RowMetric(
    title="squared gap", better="less", values=lambda label, score: (label - score) ** 2
)
WEIGHTED = replace(SQUARED, base=lambda label: 1 + 3 * label)


@pytest.fixture(autouse=True)
def module(monkeypatch):
    """A module with a metric under the name that each test gives it."""
    made = ModuleType("team_metrics")
    monkeypatch.setitem(sys.modules, "team_metrics", made)
    own_metric.cache_clear()
    metric_named.cache_clear()
    return made


def loaded(module, found):
    module.found = found
    own_metric.cache_clear()
    metric_named.cache_clear()
    return metric_named("team_metrics:found")


@pytest.mark.parametrize(("own", "ours"), [(ABSOLUTE, "mae"), (ROOT, "rmse")])
def test_it_judges_amounts_as_ours_does(own, ours, module):
    rows = random_rows(np.random.default_rng(2), 9, 60)
    metric = loaded(module, own)
    found, wanted = (compare(rows.judged_by(m), m) for m in (metric, named(ours)))
    for name in ("score_champion", "score_challenger", "difference", "row_error", "day_error"):
        assert float(getattr(found, name)) == pytest.approx(float(getattr(wanted, name)), rel=1e-9)
    assert (found.rows, found.days, found.discordant) == (wanted.rows, wanted.days, 540)


def test_it_judges_scores_as_ours_does(module):
    rng = np.random.default_rng(3)
    rows = scored(rng, random_cells(rng, 6))
    metric = loaded(module, SQUARED)
    found, wanted = (compare(rows.judged_by(m), m) for m in (metric, metric_named("brier")))
    assert float(found.difference) == pytest.approx(float(wanted.difference), abs=1e-12)
    assert found.day_error == pytest.approx(wanted.day_error, rel=1e-9)
    assert found.f1_champion == wanted.f1_champion
    weighted = loaded(module, WEIGHTED)
    again = compare(rows.judged_by(weighted), weighted)
    assert float(again.score_champion) < float(found.score_champion)


def test_rules_and_records_name_it(module):
    module.found = ABSOLUTE
    rules = GateRules(metric="team_metrics:found", min_improvement=2)
    assert (rules.problem, rules.scored_by.unit) == ("regression", "minutes")
    assert rules.to_json()["metric"] == "team_metrics:found"
    assert metric_of_record({"name": "team_metrics:found"}).title == "mean distance"


@pytest.mark.parametrize(
    ("own", "problem"),
    [
        (replace(SQUARED, better="higher"), "better must be one of more, less"),
        (replace(SQUARED, problem="ranking"), "problem must be one of binary, regression"),
        (lambda label, score: 0, "is a function, it must be a RowMetric"),
        (replace(SQUARED, values=lambda label, score: 1.0), r"values gives float64 of shape \(\)"),
        (replace(SQUARED, values=lambda label: label), "values raised TypeError.*five rows"),
        (replace(SQUARED, values=lambda label, score: score / label), r"values\[0\] is inf"),
        (replace(SQUARED, base=lambda label: label - 1), r"base\[0\] is below 0"),
        (replace(SQUARED, base=lambda label: 0 * label), "sums to nothing"),
        (replace(SQUARED, score=lambda value, base: value), "of twice the same: it must depend"),
        (replace(SQUARED, score=lambda value, base: "good"), "score gives 'good'"),
        (replace(SQUARED, slope=lambda value, base: 2 / base), "must be the score's derivative"),
    ],
)
def test_what_is_no_metric_is_refused(own, problem, module):
    module.found = own
    with pytest.raises(ValueError, match=problem), np.errstate(divide="ignore"):
        GateRules(metric="team_metrics:found")


def test_what_cannot_be_loaded_is_refused(module):
    with pytest.raises(ValueError, match="team_metrics:missing cannot be loaded"):
        GateRules(metric="team_metrics:missing")
    with pytest.raises(ValueError, match=r"must be one of 'f1'.* or .package.module:object"):
        GateRules(metric="auc")
    with pytest.raises(DataError, match="judged by a metric: no_such_module:x cannot be loaded"):
        metric_of_record({"name": "no_such_module:x"})


def test_a_row_without_a_value_is_named(module):
    """On the hold-out too, where the five rows of the check said nothing."""
    metric = loaded(module, replace(ABSOLUTE, values=lambda label, score: np.log(2 + label)))
    rows = random_rows(np.random.default_rng(2), 3, 20)
    rows = replace(rows, target=np.where(rows.day == 2, -2.0, rows.target))
    with pytest.raises(DataError, match=r"values\[40\] is -inf"), np.errstate(divide="ignore"):
        rows.judged_by(metric)


@pytest.mark.parametrize("function", ["values", "base", "score", "slope"])
def test_a_function_that_raises_on_real_rows_is_named_with_its_line(function, module):
    def raises(*arguments):
        if len(np.atleast_1d(arguments[0])) > 5 or isinstance(arguments[0], Fraction):
            return {}["rows"]
        return getattr(SQUARED, function)(*arguments)

    good = loaded(module, SQUARED)
    metric = replace(good, row_metric=replace(SQUARED, **{function: raises}))
    rng = np.random.default_rng(3)
    rows = scored(rng, random_cells(rng, 6))
    with pytest.raises(DataError, match=rf"found: {function} raised KeyError.*test_own_metric.py"):
        compare(rows.judged_by(metric), metric)


def test_a_function_may_not_write_into_the_rows(module):
    def values(label, score):
        score[:] = 0.5
        return score

    with pytest.raises(ValueError, match=r"values raised ValueError: .*read-only"):
        loaded(module, replace(SQUARED, values=values))


def test_a_module_that_cannot_be_imported_is_named_with_its_line(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, code in (("bad_name", "\nundefined\n"), ("bad_syntax", "def (\n")):
        (tmp_path / f"{name}.py").write_text(code)
        with pytest.raises(ValueError, match=rf"{name}:x cannot be loaded: \w+Error.*{name}.py"):
            GateRules(metric=f"{name}:x")


def test_a_mean_is_exact(module):
    metric = loaded(module, replace(ABSOLUTE, values=lambda label, score: score))
    assert metric.score((3 << 128, 4 << 128)) == Fraction(3, 4)
    assert metric.score((0, 0)) is None
