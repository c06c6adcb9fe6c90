"""Which earlier windows a moderated variance borrows from, and that a re-run borrows the same."""

from datetime import date, timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from devtools.decisions import decision, random_cells, spec, sums_of
from retrain_ops.decisions.earlier import MOST, earlier_windows
from retrain_ops.decisions.record import DECISION_FILE
from retrain_ops.decisions.replay import replay
from retrain_ops.stats.cells import day_cells
from retrain_ops.stats.gate_rules import GateRules
from retrain_ops.stats.moderation import EarlierWindow
from retrain_ops.stats.paired import compare
from retrain_ops.workspace import Workspace, canonical_json

FIRST = date(2020, 3, 1)
RULES = GateRules(variance="moderated")


def run_at(folder, end, rules=RULES):
    workspace = Workspace.open(str(folder), "m")
    return SimpleNamespace(
        workspace=workspace,
        window=SimpleNamespace(end=end),
        spec=SimpleNamespace(gate=rules),
    )


def decide(folder, end, seed, rules=RULES, days=7, earlier=None):
    """A decision of `end`, whose hold-out is the week before; `earlier` as asked of the records."""
    rng = np.random.default_rng(seed)
    cells = {"": {"": random_cells(rng, days, gain=0.3)}}
    run = run_at(folder, end, rules)
    holdout = [(end - timedelta(days=days - i)).isoformat() for i in range(days)]
    if earlier is None:
        earlier = earlier_windows(run, holdout[0])
    content = decision(cells, rules, sums=sums_of(rng, cells, rules), earlier=earlier)
    content["window_end"] = end.isoformat()
    content["holdout"]["days"] = holdout
    run.workspace.write_json(run.workspace.key_path(end, DECISION_FILE), content)
    return content


def test_windows_share_no_day_and_the_newest_come_first(tmp_path):
    for i in range(30):  # a run every day
        decide(tmp_path, FIRST + timedelta(days=i), seed=i)
    end = FIRST + timedelta(days=30)
    first_day = (end - timedelta(days=7)).isoformat()
    found = earlier_windows(run_at(tmp_path, end), first_day)
    ends = [date.fromisoformat(w.window_end) for w in found]
    assert ends == [end - timedelta(days=7 * i) for i in range(1, 5)]
    paired = compare(day_cells(random_cells(np.random.default_rng(23), 7, gain=0.3)))
    effect = (paired.day_error / paired.row_error) ** 2
    assert found[0] == EarlierWindow(ends[0].isoformat(), 7, pytest.approx(effect, rel=1e-8))


def test_a_window_alone_borrows_nothing_and_half_a_year_is_the_most(tmp_path):
    for i in range(MOST + 4):
        decide(tmp_path, FIRST + timedelta(days=7 * i), seed=i)
    end = FIRST + timedelta(days=7 * (MOST + 4))
    first_day = (end - timedelta(days=7)).isoformat()
    assert len(earlier_windows(run_at(tmp_path, end), first_day)) == MOST
    assert earlier_windows(run_at(tmp_path, end, GateRules()), first_day) == ()


def test_days_that_compared_nothing_are_short_or_lack_sums_lend_nothing(tmp_path):
    auc = GateRules(metric="roc_auc", variance="moderated")
    decide(tmp_path, FIRST, seed=1)
    decide(tmp_path, FIRST + timedelta(days=7), seed=2, rules=auc)
    decide(tmp_path, FIRST + timedelta(days=14), seed=3, rules=auc, days=3)
    end = FIRST + timedelta(days=14)
    bootstrap = decide(tmp_path, end, seed=4)
    workspace = run_at(tmp_path, end).workspace
    path = workspace.key_path(end, DECISION_FILE)
    workspace.write_json(path, {**bootstrap, "champion": None})
    later = run_at(tmp_path, FIRST + timedelta(days=21), auc)
    found = earlier_windows(later, (FIRST + timedelta(days=14)).isoformat())
    assert [w.window_end for w in found] == [(FIRST + timedelta(days=7)).isoformat()]


def test_a_re_run_borrows_what_it_borrowed_and_the_decision_replays(tmp_path):
    for i in range(6):
        decide(tmp_path, FIRST + timedelta(days=7 * i), seed=i)
    end = FIRST + timedelta(days=42)
    content = decide(tmp_path, end, seed=9)
    assert content["gate"]["moderation"]["degrees"] > 0
    decide(tmp_path, FIRST + timedelta(days=28), seed=77, earlier=())  # an earlier day, run again
    run = run_at(tmp_path, end)
    again = earlier_windows(run, content["holdout"]["days"][0])
    assert [w.design_effect for w in again] == [
        w["design_effect"] for w in content["gate"]["moderation"]["windows"]
    ]
    done = replay(spec(), run.workspace, end)
    assert canonical_json(done.computed["gate"]) == canonical_json(content["gate"])
