"""Tables in, probabilities out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from retrain_ops.errors import ConfigError, CorruptError, DataError
from retrain_ops.models import (
    DEFAULT_PARAMS,
    Feature,
    GBDTClassifier,
    GBDTRegressor,
    TabularModel,
    TrainingData,
    encode,
    load_model,
    resolve_trainer,
    train_gbdt,
)
from retrain_ops.models import mlflow_flavor as flavor

SMALL = {"n_estimators": 8, "min_samples_leaf": 5, "cat_smooth": 2, "min_data_per_group": 5}


def make_training(rows: int = 1200, days: int = 6, seed: int = 2) -> TrainingData:
    rng = np.random.default_rng(seed)
    carrier = rng.choice(["UA", "AA", "\u00c9A", "Z"], rows)
    wind = rng.normal(size=rows).astype(np.float32)
    lift = wind + np.where(carrier == "UA", 1.0, -0.5)
    label = (rng.random(rows) < 1 / (1 + np.exp(-lift))).astype(np.uint8)
    wind[::11] = np.nan
    table = pa.table({"carrier": carrier, "note": ["x"] * rows, "wind": wind})
    day = np.repeat(np.arange(days, dtype=np.int32), rows // days)
    return TrainingData(table, day, label, ("wind",), ("carrier",))


def fit(data: TrainingData, **kwargs: object) -> TabularModel:
    arguments = {"params": SMALL, "seed": 3, "n_threads": 1, **kwargs}
    return train_gbdt(data, **arguments)


def test_values_are_found_by_column_name_and_category_value() -> None:
    data = make_training()
    model = fit(data)
    table = data.table
    expected = model.scores(table)
    dictionary = pa.array(["UA", "AA", "\u00c9A", "Z"])
    coded = pa.DictionaryArray.from_arrays(
        pa.compute.index_in(table["carrier"].combine_chunks(), dictionary), dictionary
    )
    views: list[object] = [
        table.select(["wind", "note", "carrier"]),
        table.set_column(0, "carrier", coded),
        table.set_column(0, "carrier", table["carrier"].cast(pa.large_string())),
        table.set_column(2, "wind", table["wind"].cast(pa.float64())),
        pa.concat_tables([table.slice(0, 500), table.slice(500)]),
        table.to_pandas(),
        table.to_pandas().astype({"carrier": "category"}),
        table.to_pandas().set_index("note"),
        table.to_batches()[0],
    ]
    for view in views:
        assert np.array_equal(model.scores(view), expected)


def test_missing_and_unseen_values_are_scored_alike() -> None:
    model = fit(make_training())
    table = pa.table({"wind": pa.array([0.0] * 3, pa.float32()), "carrier": [None, "??", "none"]})
    assert len(set(model.scores(table))) == 1


def test_numbers_stay_narrow_when_they_can_and_wide_when_they_must() -> None:
    numeric = [Feature("a", "numeric")]
    for values in (pa.array([1, None, 3]), pa.array([0.5, 2.0]), pa.array([True, None])):
        assert encode(pa.table({"a": values}), numeric).dtype == np.float32
    for values in (pa.array([0.1]), pa.array([16777217]), pa.array([1e300])):
        wide = encode(pa.table({"a": values}), numeric)
        assert wide.dtype == np.float64
        assert wide[0, 0] == values[0].as_py()
    assert np.isnan(encode(pa.table({"a": pa.array([1, None])}), numeric)[1, 0])
    assert np.isnan(encode(pa.table({"a": pa.nulls(1)}), numeric)[0, 0])


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (pa.table({"wind": [1.0]}), "column 'carrier' is missing"),
        (pa.table([[1.0], ["a"], ["b"]], names=["wind", "carrier", "carrier"]), "occurs 2 times"),
        (pa.table({"wind": ["1"], "carrier": ["a"]}), "'wind' must hold numbers"),
        (pa.table({"wind": [1.0], "carrier": [0.5]}), "'carrier' must hold category names"),
        (pd.DataFrame({"carrier": ["a"]}), "column 'wind' is missing"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_by_column(table: object, words: str) -> None:
    with pytest.raises(DataError, match=words):
        fit(make_training()).scores(table)


def test_an_array_is_read_in_the_order_of_the_features() -> None:
    data = make_training()
    model = fit(data)
    names = [feature.name for feature in model.features]
    with pytest.raises(DataError, match="must hold numbers"):
        model.scores([[1.0, "a"]])
    with pytest.raises(DataError, match="7 columns, the model"):
        model.scores(np.zeros((3, 7)))
    numeric = GBDTClassifier(**SMALL).fit(data.table.select(names[:1]), data.label).model_
    wind = np.asarray(data.table[names[0]].to_numpy(), dtype=np.float64)
    assert np.array_equal(numeric.scores(wind[:, None]), numeric.scores(data.table))


def test_a_saved_model_is_the_same_model_and_replaces_whole(tmp_path: Path) -> None:
    data = make_training()
    model = fit(data)
    path = tmp_path / "model.rtm"
    path.write_bytes(b"old")
    model.save(path)
    assert [p.name for p in tmp_path.iterdir()] == ["model.rtm"]
    for source in (path, str(path), model.to_bytes()):
        copy = load_model(source)
        assert copy.sha256 == model.sha256
        assert copy.features == model.features
        assert np.array_equal(copy.scores(data.table), model.scores(data.table))
    path.write_bytes(model.to_bytes()[:-5])
    with pytest.raises(CorruptError):
        load_model(path)


def test_training_depends_on_values_seed_and_params_alone() -> None:
    data = make_training()
    expected = fit(data).to_bytes()
    coded = data.table.set_column(0, "carrier", data.table["carrier"].dictionary_encode())
    same = TrainingData(coded, data.day, data.label, data.numeric, data.categorical)
    assert fit(same).to_bytes() == expected
    assert fit(data, n_threads=3).to_bytes() == expected
    assert fit(data, seed=4).to_bytes() != expected
    assert fit(data, params={**SMALL, "learning_rate": 0.2}).to_bytes() != expected


def test_categories_are_the_sorted_values_of_the_training_rows() -> None:
    assert fit(make_training()).features == (
        Feature("wind", "numeric"),
        Feature("carrier", "categorical", ("AA", "UA", "Z", "\u00c9A")),
    )


def test_the_threshold_maximises_f1_on_rows_of_days_the_model_did_not_see() -> None:
    data = make_training()
    model = fit(data)
    score = np.empty(len(data.day))
    for k in (0, 1):
        out = data.day % 2 == k
        part = TrainingData(
            data.table.filter(pa.array(~out)),
            data.day[~out],
            data.label[~out],
            data.numeric,
            data.categorical,
        )
        score[out] = fit(part).scores(data.table.filter(pa.array(out)))

    def f1(t: float) -> float:
        yes = score >= t
        return 2 * (yes & (data.label == 1)).sum() / (yes.sum() + data.label.sum())

    best = max(sorted(set(score), reverse=True), key=f1)
    assert model.threshold == best
    assert f1(best) > 2 * data.label.mean() / (1 + data.label.mean())


def test_one_day_or_one_class_still_trains() -> None:
    data = make_training()
    one_day = TrainingData(
        data.table, np.zeros_like(data.day), data.label, data.numeric, data.categorical
    )
    assert 0 < fit(one_day).threshold < 1
    one_class = TrainingData(
        data.table, data.day, np.ones_like(data.label), data.numeric, data.categorical
    )
    model = fit(one_class)
    assert model.threshold == 0.5
    assert np.all(model.scores(data.table) > 0.99)


def test_a_category_column_without_values_trains_and_scores() -> None:
    data = make_training()
    table = data.table.set_column(0, "carrier", pa.nulls(data.table.num_rows, pa.string()))
    model = fit(TrainingData(table, data.day, data.label, data.numeric, data.categorical))
    assert model.features[1] == Feature("carrier", "categorical", ())
    assert load_model(model.to_bytes()).sha256 == model.sha256
    assert np.array_equal(model.scores(data.table), model.scores(table))


def test_wrong_data_and_parameters_are_refused() -> None:
    data = make_training()
    empty = TrainingData(data.table.slice(0, 0), data.day[:0], data.label[:0], ("wind",), ())
    with pytest.raises(DataError, match="no labelled rows"):
        fit(empty)
    with pytest.raises(DataError, match="1200 rows"):
        fit(TrainingData(data.table, data.day[:5], data.label, ("wind",), ()))
    with pytest.raises(DataError, match="no feature columns"):
        fit(TrainingData(data.table, data.day, data.label, (), ()))
    with pytest.raises(ConfigError, match="training parameter depth: unknown"):
        fit(data, params={"depth": 3})
    with pytest.raises(ConfigError, match="learning_rate: must lie"):
        fit(data, params={"learning_rate": 0})


def test_the_documented_defaults_hold() -> None:
    assert DEFAULT_PARAMS == {
        "n_estimators": 100, "learning_rate": 0.1, "max_leaf_nodes": 31, "max_depth": 0,
        "min_samples_leaf": 20, "min_child_weight": 1e-3, "min_split_gain": 0,
        "l2_regularization": 0, "colsample": 1, "subsample": 1, "max_bins": 255,
        "cat_smooth": 30, "cat_l2": 10, "min_data_per_group": 100, "max_cat_to_onehot": 4,
        "max_cat_threshold": 32, "l1_regularization": 0, "depth_wise": 0,
    }  # fmt: skip


def test_trainer_and_estimators_start_from_one_table() -> None:
    data = make_training()
    by_trainer = fit(data, params={})
    frame = data.table.select(["carrier", "wind"]).to_pandas()
    seeded = {"random_state": 3, "n_threads": 1}
    by_library = GBDTClassifier(**seeded).fit(frame, data.label, categorical_features=["carrier"])
    assert by_trainer.core.params == by_library.model_.core.params
    assert (
        GBDTRegressor().get_params().items()
        >= {k: v for k, v in DEFAULT_PARAMS.items() if k not in ("max_depth", "depth_wise")}.items()
    )


def test_trainers_are_found_by_name() -> None:
    assert resolve_trainer("gbdt") is train_gbdt
    assert resolve_trainer("retrain_ops.models.training:train_gbdt") is train_gbdt
    for bad in ("xgb", "os:nothing", "no_such_module_x:f", "os:name", ":f", "os:"):
        with pytest.raises(ConfigError, match="trainer"):
            resolve_trainer(bad)


def test_mlflow_gets_probabilities_from_the_file_alone(tmp_path: Path) -> None:
    data = make_training()
    model = fit(data)
    path = tmp_path / flavor.MODEL_FILE
    model.save(path)
    loaded = flavor._load_pyfunc(str(path))
    frame = data.table.to_pandas()
    expected = model.scores(data.table)
    assert np.array_equal(loaded.predict(frame), expected)
    assert np.array_equal(loaded.predict(frame, params=None), expected)
    text = flavor.mlmodel_yaml()
    assert "loader_module: retrain_ops.models.mlflow_flavor\n" in text
    assert f"data: {path.name}\n" in text


def test_the_estimator_learns_from_arrays_and_frames() -> None:
    data = make_training()
    frame = data.table.select(["carrier", "wind"]).to_pandas()
    answer = np.where(data.label == 1, "late", "fine")
    model = GBDTClassifier(**SMALL, random_state=3)
    assert model.fit(frame, answer, categorical_features=["carrier"]) is model
    assert list(model.classes_) == ["fine", "late"]
    p = model.predict_proba(frame)
    assert p.shape == (len(frame), 2)
    assert np.allclose(p.sum(axis=1), 1)
    assert (model.predict(frame) == answer).mean() > 0.65
    codes = frame["carrier"].astype("category").cat.codes.to_numpy(dtype=float)
    x = np.column_stack([codes, frame["wind"]])
    by_number = GBDTClassifier(**SMALL, random_state=3).fit(x, answer, categorical_features=[0])
    assert np.array_equal(by_number.predict_proba(x), p)
    assert load_model(model.to_bytes()).sha256 == model.model_.sha256


def test_the_estimator_has_parameters_like_any_other() -> None:
    model = GBDTClassifier(max_bins=15, n_threads=2)
    assert model.get_params()["max_bins"] == 15
    assert model.set_params(max_bins=31, random_state=8) is model
    assert (model.get_params()["max_bins"], model.random_state, model.n_threads) == (31, 8, 2)
    with pytest.raises(TypeError, match="depth"):
        GBDTClassifier(depth=3)
    with pytest.raises(DataError, match="at most 256"):
        GBDTClassifier().fit(np.zeros((300, 1)), np.arange(300))
    only = GBDTClassifier().fit(np.zeros((3, 1)), ["a"] * 3)
    assert list(only.predict(np.zeros((2, 1)))) == ["a", "a"]
