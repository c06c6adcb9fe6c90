"""Arguments of the estimators are taken by what they mean, or refused."""

from __future__ import annotations

import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from retrain_ops.errors import DataError
from retrain_ops.models import GBDTClassifier, GBDTRegressor
from retrain_ops.models.input import InputError

ROWS = 300
RNG = np.random.default_rng(0)
X = pd.DataFrame({name: RNG.integers(0, 5, ROWS) for name in "abc"})
Y = (X["c"] == 2).to_numpy().astype(int)
SMALL = {"n_estimators": 3, "n_threads": 1, "min_data_per_group": 5}


def kinds(frame: object, chosen: object) -> str:
    model = GBDTClassifier(**SMALL, categorical_features=chosen).fit(frame, Y)
    at_fit = GBDTClassifier(**SMALL).fit(frame, Y, categorical_features=chosen)
    assert at_fit.to_bytes() == model.to_bytes()
    return "".join(feature.kind[0] for feature in model.model_.features)


@pytest.mark.parametrize(
    "chosen",
    [
        [False, False, True],
        np.array([False, False, True]),
        pd.Series([False, False, True]),
        ["c"],
        ("c", "c"),
        np.array(["c"]),
        [2],
        np.array([2]),
    ],
)
def test_categorical_columns_by_name_position_or_mask(chosen: object) -> None:
    assert kinds(X, chosen) == "nnc"
    if np.asarray(chosen).dtype.kind != "U":
        assert kinds(X.to_numpy(), chosen) == "nnc"


def test_categorical_columns_by_their_type() -> None:
    frame = X.astype({"b": "category"})
    views = pa.DictionaryArray.from_arrays(
        pa.array(X["b"].to_numpy(), pa.uint32()), pa.array([*"vwxyz"], pa.string_view())
    )
    assert kinds(frame, "from_dtype") == "ncn"
    assert kinds(pa.table({"a": X["a"], "b": views, "c": X["c"]}), "from_dtype") == "ncn"
    assert kinds(X.to_numpy(), "from_dtype") == "nnn"
    assert kinds(X, None) == kinds(X, []) == "nnn"


@pytest.mark.parametrize(
    "chosen",
    ["ab", "c", 2, [9], [-1], ["d"], [True, False], [True, 1], [0.5], [None]],
)
def test_other_categorical_features_are_refused(chosen: object) -> None:
    with pytest.raises(InputError, match="categorical_features"):
        GBDTClassifier(**SMALL, categorical_features=chosen).fit(X, Y)


def test_the_parameter_is_one_like_any_other() -> None:
    model = GBDTClassifier(categorical_features=np.array([True, False]))
    assert "categorical_features=array" in repr(model)
    assert "categorical_features" not in repr(GBDTClassifier())
    twin = GBDTClassifier(**SMALL, categorical_features=[0]).fit(X, Y, categorical_features=[2])
    assert [f.kind for f in twin.model_.features] == ["numeric", "numeric", "categorical"]


def test_a_dictionary_of_views_is_its_text() -> None:
    """What polars exports for Categorical and Enum."""
    names = np.array([*"abcde"])[X["c"]]
    codes = pa.array(X["c"].to_numpy(), pa.uint32())
    views = pa.DictionaryArray.from_arrays(codes, pa.array([*"abcde"], pa.string_view()))
    plain, coded = pa.table({"c": names}), pa.table({"c": views})
    model = GBDTClassifier(**SMALL).fit(plain, Y, categorical_features=["c"])
    again = GBDTClassifier(**SMALL).fit(coded, Y, categorical_features=["c"])
    assert again.to_bytes() == model.to_bytes()
    assert np.array_equal(model.predict_proba(coded), model.predict_proba(plain))


def test_large_whole_numbers_stay_apart_or_are_refused() -> None:
    ids = pa.table({"c": pa.array(2**62 + X["c"].to_numpy())})
    model = GBDTClassifier(**SMALL).fit(ids, Y, categorical_features=["c"])
    assert len(model.model_.features[0].categories) == 5
    with pytest.raises(InputError, match="beyond"):
        GBDTClassifier().fit(2**53 + X[["c"]].to_numpy(), Y, categorical_features=[0])


def test_a_score_takes_labels_as_fit_does() -> None:
    model = GBDTClassifier(**SMALL).fit(X, Y)
    regressor = GBDTRegressor(**SMALL).fit(X, X["a"])
    flat = model.score(X, Y), regressor.score(X, X["a"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        column = model.score(X, Y[:, None]), regressor.score(X, X[["a"]])
    assert column == flat
    assert model.score(X, pd.Series(Y, dtype="Int64")) == flat[0]
    for estimator in (model, regressor):
        with pytest.raises(InputError, match="rows"):
            estimator.score(X, Y[:-1])
        with pytest.raises(InputError, match="sample_weight"):
            estimator.score(X, Y, np.ones((ROWS, 1)))


@pytest.mark.parametrize(
    "labels",
    [
        np.where(Y == 1, "yes", None),
        np.where(Y == 1, 1.0, np.nan),
        pd.Series(np.where(Y == 1, "yes", None), dtype="string"),
        pd.Series(np.where(Y == 1, "yes", None), dtype="category"),
        pd.Series(Y, dtype="Int64").mask(Y == 0),
        pd.Series(Y == 1, dtype="boolean").mask(Y == 0),
        np.ma.array(Y, mask=Y == 0),
        np.where(Y == 1, np.datetime64("2024-01-01"), np.datetime64("NaT")),
    ],
)
def test_a_missing_label_is_no_class(labels: object) -> None:
    with pytest.raises(InputError, match="NaN"):
        GBDTClassifier(**SMALL).fit(X, labels)


def test_labels_of_nullable_types_are_numbers() -> None:
    expected = GBDTClassifier(**SMALL).fit(X, Y)
    nullable = GBDTClassifier(**SMALL).fit(X, pd.Series(Y, dtype="Int64"))
    assert nullable.to_bytes() == expected.to_bytes()
    assert nullable.classes_.dtype == np.int64


@pytest.mark.parametrize(
    "amounts",
    [
        np.where(Y == 1, 1.5, None),
        np.array([Decimal("NaN")] * ROWS, dtype=object),
        np.full(ROWS, np.datetime64("2024-01-01")),
        pd.Series(Y, dtype="Float64").mask(Y == 0),
    ],
)
def test_amounts_are_numbers_none_missing(amounts: object) -> None:
    with pytest.raises(InputError):
        GBDTRegressor(**SMALL).fit(X, amounts)


def test_arrays_of_times_are_no_numbers_and_masked_values_are_missing() -> None:
    with pytest.raises(InputError, match="times"):
        GBDTClassifier().fit(np.full((ROWS, 1), np.datetime64("2024-01-01")), Y)
    values = X.to_numpy().astype(float)
    gaps = values == 2
    masked = GBDTClassifier(**SMALL).fit(np.ma.array(values, mask=gaps), Y)
    missing = GBDTClassifier(**SMALL).fit(np.where(gaps, np.nan, values), Y)
    assert masked.to_bytes() == missing.to_bytes()


@pytest.mark.parametrize("column", [["a", 1], [{}, {}], [("a",), 1]])
def test_a_frame_of_mixtures_is_refused_by_column(column: list[object]) -> None:
    frame = pd.DataFrame({"mixed": pd.Series(column, dtype=object)})
    with pytest.raises(DataError, match="mixed"):
        GBDTClassifier().fit(frame, [0, 1])


@pytest.mark.parametrize("weights", [{"1": 2.0}, {1: 2.0, 7: 1.0}, {None: 1.0}])
def test_weights_of_no_class_are_refused(weights: dict[object, float]) -> None:
    with pytest.raises(InputError, match="class_weight"):
        GBDTClassifier(**SMALL, class_weight=weights).fit(X, Y)


def test_weights_may_name_some_classes() -> None:
    by_row = GBDTClassifier(**SMALL).fit(X, Y, np.where(Y == 1, 3.0, 1.0))
    by_class = GBDTClassifier(**SMALL, class_weight={np.int64(1): 3}).fit(X, Y)
    assert by_class.to_bytes() == by_row.to_bytes()
    with pytest.raises(InputError, match="class_weight"):
        GBDTClassifier(**SMALL, class_weight=[1, 3]).fit(X, Y)


@pytest.mark.parametrize("estimator", [GBDTClassifier, GBDTRegressor])
def test_rows_to_stop_by_are_one_pair(estimator: type) -> None:
    pair = estimator(**SMALL).fit(X, Y, eval_set=(X, Y))
    for same in ([(X, Y)], [X, Y], [[X, Y]]):
        again = estimator(**SMALL).fit(X, Y, eval_set=same)
        assert np.array_equal(again.validation_losses_, pair.validation_losses_)
    for bad in ([(X, Y), (X, Y)], (X,), X, [], (X, Y, Y)):
        with pytest.raises(InputError, match="eval_set"):
            estimator(**SMALL).fit(X, Y, eval_set=bad)
    with pytest.raises(InputError, match="rows"):
        estimator(**SMALL).fit(X, Y, eval_set=(X, Y[:-1]))


def test_rows_to_stop_by_have_labels_that_fit_has_seen() -> None:
    for bad in (Y + 1, Y.astype(str)):
        with pytest.raises(InputError, match="eval_set has the label"):
            GBDTClassifier(**SMALL).fit(X, Y, eval_set=(X, bad))
