"""What the classifier and the regressor of gradient boosted trees have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from retrain_ops import _core
from retrain_ops.models.estimator import Estimator
from retrain_ops.models.input import InputError

_TRANSLATED = ("depth_wise", "max_depth")
_DEFAULTS = _core.gbdt_params({})
"""The core's table is the only one: `trainer = "gbdt"` starts from the same values."""
_CORE = tuple(name for name in _DEFAULTS if name not in _TRANSLATED)
Fitted = TypeVar("Fitted", bound="Boosting")
_VALIDATION_STREAM = 0x76616C  # of the counter RNG: which rows early stopping holds out


def _whole(name: str) -> int:
    return int(_DEFAULTS[name])


@dataclass(kw_only=True, eq=False, repr=False)
class Boosting(Estimator):
    """Parameters, input and files of `GBDTClassifier` and `GBDTRegressor`.

    Trees can go on: `fit(X, y, init_model=earlier)` appends `n_estimators` rounds to those of an
    earlier fit, `refit_leaves` fits the leaves to new rows without losing what the old ones knew,
    `drop_rounds` drops the oldest rounds. All three give equal bytes for any thread count.

    Parameters:
        n_estimators, learning_rate: rounds, and the share of each tree's step.
        max_leaf_nodes, max_depth (None or 0: no limit), min_samples_leaf, min_child_weight
            (sum of second derivatives), min_split_gain: when a tree stops growing.
        grow_policy: "lossguide" splits the leaf that gains most, "depthwise" the shallowest.
        l1_regularization, l2_regularization: on leaf values.
        colsample, subsample: share of columns and rows that each tree sees.
        max_bins: bins of a numeric column, at most 255.
        cat_smooth, cat_l2, min_data_per_group, max_cat_to_onehot, max_cat_threshold:
            categorical splits, with the meaning they have in LightGBM. A column's 1,020 most
            frequent categories are told apart; rarer ones count as missing.
        categorical_features: the columns whose values are categories, by name or position, as a
            mask of all columns, or "from_dtype" (pandas' category, polars' Categorical and Enum,
            Arrow's dictionaries). In an array they must hold whole numbers.
        monotonic_cst: {column: 1 (never falls), -1 (never rises)}, or one number for each
            column.
        early_stopping_rounds: stop after so many rounds without a better loss of the rows of
            `eval_set`, or of a `validation_fraction` of X drawn by the seed; 0 is off. Trees
            past the best round are dropped.
        n_threads: 0 means all that the process may use; it changes no bit.
        random_state: the seed; None is 0.
    """

    n_estimators: int = _whole("n_estimators")
    learning_rate: float = _DEFAULTS["learning_rate"]
    max_leaf_nodes: int = _whole("max_leaf_nodes")
    max_depth: int | None = None
    min_samples_leaf: int = _whole("min_samples_leaf")
    min_child_weight: float = _DEFAULTS["min_child_weight"]
    min_split_gain: float = _DEFAULTS["min_split_gain"]
    grow_policy: str = "lossguide"
    l1_regularization: float = _DEFAULTS["l1_regularization"]
    l2_regularization: float = _DEFAULTS["l2_regularization"]
    colsample: float = _DEFAULTS["colsample"]
    subsample: float = _DEFAULTS["subsample"]
    max_bins: int = _whole("max_bins")
    cat_smooth: float = _DEFAULTS["cat_smooth"]
    cat_l2: float = _DEFAULTS["cat_l2"]
    min_data_per_group: int = _whole("min_data_per_group")
    max_cat_to_onehot: int = _whole("max_cat_to_onehot")
    max_cat_threshold: int = _whole("max_cat_threshold")
    categorical_features: Any = None
    monotonic_cst: Mapping[Any, int] | Sequence[int] | None = None
    early_stopping_rounds: int = _whole("early_stopping_rounds")
    validation_fraction: float = 0.1
    n_threads: int = 0
    random_state: int | None = 0
    _kind: ClassVar[str] = "trees"

    @property
    def feature_importances_(self) -> NDArray[np.float64]:
        """Share of the whole gain by feature, float64 [F]; zeros without any split."""
        if not hasattr(self, "model_"):
            raise AttributeError("feature_importances_ needs a fitted estimator")
        gain = self.model_.importance("gain")
        return gain / gain.sum() if gain.sum() > 0 else gain

    def _fit(
        self,
        X: Any,
        target: NDArray[Any],
        weight: NDArray[np.float64] | None,
        categorical_features: Any,
        objective: str,
        evaluation: tuple[Any, ...] | None,
        earlier: Boosting | None,
    ) -> None:
        """Trains on targets as the core wants them; `evaluation` = (X, target, weight)."""
        matrix, features = self._rows_to_fit(X, categorical_features, earlier)
        names = [feature.name for feature in features]
        rows = (matrix, target, weight)
        if evaluation is not None:
            evaluation = (self._matrix(evaluation[0], features), *evaluation[1:])
        elif self.early_stopping_rounds:
            rows, evaluation = self._hold_out(*rows)
        losses: list[float] = []
        core = _core.gbdt_train(
            rows[0],
            rows[1],
            weight=rows[2],
            features=[(f.name, f.kind, f.categories) for f in features],
            params=self._core_params(),
            seed=self._seed(),
            n_threads=self.n_threads,
            objective=objective,
            monotone=self._monotone(names),
            evaluation=None if evaluation is None else _without_none(evaluation),
            progress=None if evaluation is None else lambda *told: losses.append(told[3]),
            init=None if earlier is None else earlier._fitted,
        )
        self._keep(core, X, names, losses)

    def _earlier(self: Fitted, init_model: Fitted) -> Fitted:
        """The fit to go on from. Raises TypeError unless it is one of this estimator's kind."""
        if not isinstance(init_model, type(self)):
            raise TypeError(
                f"init_model must be a fitted {type(self).__name__}, not {init_model!r}"
            )
        init_model._fitted  # noqa: B018 - raises where it is not
        return init_model

    def drop_rounds(self: Fitted, rounds: int) -> Fitted:
        """Drops the oldest rounds, as many as `rounds` says, and returns the estimator.

        Each of their trees leaves its mean over the rows that it was grown from in the base
        score, the sum over its leaves of rows times value, divided by all rows: scores keep their
        level. Raises ValueError for more rounds than there are.
        """
        self._go_on_with(_core.gbdt_drop_rounds(self._fitted, rounds))
        return self

    def _refit(
        self, X: Any, target: NDArray[Any], weight: NDArray[np.float64] | None, gamma: float
    ) -> None:
        """Leaves to targets as the core wants them."""
        if self.monotonic_cst is not None:
            raise ValueError("refit_leaves does not keep monotonic_cst: use fit with init_model")
        core = _core.gbdt_refit(
            self._fitted,
            self._matrix(X, self.model_.features),
            target,
            gamma=gamma,
            weight=weight,
            n_threads=self.n_threads,
        )
        self._go_on_with(core)

    def _go_on_with(self, core: _core.Model) -> None:
        self.model_ = replace(self.model_, core=core)
        self.n_iter_ = core.n_trees // len(core.base_scores)

    def _keep(self, core: _core.Model, X: Any, names: list[str], losses: list[float]) -> None:
        self._take(core, X, names)
        self.n_iter_ = core.n_trees // len(core.base_scores)
        self.validation_losses_ = np.asarray(losses, dtype=np.float64)

    def _core_params(self) -> dict[str, Any]:
        if self.grow_policy not in ("lossguide", "depthwise"):
            raise ValueError(f'grow_policy is "lossguide" or "depthwise", not {self.grow_policy!r}')
        params = {name: getattr(self, name) for name in _CORE}
        depth_wise = int(self.grow_policy == "depthwise")
        return {**params, "max_depth": self.max_depth or 0, "depth_wise": depth_wise}

    def _seed(self) -> int:
        if self.random_state is None:
            return 0
        if isinstance(self.random_state, np.random.RandomState):
            return int(self.random_state.randint(2**31 - 1))
        return int(self.random_state)

    def _monotone(self, names: list[str]) -> list[int] | None:
        if self.monotonic_cst is None:
            return None
        if not isinstance(self.monotonic_cst, Mapping):
            return list(self.monotonic_cst)
        unknown = [name for name in self.monotonic_cst if str(name) not in names]
        if unknown:
            raise InputError(f"monotonic_cst names {unknown}, which are not among {names}")
        wanted = {str(name): value for name, value in self.monotonic_cst.items()}
        return [wanted.get(name, 0) for name in names]

    def _hold_out(
        self, matrix: Any, target: NDArray[Any], weight: NDArray[np.float64] | None
    ) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """Rows to learn from, and those to stop by: a row's draw depends on its place alone."""
        if not 0 < self.validation_fraction < 1:
            raise ValueError("validation_fraction must lie between 0 and 1")
        draws = _core.philox(self._seed(), _VALIDATION_STREAM, len(target))
        held = draws < self.validation_fraction * 2.0**32
        if held.all() or not held.any():
            raise InputError(
                f"{len(target)} rows are too few to hold some out for early stopping; give eval_set"
            )
        parts = [
            (matrix[rows], target[rows], None if weight is None else weight[rows])
            for rows in (~held, held)
        ]
        return parts[0], parts[1]


def _without_none(parts: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(part for part in parts if part is not None)
