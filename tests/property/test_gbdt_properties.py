"""Properties of the trees over arbitrary small tables."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from retrain_ops import _core

LEVELS = tuple(f"{i:03d}" for i in range(300))
VALUES = st.sampled_from(
    [0.0, -0.0, 1.0, -1.0, 0.1, 2.5, 1e30, -1e30, 1e300, 5e-324, np.inf, -np.inf, np.nan]
)


@st.composite
def tables(draw: st.DrawFn) -> dict[str, Any]:
    rows = draw(st.integers(1, 120))
    kinds = draw(st.lists(st.sampled_from(["few", "many", "level"]), min_size=1, max_size=5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    pool = np.array(draw(st.lists(VALUES, min_size=1, max_size=6)))
    columns = {
        "few": lambda: rng.choice(pool, rows),
        "many": lambda: rng.normal(size=rows),
        "level": lambda: rng.integers(-2, 302, rows).astype(float),
    }
    x = np.column_stack([columns[kind]() for kind in kinds])
    if draw(st.booleans()):
        with np.errstate(over="ignore"):
            x = x.astype(np.float32)
    weight = rng.choice([0.0, 0.5, 1.0, 3.0, 1e6], rows) if draw(st.booleans()) else None
    if weight is not None and not weight.any():
        weight[0] = 1.0
    params = {
        "n_estimators": draw(st.integers(1, 6)),
        "max_leaf_nodes": draw(st.integers(2, 9)),
        "max_depth": draw(st.integers(0, 3)),
        "min_samples_leaf": draw(st.integers(1, 5)),
        "min_child_weight": 0,
        "l2_regularization": draw(st.sampled_from([0, 1])),
        "max_bins": draw(st.sampled_from([2, 3, 16, 255])),
        "subsample": draw(st.sampled_from([0.5, 1.0])),
        "colsample": draw(st.sampled_from([0.5, 1.0])),
        "cat_smooth": draw(st.sampled_from([0, 2])),
        "min_data_per_group": draw(st.integers(1, 4)),
    }
    return {
        "x": x,
        "y": rng.integers(0, 2, rows),
        "features": [
            (f"f{i}", "categorical", LEVELS) if kind == "level" else (f"f{i}", "numeric", ())
            for i, kind in enumerate(kinds)
        ],
        "params": params,
        "seed": draw(st.integers(0, 2**64 - 1)),
        "weight": weight,
    }


def train(table: dict[str, Any], **changes: Any) -> _core.Model:
    arguments = {**table, **changes}
    return _core.gbdt_train(arguments.pop("x"), arguments.pop("y"), **arguments)


@settings(max_examples=120, deadline=None)
@given(tables())
def test_any_table_trains_to_the_same_bytes_with_any_team(table: dict[str, Any]) -> None:
    model = train(table, n_threads=1)
    for threads in (2, 7):
        assert train(table, n_threads=threads).to_bytes() == model.to_bytes()
    copy = _core.Model.from_bytes(model.to_bytes())
    p = model.predict(table["x"])
    assert np.array_equal(copy.predict(table["x"]), p)
    assert np.all((p >= 0) & (p <= 1))


@settings(max_examples=60, deadline=None)
@given(tables())
def test_rows_of_weight_zero_are_absent(table: dict[str, Any]) -> None:
    weight = table["weight"]
    if weight is None:
        weight = np.ones(len(table["y"]))
        weight[1::2] = 0.0
    kept = weight > 0
    thinned = {**table, "x": table["x"][kept], "y": table["y"][kept], "weight": weight[kept]}
    assert train({**table, "weight": weight}).to_bytes() == train(thinned).to_bytes()


@settings(max_examples=60, deadline=None)
@given(tables())
def test_a_float32_copy_of_float32_values_is_the_same_table(table: dict[str, Any]) -> None:
    with np.errstate(over="ignore"):
        narrow = table["x"].astype(np.float32)
    wide = narrow.astype(np.float64)
    a, b = train({**table, "x": narrow}), train({**table, "x": wide})
    assert a.to_bytes() == b.to_bytes()
    assert np.array_equal(a.predict(narrow), b.predict(np.asfortranarray(wide)))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0]), st.booleans()), min_size=1))
def test_the_f1_threshold_is_the_best_of_all(rows: list[tuple[float, bool]]) -> None:
    score = np.array([s for s, _ in rows])
    y = np.array([label for _, label in rows])
    threshold, f1 = _core.f1_threshold(score, y)

    def value(t: float) -> tuple[int, int]:
        yes = score >= t
        return 2 * int((yes & y).sum()), int(yes.sum() + y.sum())

    best = max(value(t)[0] / value(t)[1] for t in score)
    tied = [t for t in score if value(t)[0] / value(t)[1] == best]
    assert (threshold, f1) == (max(tied), best)
