"""The kernels against slow references in plain Python."""

import math
from collections import Counter
from fractions import Fraction

import hypothesis.extra.numpy as hnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from retrain_ops import _core
from retrain_ops.stats.multiplicity import holm

SETTINGS = settings(max_examples=300, deadline=None)
TIED = st.sampled_from([0.0, -0.0, 1.0, -1.0, 1.0 + 2**-52, 5e-324, math.inf, -math.inf])
NUMBERS = st.one_of(TIED, st.floats(allow_nan=True, allow_infinity=True, width=64))
RANKABLE = st.one_of(TIED, st.floats(allow_nan=False, width=64))


def arrays(elements, dtype):
    return hnp.arrays(dtype, st.integers(0, 60), elements=elements)


def slow_edges(x, n_bins):
    finite = sorted(v for v in x if math.isfinite(v))
    m = len(finite)
    ranks = [max(1, math.ceil(Fraction(i * m, n_bins))) for i in range(1, n_bins)]
    return sorted({finite[r - 1] + 0.0 for r in ranks}) if m else []


def slow_bin(v, edges):
    k = len(edges)
    if math.isnan(v):
        return k + 3
    if math.isinf(v):
        return k + (2 if v > 0 else 1)
    return sum(e < v for e in edges)


@SETTINGS
@given(arrays(NUMBERS, np.float64), st.integers(1, 12))
def test_edges_are_the_order_statistics(x, n_bins):
    assert _core.quantile_edges(x, n_bins).tolist() == slow_edges(x.tolist(), n_bins)


@SETTINGS
@given(arrays(NUMBERS, np.float64), st.integers(1, 12), st.sampled_from([1, 2, 3, 7]), st.data())
def test_drift_counts_equal_one_row_at_a_time(x, n_bins, team, data):
    day = data.draw(hnp.arrays(np.int32, len(x), elements=st.integers(0, 3)))
    edges = _core.quantile_edges(x, n_bins)
    want = np.zeros((4, len(edges) + 4), np.int64)
    for v, d in zip(x.tolist(), day, strict=True):
        want[d, slow_bin(v, edges.tolist())] += 1
    assert np.array_equal(_core.drift_counts(x, day, edges, 4, n_threads=team), want)


@SETTINGS
@given(arrays(st.integers(-2, 4), np.int32), st.sampled_from([1, 2, 3, 7]), st.data())
def test_category_counts_equal_one_row_at_a_time(code, team, data):
    day = data.draw(hnp.arrays(np.int32, len(code), elements=st.integers(0, 2)))
    want = np.zeros((3, 7), np.int64)
    for c, d in zip(code, day, strict=True):
        want[d, {-1: 6, -2: 5}.get(int(c), int(c))] += 1
    assert np.array_equal(_core.category_counts(code, day, 5, 3, n_threads=team), want)


@SETTINGS
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 3), *[st.integers(0, 1)] * 3), max_size=60
    ),
    st.sampled_from([1, 2, 3, 7]),
)
def test_joint_cells_equal_a_counter(rows, team):
    columns = list(zip(*rows, strict=True)) or [()] * 5
    codes = [np.array(c, np.int32) for c in columns[:2]]
    bits = [np.array(c, np.uint8) for c in columns[2:]]
    cells = _core.joint_cells(*codes, *bits, 3, 4, n_threads=team)
    want = Counter((d, lv, 4 * y + 2 * a + b) for d, lv, y, a, b in rows)
    assert {k: v for k, v in np.ndenumerate(cells) if v} == want


@SETTINGS
@given(arrays(RANKABLE, np.float64), st.data())
def test_auc_equals_all_pairs(score, data):
    y = data.draw(hnp.arrays(np.uint8, len(score), elements=st.integers(0, 1)))
    positive = [s for s, label in zip(score.tolist(), y, strict=True) if label]
    negative = [s for s, label in zip(score.tolist(), y, strict=True) if not label]
    u2 = sum(2 if a > b else a == b for a in positive for b in negative)
    for team in (1, 3):
        found = _core.roc_auc(y, score, n_threads=team)
        assert found == (u2, len(positive), len(negative))


def test_ranks_of_many_rows_do_not_depend_on_team_or_order():
    """Large enough for the parallel split of the sort; ties, both signs, infinities."""
    rng = np.random.default_rng(3)
    n = 60_000
    y = rng.integers(0, 2, n).astype(np.uint8)
    score = np.where(rng.random(n) < 0.3, rng.integers(-3, 4, n), rng.normal(size=n) ** 7)
    score[:4] = math.inf, -math.inf, 0.0, -0.0
    other = np.round(score + rng.normal(size=n), 1)
    order = rng.permutation(n)
    for values in (score, other, score.astype(np.float32)):
        rank = np.searchsorted(np.sort(values), values, "left")
        rank = rank + np.searchsorted(np.sort(values), values, "right") + 1  # doubled midrank
        n_pos = int(y.sum())
        u2 = int(rank[y == 1].sum()) - n_pos * (n_pos + 1)
        for team in (1, 2, 5):
            want = (u2, n_pos, n - n_pos)
            assert _core.roc_auc(y, values, n_threads=team) == want
            assert _core.roc_auc(y[order], values[order], n_threads=team) == want
            assert _core.average_precision(
                y[order], values[order], n_threads=team
            ) == _core.average_precision(y, values)
    finite = np.where(np.isfinite(score), score, 0.0)
    for team in (1, 5):
        assert _core.delong_sums(
            y[order], finite[order], other[order], n_threads=team
        ) == _core.delong_sums(y, finite, other)
        assert _core.sample_distance(finite[order], other, n_threads=team) == _core.sample_distance(
            finite, other[order]
        )


SCORE = st.one_of(
    st.sampled_from([0.0, 1.0, 0.05, 0.95, math.nan, math.inf, -0.01, 1.01]), st.floats(0, 1)
)


@SETTINGS
@given(
    st.lists(st.tuples(SCORE, SCORE), max_size=60),
    st.floats(0, 1),
    st.floats(0, 1),
    st.sampled_from([1, 2, 3, 7]),
)
def test_shadow_counts_equal_one_row_at_a_time(rows, t_a, t_b, team):
    a, b = np.array(rows, dtype=np.float64).reshape(-1, 2).T
    counts = _core.shadow_counts(a, b, t_a, t_b, n_threads=team)
    good = [(x, z) for x, z in rows if 0 <= x <= 1 and 0 <= z <= 1]
    scores = np.zeros((2, 20), np.int64)
    for x, z in good:
        scores[0, min(19, int(x * 20))] += 1
        scores[1, min(19, int(z * 20))] += 1
    assert np.array_equal(counts.pop("score_counts"), scores)
    extremes = [
        np.int64(counts.pop(f"challenger_{end}")).view(np.float64) for end in ("low", "high")
    ]
    challenger = [z for _, z in rows if 0 <= z <= 1]
    if challenger:
        assert extremes == [min(challenger), max(challenger)]
    assert counts == {
        "rows": len(rows),
        "compared": len(good),
        "champion_positive": sum(x >= t_a for x, _ in good),
        "challenger_positive": sum(z >= t_b for _, z in good),
        "flips_up": sum(x < t_a and z >= t_b for x, z in good),
        "flips_down": sum(x >= t_a and z < t_b for x, z in good),
        "champion_bad": sum(not 0 <= x <= 1 for x, _ in rows),
        "challenger_bad": sum(not 0 <= z <= 1 for _, z in rows),
        "challenger_distinct": min(2, len({z for _, z in rows if 0 <= z <= 1})),
    }


@SETTINGS
@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(0, 50))
def test_a_stream_begins_alike_however_much_is_drawn(seed, stream, n):
    assert np.array_equal(_core.philox(seed, stream, n), _core.philox(seed, stream, 53)[:n])


@SETTINGS
@given(st.lists(st.floats(0, 1), max_size=12), st.sampled_from([0.01, 0.05, 0.2]))
def test_holm_rejects_what_the_step_down_procedure_rejects(p_values, alpha):
    rejected = set()
    for k, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if p_values[i] * (len(p_values) - k) >= alpha:
            break
        rejected.add(i)
    assert {i for i, p in enumerate(holm(p_values)) if p < alpha} == rejected
