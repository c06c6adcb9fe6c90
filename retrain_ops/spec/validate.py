"""`[validate]`: what a window must be like before it trains a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from retrain_ops.stats.rules import OddDay, Rows, Share, quiet, require


@dataclass(frozen=True, slots=True)
class ValidateTable:
    """`[validate]`: what Great Expectations must find in a window before it trains a model.

    Attributes:
        min_rows: least rows of the window.
        max_rows: most rows of the window; no limit when absent.
        label_rate: `[low, high]` share of ones among the known labels; not of amounts, whose
            label may have a range instead.
        not_null: columns without a missing value.
        ranges: `[low, high]`, both included.
        max_null_share: largest share of missing values; NaN counts as missing.
        refuse_days: what about a single day fails the window, where it is a warning otherwise:
            "rows" (under a tenth or over five times the median day's), "nulls" (a feature is
            missing in a quarter more of the rows, or in all), "label_rate" (under a tenth
            of the zeros or ones that the median day would have; of amounts, all are one where
            those of most days differ), "labels" (under a tenth of the
            median day's share of labelled rows). Rows and nulls are held against the days that
            the champion learnt from and must lie beyond all of them.
    """

    min_rows: Rows = 1
    max_rows: Rows | None = None
    label_rate: tuple[Share, Share] = (0.0, 1.0)
    not_null: tuple[str, ...] = ()
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    max_null_share: Mapping[str, Share] = field(default_factory=dict)
    refuse_days: tuple[OddDay, ...] = quiet(())

    def __post_init__(self) -> None:
        require(self.min_rows >= 1, "min_rows: must be at least 1")
        require(
            self.max_rows is None or self.max_rows >= self.min_rows,
            "max_rows: must not lie below min_rows",
        )
        low, high = self.label_rate
        require(0 <= low < high <= 1, "label_rate: must be [low, high] within 0 to 1")
        for name, (least, most) in self.ranges.items():
            require(least <= most, f"ranges: {name}: the lower end lies above the upper")
        for name, share in self.max_null_share.items():
            require(0 <= share <= 1, f"max_null_share: {name}: must lie in 0 to 1")
