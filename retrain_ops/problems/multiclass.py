"""Which of several: labels are texts, and a model says the class with the largest probability.

The classes are those of a model's training days. Two models are compared over those of both: one
that does not know a class gives it probability 0, and is wrong on its rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from retrain_ops.data.labels import class_codes, class_names
from retrain_ops.decisions.amounts import constant_report
from retrain_ops.decisions.classes import ClassPicture, class_picture
from retrain_ops.decisions.record import BootstrapGate
from retrain_ops.errors import DataError
from retrain_ops.models.training import TrainedModel
from retrain_ops.problems.binary import auc_of
from retrain_ops.problems.problem import Constant, LabelledDays, Scored, Scores
from retrain_ops.stats.class_counts import SaidClasses
from retrain_ops.stats.gate_rules import GateRules
from retrain_ops.stats.rounding import to_significant
from retrain_ops.stats.shadow import ShadowRules, ShadowVerdict, Traffic, judge_shadow
from retrain_ops.stats.shadow_classes import CLASSES, class_shadow_counts, sound
from retrain_ops.stats.tables import PairedRows, paired_classes

__all__ = ["MULTICLASS"]

Codes = NDArray[np.int32]


class _Multiclass:
    name = "multiclass"
    picture_name = "classes"

    def threshold(self, model: TrainedModel) -> float | None:
        return None

    def scored(self, model: TrainedModel, table: pa.Table, *, n_threads: int) -> Scored:
        classes = tuple(getattr(model, "classes", ()))
        if not classes:
            raise DataError(
                f'a {type(model).__name__} names no classes, which problem = "multiclass" asks for'
            )
        found = np.asarray(model.predict_proba(table, n_threads=n_threads), dtype=np.float64)
        if found.shape != (table.num_rows, len(classes)):
            raise DataError(
                f"predict_proba of the trainer's model gives the shape {found.shape} for "
                f"{table.num_rows} rows and {len(classes)} classes: it must be (rows, classes)"
            )
        return Scored(found, classes=classes)

    def usable(self, model: Scored) -> bool:
        scores = model.scores
        return bool(sound(scores).all()) and bool((np.ptp(scores, axis=0) > 0).any())

    def misses(self, label: NDArray[Any], model: Scored) -> Scores:
        return 1.0 - _probability(model, label)

    def stand_in(self, label: NDArray[Any], rules: GateRules) -> Constant:
        """The share of each class among the training days' labels, to 9 digits."""
        classes = class_names(label)
        counts = np.bincount(class_codes(label, classes), minlength=len(classes))
        return [to_significant(share) or 0.0 for share in (counts / len(label)).tolist()]

    def first_rules(self, rules: GateRules) -> GateRules:
        return rules

    def pair(
        self, rows: LabelledDays, champion: Scored | Constant, challenger: Scored
    ) -> PairedRows:
        if not isinstance(champion, Scored):
            assert isinstance(champion, Sequence)
            shares = np.broadcast_to(np.asarray(champion), (len(rows.label), len(champion)))
            champion = Scored(shares, classes=challenger.classes)
        both = (champion, challenger)
        for model, who in zip(both, ("champion", "challenger"), strict=True):
            _check_sound(model, who, rows)
        classes = _of_both(*both)
        label = class_codes(rows.label, classes)
        _check_known(rows, label)
        old, new = (_said(model, classes).astype(np.uint8) for model in both)
        said = SaidClasses(label.astype(np.uint8), old, new, max(len(classes), 1))
        return paired_classes(
            rows.day,
            len(rows.days),
            said,
            (_probability(champion, rows.label), _probability(challenger, rows.label)),
            n_threads=rows.n_threads,
        )

    def above(self, label: NDArray[Any]) -> int | None:
        return int(_uncommon(label)[0].sum())

    def rank(self, label: NDArray[Any], model: Scored | None) -> float | None:
        if model is None:
            return None
        uncommon, common = _uncommon(label)
        if common not in model.classes:
            return None
        return auc_of(uncommon, 1 - model.scores[:, model.classes.index(common)])

    def picture(self, label: NDArray[Any], model: Scored | None) -> ClassPicture | None:
        if model is None:
            return None
        classes = _of_both(model, Scored(model.scores, classes=class_names(label)))
        return class_picture(class_codes(label, classes), _said(model, classes), classes)

    def first_champion(self, evaluated: Mapping[str, Any], rules: GateRules) -> BootstrapGate:
        return constant_report(
            evaluated["cells"],
            evaluated.get("sums") or {},
            rules,
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
        classes = _of_both(champion, challenger)
        said = _said(champion, classes), _said(challenger, classes)
        counts = class_shadow_counts(champion.scores, challenger.scores, said, len(classes))
        return judge_shadow(counts, rules, view=CLASSES, **traffic)


def _of_both(champion: Scored, challenger: Scored) -> tuple[str, ...]:
    return class_names(np.array([*champion.classes, *challenger.classes], dtype=object))


def _said(model: Scored, classes: Sequence[str]) -> Codes:
    """The place in `classes` of what a model says of each row; the first of equal ones."""
    own = class_codes(np.array(model.classes, dtype=object), classes)
    if not len(model.scores):
        return np.zeros(0, np.int32)
    return np.asarray(own[np.argmax(model.scores, axis=1)])


def _probability(model: Scored, label: NDArray[Any]) -> Scores:
    """What a model gives the class that occurred, float64 (rows,)."""
    place = class_codes(label, model.classes)
    if not len(label):
        return np.zeros(0)
    found = model.scores[np.arange(len(label)), np.maximum(place, 0)]
    return np.where(place < 0, 0.0, np.minimum(found, 1.0))


def _uncommon(label: NDArray[Any]) -> tuple[NDArray[np.uint8], str]:
    """Which rows are not of the class that most rows have, and that class."""
    classes = class_names(label)
    codes = class_codes(label, classes)
    common = int(np.argmax(np.bincount(codes)))
    return (codes != common).astype(np.uint8), classes[common]


def _check_sound(model: Scored, who: str, rows: LabelledDays) -> None:
    if not len(rows.label):
        return
    odd = np.flatnonzero(~sound(model.scores))
    if odd.size:
        shown = ", ".join(f"{p:g}" for p in model.scores[odd[0]])
        raise DataError(
            f"the {who} predicts {shown} on {rows.days[rows.day[odd[0]]]}, and no probabilities "
            f"for {odd.size} of {len(model.scores)} rows: it cannot be judged"
        )


def _check_known(rows: LabelledDays, label: Codes) -> None:
    new = np.flatnonzero(label < 0)
    if new.size:
        raise DataError(
            f"the label {rows.column} is {rows.label[new[0]]!r} on "
            f"{rows.days[rows.day[new[0]]]}, a class that neither model has learnt ({new.size} of "
            f"{len(label)} rows): correct it, or make it null"
        )


MULTICLASS = _Multiclass()
