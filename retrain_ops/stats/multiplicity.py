"""Several tests at once: adjusted p values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from retrain_ops.errors import ConfigError

__all__ = ["ColumnsVerdict", "benjamini_hochberg", "holm", "judge_columns"]


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p values, in the order given; rejecting those below a keeps FWER at a.

    Holm, Scand. J. Statist. 6 (1979): p_(k) times (K - k + 1), made monotone.
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [1.0] * len(p_values)
    highest = 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p_values[i]))
        adjusted[i] = highest
    return adjusted


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Benjamini-Hochberg adjusted p values, in the order given (false discovery rate)."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i], reverse=True)
    adjusted = [1.0] * len(p_values)
    lowest = 1.0
    for place, i in enumerate(order):
        lowest = min(lowest, len(order) / (len(order) - place) * p_values[i])
        adjusted[i] = lowest
    return adjusted


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnsVerdict:
    """Which of many columns drifted once their number is taken into account.

    `adjusted` p value by column; `drifted` those below alpha, in the order given; `triggered`
    whether they are at least `min_share` of all columns (and at least one).
    """

    adjusted: Mapping[str, float]
    drifted: tuple[str, ...]
    triggered: bool


def judge_columns(
    p_values: Mapping[str, float],
    *,
    alpha: float = 0.05,
    correction: Literal["holm", "benjamini_hochberg", "none"] = "holm",
    min_share: float = 0.0,
) -> ColumnsVerdict:
    """Drift of a table from its columns' p values.

    Args:
        p_values: by column.
        alpha: level of "holm" (any false alarm), "benjamini_hochberg" (share of false alarms among
            those reported) or "none" (each column alone).
        correction: which of these.
        min_share: least share of drifted columns that triggers; 0 = one is enough.

    Raises:
        ConfigError: alpha or min_share outside [0, 1].
    """
    if not (0 <= alpha <= 1 and 0 <= min_share <= 1):
        raise ConfigError(f"alpha {alpha} and min_share {min_share} must lie in 0 to 1")
    values = list(p_values.values())
    if correction != "none":
        values = (holm if correction == "holm" else benjamini_hochberg)(values)
    adjusted = dict(zip(p_values, values, strict=True))
    drifted = tuple(name for name, p in adjusted.items() if p < alpha)
    enough = len(drifted) >= min_share * len(p_values)
    return ColumnsVerdict(adjusted=adjusted, drifted=drifted, triggered=bool(drifted) and enough)
