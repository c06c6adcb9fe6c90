"""The file of a model of another library, and the core that it gives a `TabularModel`."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from retrain_ops.errors import ConfigError, CorruptError
from retrain_ops.models.container import pack, unpack
from retrain_ops.models.libraries.boosters import (
    LightGBM,
    XGBoost,
    load_lightgbm_model,
    load_xgboost_model,
)
from retrain_ops.models.libraries.rows import Library, Rows, Scorer, load_package
from retrain_ops.models.libraries.scikit import Scikit, fit_bytes, load_scikit_model
from retrain_ops.models.libraries.skops_bytes import NEEDS
from retrain_ops.models.tabular import LIBRARY_MAGIC, Feature

log = logging.getLogger(__name__)

LOADERS: Mapping[str, Callable[[bytes, tuple[Feature, ...]], Scorer]] = MappingProxyType({
    "xgboost": load_xgboost_model,
    "lightgbm": load_lightgbm_model,
    "sklearn": load_scikit_model,
})  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class LibraryModel:
    """A model of `library`, a name of LOADERS, as that library of that `version` wrote it.

    `score` scores a matrix [n, F] that `encode` made.
    """

    library: str
    version: str
    columns: tuple[Feature, ...]
    payload: bytes = field(repr=False)
    score: Scorer = field(repr=False)
    threshold: float = 0.5
    amounts: bool = False

    @property
    def objective(self) -> str:
        """Of amounts it is whatever the library was given; readers ask whether it is one."""
        return "squared_error" if self.amounts else "binary"

    @property
    def kind(self) -> str:
        """Which library's it is."""
        return self.library

    @property
    def features(self) -> list[tuple[str, str, list[str]]]:
        """Name, kind and categories of each."""
        return [(f.name, f.kind, list(f.categories)) for f in self.columns]

    @property
    def sha256(self) -> str:
        """Of the file."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def with_threshold(self, threshold: float, /) -> LibraryModel:
        """The same model with another decision threshold."""
        return replace(self, threshold=threshold)

    def predict(self, x: ArrayLike, *, n_threads: int = 0) -> NDArray[np.float64]:
        """P(label = 1) or the amount of each row of a matrix [n, F], float64 [n].

        A row whose infinities or missing values the library refuses scores NaN, which decides
        no and counts as a row without a score.
        """
        matrix = np.asarray(x)
        left = np.ones(len(matrix), dtype=bool)
        for refused in (np.isinf, np.isnan):
            try:
                return self._scores(matrix, left, n_threads)
            except ValueError:
                left &= ~refused(matrix).any(axis=1)
        return self._scores(matrix, left, n_threads)

    def _scores(
        self, matrix: NDArray[Any], left: NDArray[np.bool_], n_threads: int
    ) -> NDArray[np.float64]:
        found = np.full(len(matrix), np.nan)
        if left.any():
            found[left] = self.score(matrix if left.all() else matrix[left], n_threads)
        return found

    def to_bytes(self) -> bytes:
        """The model file (docs/model-format.md)."""
        header = {
            "features": self.features,
            "library": self.library,
            "threshold": self.threshold,
            "version": self.version,
            **({"amounts": True} if self.amounts else {}),
        }
        return pack(LIBRARY_MAGIC, header, self.payload)


def library_of(trainer: str, *, amounts: bool = False) -> Library:
    """The library behind "xgboost", "lightgbm" or "sklearn:Name"; `amounts` for a model of such,
    which scikit-learn's classifiers are not."""
    boosters: Mapping[str, Callable[..., Library]] = {"xgboost": XGBoost, "lightgbm": LightGBM}
    if trainer in boosters:
        return boosters[trainer](amounts=amounts)
    return Scikit(trainer.partition(":")[2])


def library_model(
    trainer: str, rows: Rows, *, params: Mapping[str, object], seed: int, n_threads: int
) -> LibraryModel:
    """A model by another library, scored from the bytes that will be its file."""
    library = library_of(trainer, amounts=rows.amounts)
    payload = library.train(rows, params, seed=seed, n_threads=n_threads)
    return _model(library.package, rows.features, payload, amounts=rows.amounts)


def estimator_model(estimator: Any, rows: Rows, *, seed: int, n_threads: int) -> LibraryModel:
    """The same by a clone of an estimator of scikit-learn."""
    clone = load_package("sklearn.base", NEEDS).clone
    payload = fit_bytes(clone(estimator), rows, seed=seed, n_threads=n_threads)
    return _model("sklearn", rows.features, payload)


def _model(
    library: str, features: tuple[Feature, ...], payload: bytes, *, amounts: bool = False
) -> LibraryModel:
    version = str(load_package(library, library).__version__)
    score = LOADERS[library](payload, features)
    return LibraryModel(library, version, features, payload, score, amounts=amounts)


def read_library_model(data: bytes) -> LibraryModel:
    """The model in a file.

    Its checksum, header and types are checked before its library reads the rest.

    Raises:
        CorruptError: it is not a whole, undamaged file, or the library cannot read its part.
        ConfigError: the library is not installed.
    """
    header, payload = unpack(LIBRARY_MAGIC, data, "a library's model")
    try:
        features = tuple(
            Feature(name, kind, tuple(levels)) for name, kind, levels in header["features"]
        )
        model = {key: header[key] for key in ("library", "version", "threshold")}
        amounts = header.get("amounts", False)
        _check(features, amounts=amounts, **model)
    except (KeyError, TypeError, ValueError) as problem:
        raise CorruptError(f"the header of the model file is damaged: {problem}") from problem
    _note_version(model["library"], model["version"])
    try:
        score = LOADERS[model["library"]](payload, features)
    except (ConfigError, CorruptError):
        raise
    except Exception as problem:  # whatever a library raises at bytes that it does not know
        raise CorruptError(f"{model['library']} cannot read its model: {problem}") from problem
    return LibraryModel(columns=features, payload=payload, score=score, amounts=amounts, **model)


def _check(
    features: tuple[Feature, ...],
    *,
    library: object,
    version: object,
    threshold: object,
    amounts: object,
) -> None:
    """Raises ValueError for what no writer writes."""
    if not isinstance(amounts, bool):
        raise ValueError(f"amounts is {amounts!r}")
    if library not in LOADERS or not isinstance(version, str):
        raise ValueError(f"unknown library {library!r} {version!r}")
    if not isinstance(threshold, float) or not math.isfinite(threshold):
        raise ValueError(f"the threshold is {threshold!r}")
    names = [feature.name for feature in features]
    if not names or len(set(names)) < len(names):
        raise ValueError("there are no features, or two of one name")
    for feature in features:
        texts = (feature.name, *feature.categories)
        if feature.kind not in ("numeric", "categorical") or not all(
            isinstance(text, str) for text in texts
        ):
            raise ValueError(f"feature {feature.name!r} is of no known kind")
        if list(feature.categories) != sorted(set(feature.categories), key=str.encode):
            raise ValueError(f"the categories of {feature.name!r} are not in order")


def _note_version(library: str, version: str) -> None:
    have = str(load_package(library, library).__version__)
    if have != version:
        log.warning(
            "a model of %s %s is read by %s: scores may differ; train it again with the version "
            "that serves",
            library, version, have,
        )  # fmt: skip
