"""How much: labels and predictions are amounts, and nothing is decided of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from retrain_ops.decisions.amounts import AmountPicture, constant_report, constant_rules, picture
from retrain_ops.decisions.record import BootstrapGate
from retrain_ops.errors import DataError
from retrain_ops.models.tabular import TabularModel
from retrain_ops.models.training import TrainedModel
from retrain_ops.problems.binary import auc_of
from retrain_ops.problems.problem import Constant, LabelledDays, Scored, Scores
from retrain_ops.stats.gate_rules import GateRules
from retrain_ops.stats.metrics.amounts import Amounts
from retrain_ops.stats.rounding import to_significant
from retrain_ops.stats.shadow import ShadowRules, ShadowVerdict, Traffic, judge_shadow
from retrain_ops.stats.shadow_amounts import AMOUNTS, LARGEST, amount_counts
from retrain_ops.stats.tables import PairedRows, paired_amounts

__all__ = ["REGRESSION"]


class _Regression:
    name = "regression"
    picture_name = "amounts"

    def threshold(self, model: TrainedModel) -> float | None:
        return None

    def scored(self, model: TrainedModel, table: pa.Table, *, n_threads: int) -> Scored:
        return Scored(self._amounts(model, table, n_threads))

    def _amounts(self, model: TrainedModel, table: pa.Table, n_threads: int) -> Scores:
        if isinstance(model, TabularModel):
            if not model.amounts:
                raise DataError(
                    'the model predicts probabilities, problem = "regression" needs one of amounts'
                )
            return model.scores(table, n_threads=n_threads)
        if not hasattr(model, "predict"):
            raise DataError(
                f'a {type(model).__name__} has no predict, which problem = "regression" asks for'
            )
        found = np.asarray(model.predict(table, n_threads=n_threads), dtype=np.float64)
        if found.shape != (table.num_rows,):
            raise DataError(
                f"predict of the trainer's model gives the shape {found.shape} for "
                f"{table.num_rows} rows: it must be (rows,)"
            )
        return found

    def usable(self, model: Scored) -> bool:
        return bool((np.abs(model.scores) <= LARGEST).all() and np.ptp(model.scores) > 0)

    def misses(self, label: NDArray[Any], model: Scored) -> Scores:
        return np.abs(label - model.scores)

    def stand_in(self, label: NDArray[Any], rules: GateRules) -> Constant:
        """To 9 digits, so that no order of a sum shows in it."""
        metric = constant_rules(rules).scored_by
        assert isinstance(metric, Amounts)
        return to_significant(metric.constant(label))

    def first_rules(self, rules: GateRules) -> GateRules:
        return constant_rules(rules)

    def pair(
        self, rows: LabelledDays, champion: Scored | Constant, challenger: Scored
    ) -> PairedRows:
        if isinstance(champion, Scored):
            old = _finite(champion.scores, "champion", rows)
        else:
            assert isinstance(champion, float)
            old = np.full(len(rows.label), champion)
        new = _finite(challenger.scores, "challenger", rows)
        return paired_amounts(
            rows.day, len(rows.days), rows.label, (old, new), n_threads=rows.n_threads
        )

    def above(self, label: NDArray[Any]) -> int | None:
        return int(_above(label).sum())

    def rank(self, label: NDArray[Any], model: Scored | None) -> float | None:
        return auc_of(_above(label), None if model is None else model.scores)

    def picture(self, label: NDArray[Any], model: Scored | None) -> AmountPicture | None:
        return picture(label, None if model is None else model.scores)

    def first_champion(self, evaluated: Mapping[str, Any], rules: GateRules) -> BootstrapGate:
        return constant_report(
            evaluated["cells"],
            evaluated["sums"],
            constant_rules(rules),
            constant=evaluated["constant"],
            above=evaluated["above"],
            auc=evaluated["auc_challenger"],
            scores_usable=bool(evaluated["scores_usable"]),
        )

    def shadow(
        self,
        champion: Scored,
        challenger: Scored,
        rules: ShadowRules,
        *,
        n_threads: int,
        **traffic: Unpack[Traffic],
    ) -> ShadowVerdict:
        counts = amount_counts(champion.scores, challenger.scores, n_threads=n_threads)
        return judge_shadow(counts, rules, view=AMOUNTS, **traffic)


def _above(label: Scores) -> NDArray[np.uint8]:
    """Whether a row has more than the median label; where half of them share it, at least that:
    of both the split that is closer to halves."""
    middle = np.median(label)
    more = (label > middle).astype(np.uint8)
    least = (label >= middle).astype(np.uint8)
    return least if abs(2 * least.mean() - 1) < abs(2 * more.mean() - 1) else more


def _finite(scores: Scores, who: str, rows: LabelledDays) -> Scores:
    odd = np.flatnonzero(~np.isfinite(scores))
    if odd.size:
        raise DataError(
            f"the {who} predicts {scores[odd[0]]:g} on {rows.days[rows.day[odd[0]]]}, and no "
            f"finite amount for {odd.size} of {len(scores)} rows: it cannot be judged"
        )
    return scores


REGRESSION = _Regression()
