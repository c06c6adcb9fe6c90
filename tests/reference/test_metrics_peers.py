"""Metrics of decisions against scikit-learn and a bootstrap of days; `proofs metrics` does more."""

from typing import get_args

import numpy as np
import pytest

from devtools.amount_peers import PEERS as AMOUNT_PEERS
from devtools.class_peers import PEERS as CLASS_PEERS
from devtools.metric_peers import (
    PEERS,
    bootstrap_ratio,
    check_table,
    named,
    random_days,
    random_table,
)
from devtools.score_peers import PEERS as SCORE_PEERS
from retrain_ops.stats.metrics import F1, MetricName, metric_named, metric_of_record


def test_every_metric_has_a_peer():
    peers = {*PEERS, *SCORE_PEERS, *AMOUNT_PEERS, *CLASS_PEERS}  # a name may have two meanings
    assert peers == {*get_args(MetricName)}


@pytest.mark.parametrize("name", PEERS)
def test_scores_are_those_of_the_peer(name):
    rng = np.random.default_rng(17)
    found = [check_table(name, random_table(rng)) for _ in range(30)]
    assert max(distance for distance, _ in found) < (1e-12 if name == "net_benefit" else 1e-15)
    assert sum(undefined for _, undefined in found) < 30


@pytest.mark.parametrize("name", PEERS)
def test_the_error_by_days_is_that_of_a_bootstrap(name):
    rng = np.random.default_rng(3)
    assert bootstrap_ratio(name, random_days(rng, 28, 900), rng) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("name", PEERS)
def test_the_influence_is_the_derivative(name):
    metric, cells, h = named(name), (611, 52, 73, 164), 10**9
    slopes, scale = metric.influence(cells)
    large = [n * h for n in cells]
    for cell in range(4):
        more = [n + (i == cell) for i, n in enumerate(large)]
        change = metric.score(tuple(more)) - metric.score(tuple(large))
        assert float(change * h) == pytest.approx(slopes[cell] / scale, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("name", PEERS)
def test_a_record_names_its_metric(name):
    metric = named(name)
    assert metric_of_record({"name": metric.name, **metric.arguments}) == metric


def test_by_default_it_is_f1():
    assert metric_of_record(None) is F1
    assert metric_named("f1") is F1
    assert metric_named("fbeta").score((5, 1, 2, 3)) == F1.score((5, 1, 2, 3))


@pytest.mark.parametrize(("cells", "score"), [((7, 0, 0, 3), 1), ((0, 7, 3, 0), -1)])
def test_a_root_that_is_whole_is_exact(cells, score):
    assert named("mcc").score(cells) == score
