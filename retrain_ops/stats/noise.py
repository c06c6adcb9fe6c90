"""Labels that a model which never saw them would not have given: confident learning.

Labels come late and are corrected later still, so those of the newest training days are the ones
that are wrong. A row is doubtful when models that did not learn from its day say the other label
with more confidence than they say it, on the average, of the rows that have it:

    t_1 = mean P(1) of rows labelled 1,  t_0 = mean P(0) of rows labelled 0
    doubtful: the other label j has P(j) >= t_j, and P(j) > 1/2

Northcutt, Jiang and Chuang (2021), Journal of Artificial Intelligence Research 70, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrain_ops.stats.rules import Days, Share, exactly, require

__all__ = ["NoiseRules", "doubtful_rows"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseRules:
    """`[noise]`: the newest training days, whose most doubtful labels teach nothing.

    Their rows are scored by models of the other days, trained as the spec says; it takes about
    as long as the training itself. The hold-out keeps all its rows.

    Attributes:
        days: newest training days that are looked at.
        max_share: of their labelled rows, the most that are left out.
    """

    days: Days = 7
    max_share: Share = 0.05

    def __post_init__(self) -> None:
        require(self.days >= 1, "days: must be at least 1")
        require(0 < self.max_share <= 0.5, "max_share: must lie above 0, up to 0.5")


def doubtful_rows(
    score: NDArray[np.float64],
    label: NDArray[np.uint8],
    looked_at: NDArray[np.bool_],
    max_share: float,
) -> NDArray[np.bool_]:
    """Which rows to leave out: of those looked at the most doubtful, at most that share.

    The averages are those of the other rows where both labels occur among them, else of all.
    Of equally doubtful rows the first goes first.

    Args:
        score: P(label = 1), float64 (rows,), by models that did not see the row.
        label: 0 or 1, uint8 (rows,).
        looked_at: bool (rows,).
        max_share: of the rows looked at.

    Returns:
        bool (rows,).
    """
    trusted = ~looked_at
    if len(np.unique(label[trusted])) < 2:
        trusted = np.ones(len(label), np.bool_)
    says_one = trusted & (label == 1)
    says_zero = trusted & (label == 0)
    if not (says_one.any() and says_zero.any()):
        return np.zeros(len(label), np.bool_)
    least = np.where(label == 1, np.mean(1 - score[says_zero]), np.mean(score[says_one]))
    other = np.where(label == 1, 1 - score, score)
    found = np.flatnonzero(looked_at & (other >= least) & (other > 0.5))
    most = int(exactly(max_share) * int(looked_at.sum()))
    worst = found[np.argsort(-other[found], kind="stable")][:most]
    result = np.zeros(len(label), np.bool_)
    result[worst] = True
    return result
