"""A fit after an earlier one, without its rows: elastic weight consolidation."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from retrain_ops.errors import DataError
from retrain_ops.models import LinearRegression, LogisticRegression, PoissonRegressor, load_model
from retrain_ops.models.input import InputError

Table = tuple[np.ndarray, np.ndarray]


def numbers(rows: int, seed: int, *, moved: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, 4)) * [1, 30, 0.1, 2] + [moved, 200 + 40 * moved, 5, 0]


def amounts(rows: int, seed: int, *, moved: float = 0.0) -> Table:
    x = numbers(rows, seed, moved=moved)
    noise = np.random.default_rng(seed + 1).normal(size=rows)
    return x, x @ [1.0, 0.02, -3.0, 0.5] + noise


def labels(rows: int, seed: int, *, moved: float = 0.0) -> Table:
    x = numbers(rows, seed, moved=moved)
    odds = x @ [1.0, 0.02, -3.0, 0.5] + 11 - 0.8 * moved
    drawn = np.random.default_rng(seed + 2).random(rows)
    return x, (drawn < 1 / (1 + np.exp(-odds))).astype(int)


def both(a: Table, b: Table) -> Table:
    return np.vstack([a[0], b[0]]), np.concatenate([a[1], b[1]])


def log_loss(model: LogisticRegression, table: Table) -> float:
    p = model.predict_proba(table[0])[:, 1]
    return float(-np.mean(np.where(table[1] > 0, np.log(p), np.log1p(-p))))


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("alpha", [0.0, 3.0])
def test_least_squares_are_those_of_both_tables(fit_intercept, alpha):
    a, b = amounts(800, 1), amounts(500, 5, moved=2.0)
    given = {
        "alpha": alpha, "fit_intercept": fit_intercept, "standardize": False, "remember": "full"
    }  # fmt: skip
    first = LinearRegression(**given).fit(*a)
    second = LinearRegression(**given).fit(*b, anchor=first)
    at_once = LinearRegression(**given).fit(*both(a, b))
    assert np.allclose(second.coef_, at_once.coef_, rtol=1e-10)
    assert np.isclose(second.intercept_, at_once.intercept_, rtol=1e-10, atol=1e-10)
    third = LinearRegression(**given).fit(*amounts(300, 9), anchor=second)
    all_three = LinearRegression(**given).fit(*both(both(a, b), amounts(300, 9)))
    assert np.allclose(third.coef_, all_three.coef_, rtol=1e-9)
    rows, known = third.model_.core.precision
    assert rows == 1600
    assert np.allclose(known, known.T)


def test_logistic_regression_is_near_that_of_both_tables():
    a, b = labels(3000, 1), labels(1000, 5, moved=1.0)
    first = LogisticRegression(remember="full").fit(*a)
    second = LogisticRegression(remember="full").fit(*b, anchor=first)
    at_once = LogisticRegression().fit(*both(a, b))
    alone = LogisticRegression().fit(*b)
    best = log_loss(at_once, both(a, b))
    assert log_loss(second, both(a, b)) < 1.005 * best
    assert log_loss(second, both(a, b)) < log_loss(alone, both(a, b))
    diagonal = LogisticRegression(remember="diagonal").fit(*a)
    third = LogisticRegression().fit(*b, anchor=diagonal)
    assert log_loss(third, a) < log_loss(alone, a)


def test_gamma_goes_from_the_new_rows_alone_to_all():
    a, b = labels(3000, 1), labels(1000, 5, moved=1.0)
    first = LogisticRegression(remember="full").fit(*a)
    forgot = LogisticRegression(gamma=0.0, C=1e12).fit(*b, anchor=first)
    alone = LogisticRegression(C=1e12).fit(*b)
    assert np.allclose(forgot.coef_, alone.coef_, rtol=1e-6)
    losses = [
        log_loss(LogisticRegression(gamma=g).fit(*b, anchor=first), a) for g in (0.01, 0.1, 1.0)
    ]
    assert losses == sorted(losses, reverse=True)


def test_rows_of_one_class_do_not_wipe_out_what_was_known():
    a = labels(2000, 1)
    first = LogisticRegression(remember="full").fit(*a)
    x = a[0][:50]
    second = LogisticRegression(remember="full").fit(x, np.ones(50, dtype=int), anchor=first)
    assert list(second.classes_) == [0, 1]
    assert log_loss(second, a) < 1.02 * log_loss(first, a)


def test_classes_and_categories_hold_on():
    def table(levels: list[str], seed: int) -> tuple[pa.Table, np.ndarray]:
        draw = np.random.default_rng(seed)
        a, c = draw.normal(size=900), draw.choice(levels, 900)
        y = np.digitize(a + 1.5 * (c == "b"), [-0.5, 1.0])
        return pa.table({"a": a, "c": c.tolist()}), y

    old, new = table(["a", "b"], 1), table(["b", "z"], 2)
    first = LogisticRegression(categorical_features=["c"], remember="full").fit(*old)
    second = LogisticRegression(categorical_features=["c"], remember="full")
    second.fit(*new, anchor=first)
    assert second.coef_names_ == ["a", "c=a", "c=b", "c=z"]
    assert second.coef_.shape == (3, 4)
    assert second.score(*old) > 0.8
    assert second.score(*new) > 0.8
    with pytest.raises(InputError, match=r"y has .*7.*, the classes are"):
        second.fit(new[0], new[1] + 7, anchor=first)


def test_poisson_regression_remembers_too():
    x = numbers(900, 3)
    y = np.random.default_rng(0).poisson(np.exp(0.3 * x[:, 0])).astype(float)
    first = PoissonRegressor(alpha=0.0, remember="full").fit(x[:600], y[:600])
    second = PoissonRegressor(alpha=0.0).fit(x[600:], y[600:], anchor=first)
    whole = PoissonRegressor(alpha=0.0).fit(x, y)
    assert np.allclose(second.coef_, whole.coef_, atol=0.02)


def test_what_is_remembered_is_in_the_file_and_costs_others_nothing():
    a = labels(500, 1)
    plain = LogisticRegression().fit(*a)
    full = LogisticRegression(remember="full").fit(*a)
    assert np.array_equal(plain.coef_, full.coef_)
    assert plain.model_.core.precision is None
    read = load_model(full.to_bytes())
    assert read.to_bytes() == full.to_bytes()
    rows, known = read.core.precision
    assert (rows, known.shape) == (500, (5, 5))
    p = full.predict_proba(a[0])[:, 1]
    z = np.column_stack([np.ones(500), a[0] - np.asarray(read.core.fills)])
    by_hand = (z * (p * (1 - p))[:, None]).T @ z
    by_hand[1:, 1:] += np.diag(a[0].var(axis=0))  # the penalty is on standard deviations
    assert np.allclose(known, by_hand, rtol=1e-6, atol=1e-6 * np.abs(by_hand).max())


def test_teams_give_the_same_bytes():
    a, b = labels(40_000, 1), labels(40_000, 5, moved=1.0)

    def after(team: int) -> bytes:
        first = LogisticRegression(remember="full", n_threads=team).fit(*a)
        return (
            LogisticRegression(remember="diagonal", n_threads=team).fit(*b, anchor=first).to_bytes()
        )

    assert after(1) == after(2) == after(7)


def test_an_anchor_that_does_not_fit_is_refused():
    a = labels(200, 1)
    with pytest.raises(InputError, match="keeps no second derivatives"):
        LogisticRegression().fit(*a, anchor=LogisticRegression().fit(*a))
    with pytest.raises(InputError, match="the earlier fit was to"):
        LogisticRegression().fit(
            a[0][:, :2], a[1], anchor=LogisticRegression(remember="full").fit(*a)
        )
    with pytest.raises(ValueError, match="remember is 'nothing', 'diagonal' or 'full'"):
        LogisticRegression(remember="all").fit(*a)
    first = LogisticRegression(remember="full").fit(*a)
    with pytest.raises(ValueError, match="gamma must lie between 0 and 1"):
        LogisticRegression(gamma=2.0).fit(*a, anchor=first)


def test_least_squares_learn_batches_as_if_they_were_one_table():
    given = {"alpha": 3.0, "standardize": False, "remember": "full"}
    a, b, c = amounts(800, 1), amounts(500, 5, moved=2.0), amounts(3, 9)
    online = LinearRegression(**given)
    for batch in (a, b, c):
        online.partial_fit(*batch)
    at_once = LinearRegression(**given).fit(*both(both(a, b), c))
    assert np.allclose(online.coef_, at_once.coef_, rtol=1e-10)
    assert np.isclose(online.intercept_, at_once.intercept_, rtol=1e-10, atol=1e-10)
    assert online.model_.core.precision[0] == 1303


@pytest.mark.parametrize("remember", ["full", "diagonal"])
def test_batches_of_labels_are_learnt_near_to_all_of_them(remember):
    a, b = labels(3000, 1), labels(1000, 5, moved=1.0)
    online = LogisticRegression(remember=remember).partial_fit(*a, classes=[0, 1])
    first = online.to_bytes()
    assert first == LogisticRegression(remember=remember).fit(*a).to_bytes()
    online.partial_fit(*b)
    at_once = LogisticRegression().fit(*both(a, b))
    alone = LogisticRegression().fit(*b)
    near = 1.005 if remember == "full" else 1.05
    assert log_loss(online, both(a, b)) < near * log_loss(at_once, both(a, b))
    assert log_loss(online, a) < log_loss(alone, a)


def test_a_batch_of_one_class_or_of_new_levels_is_learnt_too():
    x, y = labels(2000, 1)
    online = LogisticRegression(remember="full")
    online.partial_fit(x[:50], np.zeros(50, int), classes=[0, 1]).partial_fit(x, y)
    assert log_loss(online, (x, y)) < 0.95 * log_loss(LogisticRegression(C=1e-12).fit(x, y), (x, y))
    old, new = pa.table({"a": [1.0, 2, 3, 4], "c": list("abab")}), [0, 1, 0, 1]
    more = pa.table({"c": list("zbzb"), "z": [0, 0, 0, 0], "a": [1.0, 2, 3, 4]})
    levels = LogisticRegression(remember="full")
    levels.partial_fit(old, new, [0, 1], categorical_features=["c"]).partial_fit(
        more.select(["c", "a"]), new
    )
    assert levels.coef_names_ == ["a", "c=a", "c=b", "c=z"]
    before = levels.to_bytes()
    with pytest.raises(DataError, match="column 'a' is missing"):
        levels.partial_fit(more.select(["z"]), new)
    assert levels.to_bytes() == before
    assert levels.predict(old).shape == (4,)


def test_teams_learn_the_same_bytes():
    a, b = labels(40_000, 1), labels(40_000, 5, moved=1.0)

    def after(team: int) -> bytes:
        online = LogisticRegression(remember="full", gamma=0.9, n_threads=team)
        return online.partial_fit(*a, classes=[0, 1]).partial_fit(*b).to_bytes()

    assert after(1) == after(2) == after(7)
