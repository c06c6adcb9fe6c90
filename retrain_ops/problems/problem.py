"""What the steps ask of a problem: scores, two models on the same rows, shadow, first champion.

What its labels are is in :mod:`retrain_ops.data.labels`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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

__all__ = ["Constant", "LabelledDays", "Problem", "Scored"]

Scores = NDArray[np.float64]

Constant = float | Sequence[float] | None
"""What a model says that says the same of every row: an amount, or a probability of each class."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A model's scores, float64 (rows,), and from where on they mean yes, where they do.

    Of several `classes` they are probabilities, float64 (rows, classes).
    """

    scores: Scores
    threshold: float = math.nan
    classes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LabelledDays:
    """The labels of some rows, and the days that they lie on.

    `day` is int32 (rows,), indices of `days`; `label` as `retrain_ops.data.labels` reads it
    from `column`.
    """

    day: NDArray[np.int32]
    days: tuple[date, ...]
    label: NDArray[Any]
    n_threads: int = 0
    column: str = ""


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

    def usable(self, model: Scored) -> bool:
        """Whether a first champion may have these scores: sound ones that tell rows apart."""

    def misses(self, label: NDArray[Any], model: Scored) -> Scores:
        """How wrong a model is about each row, float64 (rows,), 0 where it is right; NaN where it
        has no score."""

    def stand_in(self, label: NDArray[Any], rules: GateRules) -> Constant:
        """What the constant model says that a first champion has to beat, from training labels;
        None where it needs no scores."""

    def first_rules(self, rules: GateRules) -> GateRules:
        """By which rules a first champion is counted and judged."""

    def pair(
        self, rows: LabelledDays, champion: Scored | Constant, challenger: Scored
    ) -> PairedRows:
        """Two models on the same rows; `champion` is a constant where there is none.

        Raises:
            DataError: a score is missing that is needed.
        """

    def above(self, label: NDArray[Any]) -> int | None:
        """Rows that a first champion has to tell from the others, where no cell counts them."""

    def rank(self, label: NDArray[Any], model: Scored | None) -> float | None:
        """AUC to 9 digits, of amounts that of telling rows above the median label from the
        others, of classes rows of the most common one; None without scores, or where all rows
        are alike."""

    def picture(self, label: NDArray[Any], model: Scored | None) -> Mapping[str, Any] | None:
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
