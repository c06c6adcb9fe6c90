"""A scikit-learn estimator as bytes: skops' format, the same for equal estimators.

skops names what it stores by its place in memory and stamps its zip with the time; scikit-learn
leaves memory unset between the fields of a tree's nodes, and one field of its leaves. Names become
the order in which they occur, the rest becomes 0.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from retrain_ops.errors import ConfigError, CorruptError
from retrain_ops.models.libraries.rows import load_package

SCHEMA = "schema.json"
NEEDS = '"$(ls retrain_ops-*.whl)[scikit-learn]"'

# Of scikit-learn and numpy, beside what skops trusts by itself; a file never adds to it.
TRUSTED = frozenset({
    "numpy.dtype",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
    "sklearn.gaussian_process.kernels.CompoundKernel",
    "sklearn.gaussian_process.kernels.ConstantKernel",
    "sklearn.gaussian_process.kernels.Product",
    "sklearn.gaussian_process.kernels.RBF",
    "sklearn.gaussian_process.kernels.Sum",
    "sklearn.gaussian_process.kernels.WhiteKernel",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.metrics._dist_metrics.ManhattanDistance64",
    "sklearn.metrics._dist_metrics.MinkowskiDistance64",
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",
})  # fmt: skip


def skops_bytes(estimator: Any) -> bytes:
    """The estimator's file.

    Raises:
        ConfigError: it holds what skops cannot store, or a type that is not in TRUSTED.
    """
    skops = load_package("skops.io", NEEDS)
    try:
        data = _canonical(skops.dumps(estimator))
    except Exception as problem:  # whatever the parts of a user's estimator raise
        name = type(estimator).__name__
        raise ConfigError(f"{name} cannot be stored by skops: {problem}") from problem
    strange = untrusted(data)
    if strange:
        raise ConfigError(
            f"{type(estimator).__name__} holds {', '.join(strange)}, which would run code of its "
            "own when it is read; write a trainer of your own with a format of its own"
        )
    return data


def from_skops_bytes(data: bytes) -> Any:
    """The estimator in a file; none of its types is imported before all of them are known.

    Raises:
        CorruptError: it is no such file, or has a type that is not in TRUSTED.
    """
    skops = load_package("skops.io", NEEDS)
    try:
        strange = untrusted(data)
        if not strange:
            return skops.loads(data, trusted=sorted(TRUSTED))
    except Exception as problem:
        raise CorruptError(f"the file of a scikit-learn model is damaged: {problem}") from problem
    raise CorruptError(f"the file of a scikit-learn model asks for {', '.join(strange)}")


def untrusted(data: bytes) -> list[str]:
    """The types in a file that are neither skops' own trusted ones nor in TRUSTED."""
    skops = load_package("skops.io", NEEDS)
    return sorted(set(skops.get_untrusted_types(data=data)) - TRUSTED)


def _canonical(data: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(content.pop(SCHEMA))
    ids: dict[int, int] = {}
    names: dict[str, str] = {}
    for node in _nodes(schema):
        if "__id__" in node:
            node["__id__"] = ids.setdefault(node["__id__"], len(ids))
        if isinstance(node.get("file"), str):
            suffix = node["file"].rpartition(".")[2]
            node["file"] = names.setdefault(node["file"], f"{len(names)}.{suffix}")
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        _add(archive, SCHEMA, json.dumps(schema, separators=(",", ":")).encode())
        for old, new in names.items():
            data = content[old]
            _add(archive, new, _without_unset(data) if new.endswith(".npy") else data)
    return target.getvalue()


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name)  # of 1980: a file's time is not the model's
    entry.create_system = 3
    archive.writestr(entry, data)


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for part in value.values():
            yield from _nodes(part)
    elif isinstance(value, list):
        for part in value:
            yield from _nodes(part)


def _without_unset(data: bytes) -> bytes:
    array = np.load(io.BytesIO(data), allow_pickle=False)
    if array.dtype.names is None:
        return data
    whole = np.zeros(array.shape, array.dtype)  # zeros_like leaves the gaps as they were
    for name in array.dtype.names:
        whole[name] = array[name]
    if {"left_child", "missing_go_to_left"} <= set(array.dtype.names):
        whole["missing_go_to_left"][array["left_child"] < 0] = 0
    # numpy.save copies field by field, and leaves what its buffer held between them.
    return data[: len(data) - array.nbytes] + bytes(whole.tobytes())
