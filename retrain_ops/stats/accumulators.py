"""Counts that travel: partial results as bytes that merge into the same bytes in any order.

Count a chunk of rows where it lies, keep or send the bytes, merge them in any order and tree: the
result is, byte for byte, that of all rows counted at once. The form is versioned and
little-endian (csrc/evaluation/accumulator.h).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import reduce

import numpy as np
from numpy.typing import ArrayLike, NDArray

from retrain_ops import _core
from retrain_ops.errors import DataError

__all__ = [
    "Accumulator",
    "Kind",
    "auc_of_runs",
    "cells",
    "drift",
    "merge_all",
    "rank_runs",
    "score_sums",
    "shadow",
]


class Kind(IntEnum):
    """What is counted, and the shape of its counts."""

    DRIFT = 1
    CELLS = 2
    RUNS = 3
    SCORES = 4
    SHADOW = 5


@dataclass(frozen=True, slots=True)
class Accumulator:
    """Counts of one kind; its bytes are its identity.

    Two accumulators merge when they are about the same thing: equal kind, shape (RUNS may differ
    in length) and basis (the edges of DRIFT, the thresholds of SHADOW).
    """

    data: bytes

    @classmethod
    def from_bytes(cls, data: bytes) -> Accumulator:
        """The accumulator that `to_bytes` gave; CorruptError when the bytes are not one."""
        _core.accumulator_unpack(data)
        return cls(data)

    def to_bytes(self) -> bytes:
        """What `from_bytes` reads, here and on any other machine."""
        return self.data

    def merge(self, other: Accumulator) -> Accumulator:
        """Both together.

        Raises:
            DataError: the two are not about the same thing.
        """
        try:
            return Accumulator(_core.accumulator_merge(self.data, other.data))
        except _core.CorruptError:
            raise
        except ValueError as problem:
            raise DataError(str(problem)) from problem

    @property
    def kind(self) -> Kind:
        """What is counted."""
        return Kind(_core.accumulator_unpack(self.data)[0])

    @property
    def basis(self) -> NDArray[np.float64]:
        """Edges (DRIFT) or the two thresholds (SHADOW); else empty."""
        return _core.accumulator_unpack(self.data)[1]

    @property
    def counts(self) -> NDArray[np.int64]:
        """DRIFT [days, bins]; CELLS [days, *levels, 8]; RUNS [m, 3]; SCORES [66]; SHADOW [50]."""
        return _core.accumulator_unpack(self.data)[2]


def _pack(kind: Kind, counts: NDArray[np.int64], basis: ArrayLike = ()) -> Accumulator:
    return Accumulator(_core.accumulator_pack(kind, np.asarray(basis, np.float64), counts))


def merge_all(parts: Sequence[Accumulator]) -> Accumulator:
    """All parts together; DataError when there is none, or they do not fit."""
    if not parts:
        raise DataError("nothing to merge: at least one accumulator is needed")
    return reduce(Accumulator.merge, parts)


def drift(
    x: ArrayLike, day: ArrayLike, edges: ArrayLike, n_days: int, *, n_threads: int = 0
) -> Accumulator:
    """Counts per day and bin of a numeric column (`_core.drift_counts`)."""
    return _pack(Kind.DRIFT, _core.drift_counts(x, day, edges, n_days, n_threads=n_threads), edges)


def cells(
    day: ArrayLike,
    levels: Sequence[ArrayLike],
    y: ArrayLike,
    champion: ArrayLike,
    challenger: ArrayLike,
    n_days: int,
    n_levels: Sequence[int],
    *,
    n_threads: int = 0,
) -> Accumulator:
    """The cube of joint outcomes per day and slice (`_core.joint_cube`)."""
    cube = _core.joint_cube(
        day, levels, y, champion, challenger, n_days, n_levels, n_threads=n_threads
    )
    return _pack(Kind.CELLS, cube)


def rank_runs(y: ArrayLike, score: ArrayLike, *, n_threads: int = 0) -> Accumulator:
    """Positives and negatives per distinct score (`_core.rank_runs`)."""
    return _pack(Kind.RUNS, _core.rank_runs(y, score, n_threads=n_threads))


def score_sums(y: ArrayLike, score: ArrayLike, *, n_threads: int = 0) -> Accumulator:
    """Sums of log-loss, Brier score and calibration bins; see `scores.metrics_from_sums`."""
    return _pack(Kind.SCORES, _core.score_sums(y, score, n_threads=n_threads))


_SHADOW_FIELDS = (
    *("rows", "compared", "champion_positive", "challenger_positive", "flips_up", "flips_down"),
    *("champion_bad", "challenger_bad", "challenger_low", "challenger_high"),
)


def shadow(
    champion_score: ArrayLike,
    challenger_score: ArrayLike,
    champion_threshold: float,
    challenger_threshold: float,
    *,
    n_threads: int = 0,
) -> Accumulator:
    """Champion and challenger on the same requests (`_core.shadow_counts`)."""
    thresholds = champion_threshold, challenger_threshold
    found = _core.shadow_counts(champion_score, challenger_score, *thresholds, n_threads=n_threads)
    fields: Mapping[str, object] = dict(found)
    head = np.array([fields[name] for name in _SHADOW_FIELDS], dtype=np.int64)
    return _pack(Kind.SHADOW, np.concatenate([head, found["score_counts"].ravel()]), thresholds)


def auc_of_runs(runs: Accumulator) -> float:
    """The exact AUC of (merged) runs, as `roc_auc` of all their rows; NaN without a class.

    Raises:
        DataError: another kind, or more than 2^31 rows.
    """
    if runs.kind is not Kind.RUNS:
        raise DataError(f"AUC needs runs of scores, not {runs.kind.name}")
    positive, negative = runs.counts[:, 1], runs.counts[:, 2]
    n_pos, n_neg = int(positive.sum()), int(negative.sum())
    if n_pos + n_neg > 2**31:
        raise DataError("more than 2^31 rows: the pairs pass 64 bits")
    below = np.cumsum(negative) - negative
    u2 = int((positive * (2 * below + negative)).sum())
    return u2 / (2 * n_pos * n_neg) if n_pos and n_neg else math.nan
