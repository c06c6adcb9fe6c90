"""What the steps ask of a problem: scores, two models on the same rows, shadow, first champion.

What its labels are is in :mod:`retrain_ops.data.labels`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol, Unpack

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from retrain_ops.decisions.record import BootstrapGate
from retrain_ops.models.training import TrainedModel
from retrain_ops.stats.gate_rules import GateRules
from retrain_ops.stats.shadow import ShadowRules, ShadowVerdict, Traffic
from retrain_ops.stats.tables import PairedRows

__all__ = ["LabelledDays", "Problem", "Scored"]

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scored:
    """A model's scores, float64 (rows,), and from where on they mean yes, where they do."""

    scores: Scores
    threshold: float = math.nan


@dataclass(frozen=True, slots=True)
class LabelledDays:
    """The labels of some rows, and the days that they lie on.

    `day` is int32 (rows,), indices of `days`; `label` as `retrain_ops.data.labels` reads it.
    """

    day: NDArray[np.int32]
    days: tuple[date, ...]
    label: NDArray[Any]
    n_threads: int = 0


class Problem(Protocol):
    """One kind of question that a model answers."""

    @property
    def name(self) -> str:
        """As `[model] problem` writes it."""

    @property
    def picture_name(self) -> str:
        """The key of report.json under which `picture` is kept."""

    def threshold(self, model: TrainedModel) -> float | None:
        """From where on its scores mean yes; None where there is no such thing."""

    def scored(self, model: TrainedModel, table: pa.Table, *, n_threads: int) -> Scored:
        """What the model says of each row.

        Raises:
            DataError: it is a model of another problem, or gives another shape.
        """

    def usable(self, scores: Scores) -> bool:
        """Whether a first champion may have these scores: sound ones that tell rows apart."""

    def stand_in(self, label: NDArray[Any], rules: GateRules) -> float | None:
        """What the constant model says that a first champion has to beat, from training labels;
        None where it needs no scores."""

    def first_rules(self, rules: GateRules) -> GateRules:
        """By which rules a first champion is counted and judged."""

    def pair(
        self, rows: LabelledDays, champion: Scored | float | None, challenger: Scored
    ) -> PairedRows:
        """Two models on the same rows; `champion` is a constant where there is none.

        Raises:
            DataError: a score is missing that is needed.
        """

    def above(self, label: NDArray[Any]) -> int | None:
        """Rows that a first champion has to tell from the others, where no cell counts them."""

    def rank(self, label: NDArray[Any], scores: Scores | None) -> float | None:
        """AUC to 9 digits, of amounts that of telling rows above the median label from the
        others; None without scores, or where all rows are alike."""

    def picture(self, label: NDArray[Any], scores: Scores | None) -> Mapping[str, Any] | None:
        """What the day's page shows of a model, as plain data; None without scores."""

    def first_champion(self, evaluated: Mapping[str, Any], rules: GateRules) -> BootstrapGate:
        """Whether a model may be the first champion, from what evaluate counted."""

    def shadow(
        self,
        champion: Scored,
        challenger: Scored,
        rules: ShadowRules,
        *,
        n_threads: int,
        **traffic: Unpack[Traffic],
    ) -> ShadowVerdict:
        """The verdict on a shadow, from what both models said of the same requests; `traffic` is
        how live ones went."""
