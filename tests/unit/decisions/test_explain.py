"""`explain` says in words what a decision is, why, and what it would take."""

from dataclasses import replace

import numpy as np
import pytest

from devtools.decisions import decision, random_cells
from retrain_ops.decisions.explain import explain
from retrain_ops.stats.gate_rules import GateRules
from tests.unit.decisions.test_replay import random_decision

RULES = GateRules()
GOOD = random_cells(np.random.default_rng(3), 7, gain=1)
NOISY = GOOD.copy()
NOISY[1::2] = NOISY[1::2][:, [0, 2, 1, 3, 4, 6, 5, 7]]  # every other day the models swap


def explained(cells, rules=RULES, **options):
    text = explain(decision(cells, rules, **options))
    return " ".join(text.split())


def whole(cells, **columns):
    return {"": {"": cells}, **columns}


def test_a_pass_says_by_how_much_and_how_sure():
    text = explained(whole(GOOD))
    assert "The challenger passed and goes into shadow" in text
    assert "with 95% confidence, days as the unit, it is at least +0." in text
    assert "would have promoted it: the same as was decided" in text
    assert "What it would take" not in text


def test_a_source_with_versions_is_named():
    found = decision(whole(GOOD), RULES)
    assert "source" not in explain(found)
    found["source"] = {"kind": "delta", "rows": 1200, "sha256": "0" * 64, "version": "12"}
    assert explain(found).endswith("source    delta, version 12: 1,200 rows read\n")


def test_not_proven_says_how_many_days_would_prove_it():
    text = explained(whole(NOISY))
    assert "exceeds the bar, but it is not proven" in text
    assert "would have promoted it: not the same as was decided" in text
    assert "hold-out days (" in text
    assert "instead of 7" in text


def test_a_slice_that_cannot_be_judged_says_rows_and_days():
    small = np.zeros_like(GOOD)
    small[:, :] = GOOD // 20
    cells = whole(GOOD, p={"big": GOOD - small, "small": small})
    text = explained(cells, replace(RULES, protected=("p",), min_rows=1000))
    assert "Protected slice p = small cannot be judged: too few rows." in text
    assert "p = small:" in text
    assert "more rows, about" in text


def test_a_vanished_protected_slice_is_named():
    cells = whole(GOOD, p={"here": GOOD})
    rules = replace(RULES, protected=("p",))
    text = explained(cells, rules, expected_levels={"p": ["gone", "here"]})
    assert "Protected slice p = gone cannot be judged" in text
    assert "the hold-out has no row of it" in text


def test_a_queued_challenger_and_a_limit_are_explained():
    assert "another candidate is open" in explained(whole(GOOD), queued=True)
    facts = {"cooldown": {"promoted_at": "2020-02-01T02:00:00Z", "instant": "2020-02-06T02:00:00Z"}}
    text = explained(whole(GOOD), replace(RULES, cooldown_days=7), facts=facts)
    assert "Days since the newest promotion: 5; the spec waits 7. (fail)" in text
    assert "cooldown: 2 more days." in text


def test_too_few_days_are_counted():
    assert "2 more hold-out days with labelled rows." in explained(whole(GOOD[:3]))


@pytest.mark.parametrize("seed", range(40))
def test_every_decision_can_be_explained_in_lines_that_fit_a_terminal(seed):
    text = explain(random_decision(seed))
    assert text.startswith("m 2020-02-06: ")
    prose = text.split("Slices")[0]
    assert max(map(len, prose.splitlines())) <= 96
    assert "None" not in text
    assert "nan" not in text
