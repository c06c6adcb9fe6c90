"""Days that replay what the window alone gets wrong, and classes that keep their share."""

import json
from collections import Counter
from datetime import timedelta

import jsonschema
import numpy as np
import pytest

from devtools.decisions import SCHEMA
from devtools.synthetic import (
    AMOUNTS,
    CLASSES,
    FIRST,
    SPEC,
    bootstrap,
    files_of,
    toy_run,
    write_days,
)
from retrain_ops.cli.main import run_day
from retrain_ops.comparison.replay import with_replay
from retrain_ops.data.labels import labels_of
from retrain_ops.data.memory import recall
from retrain_ops.data.processed import read_processed
from retrain_ops.decisions.replay import replay
from retrain_ops.models.training import resolve_trainer
from retrain_ops.problems import problem_of
from retrain_ops.run import RunContext
from retrain_ops.steps.check_drift import check_drift
from retrain_ops.steps.pull_data import pull_data
from retrain_ops.steps.train import training_data

DAY = FIRST + timedelta(days=30)
MEMORY = "\n[memory]\nreplay_share = 0.05\ncapacity = 60\n"
IMPORTANT = MEMORY + 'replay_by = "importance"\n'
KINDS = {"binary": SPEC, "amounts": AMOUNTS, "classes": CLASSES}


def pulled(folder, client, spec):
    """A run with its window's rows, and those that train."""
    run = toy_run(folder, client, DAY, spec=spec, context=RunContext(bootstrap=True))
    check_drift(run)
    pull_data(run)
    return run, training_data(run, read_processed(run.workspace, DAY, days=run.window.train))


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_the_window_alone_gets_wrong_are_drawn_sooner(tmp_path, client, kind):
    write_days(tmp_path / "rows", 35, label=kind)
    trainer, drawn = resolve_trainer("gbdt"), {}
    for by, table in (("hash", MEMORY), ("importance", IMPORTANT)):
        run, rows = pulled(tmp_path, client, KINDS[kind] + table)
        mixed, count = with_replay(run, rows, trainer)
        assert count == int(len(rows.label) / 19)
        old, problem = mixed.table.slice(0, count), problem_of(run.spec)
        alone = trainer(rows, params=run.spec.train, seed=1, n_threads=1)
        label = labels_of(run.spec).values(old, "late")
        misses = problem.misses(label, problem.scored(alone, old, n_threads=1))
        drawn[by] = old["request_id"].to_pylist(), float(misses.mean())
        again, _ = with_replay(run, rows, trainer)
        assert again.table.equals(mixed.table)
    assert drawn["importance"][1] > 1.1 * drawn["hash"][1]
    assert 0 < len({*drawn["importance"][0]} & {*drawn["hash"][0]}) < count
    one, two = (Counter(i[:10] for i in ids) for ids, _ in drawn.values())
    assert max(abs(one[day] - two[day]) for day in one | two) <= 2  # each day keeps its share


def test_its_decision_replays_and_a_backfill_repeats_it(tmp_path, client, messages):
    write_days(tmp_path / "rows", 45)
    spec = SPEC + IMPORTANT
    bootstrap(tmp_path, client, FIRST + timedelta(days=17), spec=spec)

    def trained(day, **options):
        run = toy_run(tmp_path, client, day, spec=spec, context=RunContext(forced=True), **options)
        run_day(run)
        return run

    run = trained(DAY)
    names = ("decision.json", "model.rtm", "memory.json")
    before = files_of(tmp_path / "workspace", names)
    trained(DAY + timedelta(days=7))
    trained(DAY, n_threads=7)
    after = files_of(tmp_path / "workspace", names)
    assert {name: after[name] for name in before} == before
    decision = run.read("decision.json")
    jsonschema.validate(decision, json.loads(SCHEMA.read_text()))
    assert decision["challenger"]["replayed"] > 0
    assert replay(run.spec, run.workspace, DAY).differences == []


def test_a_model_that_scores_nothing_draws_by_nothing_and_ends_no_day(tmp_path, client):
    class Silent:
        threshold = 0.5

        def predict_proba(self, table, *, n_threads):
            return np.full((table.num_rows, 2), np.nan)

    write_days(tmp_path / "rows", 35)
    run, rows = pulled(tmp_path, client, SPEC + IMPORTANT)
    _, count = with_replay(run, rows, lambda *_, **__: Silent())
    assert count == int(len(rows.label) / 19)


def test_the_classes_of_a_label_can_keep_their_shares(tmp_path, client):
    write_days(tmp_path / "rows", 35, label="classes")
    spec = CLASSES.replace('watched = ["late"]\n', "") + MEMORY.replace("60", "12")
    shares = {}
    for name, text in (("day", spec), ("class", spec + 'strata = ["late"]\n')):
        run, _ = pulled(tmp_path, client, text)
        table = recall(run.source, run.workspace, run.window).table
        whole = run.source.read(sorted({*table["day"].to_pylist()}), columns=["late"], before=None)
        kept, known = (np.array(t["late"].to_pylist()) for t in (table, whole))
        days, all_days = (np.array(t["day"].to_pylist()) for t in (table, whole))
        shares[name] = max(
            abs(np.mean(kept[days == day] == level) - np.mean(known[all_days == day] == level))
            for day in {*days}
            for level in {*known}
        )
    assert shares["class"] <= 1 / 12
    assert shares["day"] > 2 / 12


@pytest.mark.parametrize("kind", ["binary", "amounts"])
def test_any_other_label_is_no_stratum(tmp_path, kind):
    from retrain_ops.errors import ConfigError

    with pytest.raises(ConfigError, match=r"strata: 'late' is no feature and no slice column"):
        toy_run(tmp_path, None, DAY, spec=KINDS[kind] + MEMORY + 'strata = ["late"]\n')
