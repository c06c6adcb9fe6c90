"""Yes or no: labels of 0 and 1, probabilities, and a threshold that makes decisions of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from retrain_ops import _core
from retrain_ops.decisions.curves import ScoreCounts, curve, usable
from retrain_ops.decisions.judge import bootstrap_report
from retrain_ops.decisions.record import BootstrapGate
from retrain_ops.errors import DataError
from retrain_ops.models.tabular import TabularModel
from retrain_ops.models.training import TrainedModel
from retrain_ops.problems.problem import Constant, LabelledDays, Scored, Scores
from retrain_ops.stats.gate_rules import GateRules
from retrain_ops.stats.ranks import roc_auc
from retrain_ops.stats.rounding import to_significant
from retrain_ops.stats.shadow import ShadowRules, ShadowVerdict, Traffic, judge_shadow
from retrain_ops.stats.tables import PairedRows

__all__ = ["BINARY", "auc_of", "decisions"]


class _Binary:
    name = "binary"
    picture_name = "curves"

    def threshold(self, model: TrainedModel) -> float | None:
        return to_significant(model.threshold)

    def scored(self, model: TrainedModel, table: pa.Table, *, n_threads: int) -> Scored:
        return Scored(self._scores(model, table, n_threads), model.threshold)

    def _scores(self, model: TrainedModel, table: pa.Table, n_threads: int) -> Scores:
        if isinstance(model, TabularModel):
            if model.amounts:
                raise DataError(
                    'the model predicts amounts, problem = "binary" needs one of probabilities'
                )
            return model.scores(table, n_threads=n_threads)
        found = np.asarray(model.predict_proba(table, n_threads=n_threads), dtype=np.float64)
        if found.shape not in ((table.num_rows,), (table.num_rows, 2)):
            raise DataError(
                f"predict_proba of the trainer's model gives the shape {found.shape} for "
                f"{table.num_rows} rows: it must be (rows,) or (rows, 2)"
            )
        return found[:, 1] if found.ndim == 2 else found

    def usable(self, model: Scored) -> bool:
        return usable(model.scores) and bool(np.ptp(model.scores) > 0)

    def misses(self, label: NDArray[Any], model: Scored) -> Scores:
        return np.abs(label - model.scores)

    def stand_in(self, label: NDArray[Any], rules: GateRules) -> Constant:
        return None

    def first_rules(self, rules: GateRules) -> GateRules:
        return GateRules()

    def pair(
        self, rows: LabelledDays, champion: Scored | Constant, challenger: Scored
    ) -> PairedRows:
        """The constant model decides 1 for every row, and has no scores."""
        scores, old = None, np.ones(len(rows.label), dtype=np.uint8)
        if isinstance(champion, Scored):
            scores, old = (champion.scores, challenger.scores), decisions(champion)
        return PairedRows(
            day=rows.day,
            n_days=len(rows.days),
            label=rows.label,
            decisions=(old, decisions(challenger)),
            scores=scores,
            n_threads=rows.n_threads,
        )

    def above(self, label: NDArray[Any]) -> int | None:
        return None

    def rank(self, label: NDArray[Any], model: Scored | None) -> float | None:
        return auc_of(label, None if model is None else model.scores)

    def picture(self, label: NDArray[Any], model: Scored | None) -> ScoreCounts | None:
        return curve(label, None if model is None else model.scores)

    def first_champion(self, evaluated: Mapping[str, Any], rules: GateRules) -> BootstrapGate:
        return bootstrap_report(
            evaluated["cells"],
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
        counts = _core.shadow_counts(
            champion.scores,
            challenger.scores,
            champion.threshold,
            challenger.threshold,
            n_threads=n_threads,
        )
        return judge_shadow(counts, rules, **traffic)


def auc_of(label: NDArray[np.uint8], scores: Scores | None) -> float | None:
    """To 9 digits; None without scores, or with one class."""
    if scores is None or label.min() == label.max():
        return None
    return to_significant(roc_auc(label, scores))


def decisions(model: Scored) -> NDArray[np.uint8]:
    """At the model's own threshold, uint8 (rows,); a NaN score decides 0."""
    return np.asarray(model.scores >= model.threshold, dtype=np.uint8)


BINARY = _Binary()
