"""Any split, order and merge tree of the rows ends in the same bytes."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrain_ops import _core
from retrain_ops.errors import DataError
from retrain_ops.stats import accumulators as acc
from retrain_ops.stats import roc_auc, score_metrics
from retrain_ops.stats.scores import metrics_from_sums

DAYS = 3
EDGES = [0.25, 0.5]
SETTINGS = settings(max_examples=40, deadline=None)


class Rows:
    """Columns of random rows, and what each kind makes of some of them."""

    def __init__(self, seed, n):
        rng = np.random.default_rng(seed)
        self.day = rng.integers(0, DAYS, n).astype(np.int32)
        self.levels = [rng.integers(0, k, n).astype(np.int32) for k in (2, 3)]
        self.bits = rng.integers(0, 2, (3, n)).astype(np.uint8)
        self.p = np.round(rng.random((2, n)), int(rng.integers(1, 17)))
        special = np.array([0.0, -0.0, 1.0, 5e-324, 1 - 2**-53])
        self.p[:, rng.random(n) < 0.2] = rng.choice(special)
        self.raw = np.where(rng.random(n) < 0.2, rng.choice([np.nan, np.inf, -np.inf]), self.p[0])

    def count(self, kind, rows, team):
        y = self.bits[0, rows]
        if kind == "drift":
            return acc.drift(self.raw[rows], self.day[rows], EDGES, DAYS, n_threads=team)
        if kind == "cells":
            levels = [level[rows] for level in self.levels]
            bits = self.bits[:, rows]
            return acc.cells(self.day[rows], levels, *bits, DAYS, [2, 3], n_threads=team)
        if kind == "runs":
            return acc.rank_runs(y, self.p[0, rows], n_threads=team)
        if kind == "scores":
            return acc.score_sums(y, self.p[0, rows], n_threads=team)
        return acc.shadow(self.p[0, rows], self.raw[rows], 0.5, 0.3, n_threads=team)


def merge_as_a_random_tree(parts, rng):
    parts = list(parts)
    while len(parts) > 1:
        i = rng.randrange(len(parts))
        one = parts.pop(i)
        j = rng.randrange(len(parts))
        parts[j] = parts[j].merge(acc.Accumulator.from_bytes(one.to_bytes()))
    return parts[0]


@pytest.mark.parametrize("kind", ["drift", "cells", "runs", "scores", "shadow"])
@SETTINGS
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(0, 80),
    chunks=st.integers(1, 9),
    teams=st.lists(st.sampled_from([1, 2, 3]), min_size=10, max_size=10),
)
def test_any_split_order_and_tree_give_equal_bytes(kind, seed, n, chunks, teams):
    rows = Rows(seed, n)
    rng = random.Random(seed)
    order = np.random.default_rng(seed + 1).permutation(n)
    cuts = sorted(rng.randrange(n + 1) for _ in range(chunks - 1))
    parts = [
        rows.count(kind, part, team)
        for part, team in zip(np.split(order, cuts), teams, strict=False)
    ]
    whole = rows.count(kind, np.arange(n), teams[-1])
    assert merge_as_a_random_tree(parts, rng).to_bytes() == whole.to_bytes()


def test_merged_parts_give_the_metrics_of_all_rows():
    rows = Rows(5, 5000)
    parts = np.array_split(np.arange(5000), 7)
    runs = acc.merge_all([rows.count("runs", part, 1) for part in parts])
    assert acc.auc_of_runs(runs) == roc_auc(rows.bits[0], rows.p[0])
    sums = acc.merge_all([rows.count("scores", part, 1) for part in parts])
    assert metrics_from_sums(sums.counts) == score_metrics(rows.bits[0], rows.p[0])


def test_different_things_do_not_merge():
    rows = Rows(1, 50)
    every = np.arange(50)
    drift = rows.count("drift", every, 1)
    others = [
        rows.count("cells", every, 1),
        acc.drift(rows.raw, rows.day, [0.25, 0.5 + 2**-53], DAYS),
        acc.drift(rows.raw, rows.day, EDGES, DAYS + 1),
    ]
    for other in others:
        with pytest.raises(DataError, match="do not merge"):
            drift.merge(other)
    with pytest.raises(DataError, match="nothing to merge"):
        acc.merge_all([])


def test_bytes_that_are_no_accumulator_are_corrupt():
    good = Rows(1, 50).count("runs", np.arange(50), 1).to_bytes()
    for bad in (b"", good[:-1], good + b"\0", b"X" + good[1:], good[:4] + b"\2" + good[5:]):
        with pytest.raises(_core.CorruptError):
            acc.Accumulator.from_bytes(bad)


def test_the_byte_form_is_version_one_to_the_byte():
    runs = acc.rank_runs(np.array([1, 0, 1], np.uint8), [1.0, -1.0, 1.0]).to_bytes()
    key = 0x3FF0000000000000
    words = [2, 3, -key - 1, 0, 1, key, 2, 0]
    head = b"RTAC" + bytes([1, 0, 3, 0]) + bytes(4) + bytes([2, 0, 0, 0])
    assert runs == head + b"".join(w.to_bytes(8, "little", signed=True) for w in words)
