"""Metrics of scores against scikit-learn and a bootstrap of days; `proofs metrics` does more."""

from dataclasses import replace

import numpy as np
import pytest

from devtools.score_peers import PEERS, bootstrap_ratio, check_table, random_rows, random_table
from retrain_ops.stats import delong_test
from retrain_ops.stats.metrics import metric_named, metric_of_record
from retrain_ops.stats.paired import compare


@pytest.mark.parametrize("name", PEERS)
def test_scores_are_those_of_the_peer_in_every_slice(name):
    rng = np.random.default_rng(17)
    found = [check_table(name, random_table(rng)) for _ in range(60)]
    assert max(distance for distance, _ in found) < 1e-12
    assert sum(undefined for _, undefined in found) < 60 * 8


@pytest.mark.parametrize("name", PEERS)
def test_the_error_by_days_is_that_of_a_bootstrap(name):
    rng = np.random.default_rng(3)
    ratio = bootstrap_ratio(name, random_rows(rng, 28, 300), rng, draws=1000)
    assert ratio == pytest.approx(1, abs=0.1)


def test_the_error_by_rows_of_an_auc_is_delongs():
    rows = random_rows(np.random.default_rng(5), 1, 900)
    metric = metric_named("roc_auc")
    found = compare(rows.judged_by(metric), metric)
    peer = delong_test(rows.label, *rows.scores)
    p = int(rows.label.sum())
    inflated = min(p, 900 - p) / (min(p, 900 - p) - 1)  # DeLong divides by n - 1 in each class
    variance = peer.variance_a + peer.variance_b - 2 * peer.covariance
    assert variance / inflated <= found.row_error**2 <= variance


@pytest.mark.parametrize("name", ["log_loss", "brier"])
def test_the_error_by_rows_of_a_loss_is_that_of_a_mean(name):
    rows = random_rows(np.random.default_rng(6), 3, 400)
    metric = metric_named(name)
    found = compare(rows.judged_by(metric), metric)
    y = rows.label.astype(float)
    if name == "brier":
        old, new = ((s - y) ** 2 for s in rows.scores)
    else:
        old, new = (-np.log(np.where(y == 1, s, 1 - s)) for s in rows.scores)
    assert found.row_error == pytest.approx(np.std(new - old) / np.sqrt(len(y)), rel=1e-9)
    assert float(found.difference) == pytest.approx(np.mean(old - new), abs=1e-12)
    assert float(found.score_champion) == pytest.approx(np.mean(old), abs=1e-12)


@pytest.mark.parametrize("name", PEERS)
def test_the_influence_is_what_a_further_row_adds(name):
    """A row once more, in a table where every row is there a thousand times."""
    metric, many = metric_named(name), 1000
    rows = random_rows(np.random.default_rng(9), 1, 40)

    def totals(times):
        wide = replace(
            rows,
            day=np.repeat(rows.day, times),
            label=np.repeat(rows.label, times),
            decisions=tuple(np.repeat(d, times) for d in rows.decisions),
            scores=tuple(np.repeat(s, times) for s in rows.scores),
        )
        ((*counts,),) = wide.judged_by(metric)
        return metric.totals(counts, (0, 0, 1, 1, 0, 0, 1, 1))

    before = totals(np.full(40, many))
    score = metric.score(before)
    slopes, scale = metric.influence(totals(np.full(40, 1)))
    for i in range(0, 40, 7):
        more = np.full(40, many)
        more[i] += 1
        change = float(metric.score(totals(more)) - score) * many
        own = replace(rows, day=np.where(np.arange(40) == i, 1, 0).astype(np.int32), n_days=2)
        alone = metric.totals(own.judged_by(metric)[1], (0, 0, 1, 1, 0, 0, 1, 1))
        influence = sum(a * b for a, b in zip(slopes, alone, strict=True)) / scale
        assert change == pytest.approx(influence, rel=0.02, abs=1e-5)


@pytest.mark.parametrize("name", PEERS)
def test_a_record_names_its_metric(name):
    metric = metric_named(name)
    assert metric_of_record({"name": name}) is metric
    assert (metric.sign < 0) == (name in ("log_loss", "brier"))
