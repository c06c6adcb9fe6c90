"""A model file that names its classes."""

import numpy as np
import pyarrow as pa
import pytest

from retrain_ops.errors import CorruptError
from retrain_ops.models.container import pack
from retrain_ops.models.tabular import CLASSES_MAGIC, load_model
from retrain_ops.models.training import TrainingData, train_gbdt

NAMES = ("late", "on time", "very late")


@pytest.fixture(scope="module")
def model():
    rng = np.random.default_rng(1)
    a = rng.normal(size=600)
    data = TrainingData(
        table=pa.table({"a": a}),
        day=np.repeat(np.arange(6, dtype=np.int32), 100),
        label=np.digitize(a + 0.3 * rng.normal(size=600), (-0.5, 0.5)).astype(np.uint8),
        numeric=("a",),
        categorical=(),
        problem="multiclass",
        classes=NAMES,
    )
    return train_gbdt(data, params={"n_estimators": 5}, seed=1, n_threads=1)


def test_a_file_keeps_the_names(model, tmp_path):
    model.save(tmp_path / "model.rtm")
    read = load_model(tmp_path / "model.rtm")
    assert (read.classes, read.sha256) == (NAMES, model.sha256)
    assert read.to_bytes() == model.to_bytes()
    assert read.with_threshold(0.4).classes == NAMES
    rows = pa.table({"a": [-2.0, 0.0, 2.0]})
    assert read.predict_proba(rows).tolist() == model.predict_proba(rows).tolist()
    assert read.predict(rows).tolist() == [0, 1, 2]
    assert read.importance().shape == (1,)


@pytest.mark.parametrize("names", [None, [], ["a"], ["a", "a", "b"], ["a", 1], {"a": 1}])
def test_names_that_are_none_are_refused(names, model):
    payload = model.core.to_bytes()
    with pytest.raises(CorruptError, match="the classes of the model file are"):
        load_model(pack(CLASSES_MAGIC, {"classes": names}, payload))


def test_every_damage_is_refused(model):
    data = model.to_bytes()
    for cut in (0, 8, 11, 40, len(data) - 1):
        with pytest.raises(CorruptError):
            load_model(data[:cut])
    for place in range(0, len(data), 97):
        flipped = bytearray(data)
        flipped[place] ^= 1
        with pytest.raises(CorruptError):
            load_model(bytes(flipped))
    with pytest.raises(CorruptError):
        load_model(pack(CLASSES_MAGIC, {"classes": list(NAMES)}, data))
    with pytest.raises(CorruptError, match="names 4 classes of a model of 3"):
        load_model(pack(CLASSES_MAGIC, {"classes": [*NAMES, "?"]}, model.core.to_bytes()))
