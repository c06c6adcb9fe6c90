"""`[drift.evidently]`: which of Evidently's statistics decide, and where its report goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from retrain_ops.stats.rules import Share, quiet, require

if TYPE_CHECKING:
    from retrain_ops.errors import ConfigError
    from retrain_ops.spec.spec import RetrainSpec
    from retrain_ops.spec.toml_tables import TableReader

_NO_TEXTS: Mapping[str, str] = MappingProxyType({})
_NO_NUMBERS: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class EvidentlyTable:
    """`[drift.evidently]`: which of Evidently's statistics decide, and where its report goes.

    What names no statistic leaves the choice to Evidently, by type and number of rows; a threshold
    of 0 is Evidently's own for the statistic.

    Attributes:
        method: statistic of all columns, such as "psi", "ks" or "wasserstein".
        numeric_method: that of numeric columns.
        categorical_method: that of categorical columns.
        methods: statistic by column.
        threshold: threshold of all columns.
        numeric_threshold: that of numeric columns.
        categorical_threshold: that of categorical columns.
        thresholds: threshold by column.
        share: share of the columns that must drift before a day retrains; 0: any of them.
        workspace: folder of an Evidently workspace, or the address of its server, which gets the
            day's report.
        project: name of its project there; by default the model's.
    """

    method: str = ""
    numeric_method: str = ""
    categorical_method: str = ""
    methods: Mapping[str, str] = field(default_factory=lambda: _NO_TEXTS)
    threshold: float = 0.0
    numeric_threshold: float = 0.0
    categorical_threshold: float = 0.0
    thresholds: Mapping[str, float] = field(default_factory=lambda: _NO_NUMBERS)
    share: Share = 0.0
    workspace: str = quiet("")
    project: str = quiet("")

    def __post_init__(self) -> None:
        require(0 <= self.share <= 1, "share: must lie in 0 to 1")
        for key in ("threshold", "numeric_threshold", "categorical_threshold"):
            require(getattr(self, key) >= 0, f"{key}: must be at least 0")
        require(min(self.thresholds.values(), default=0) >= 0, "thresholds: must be at least 0")


def check_evidently(reader: TableReader, spec: RetrainSpec) -> None:
    """Refuses a table that nobody asks, and columns that are not looked at."""
    table, drift = spec.drift.evidently, spec.drift
    if drift.engine == "native" and not drift.report and table != EvidentlyTable():
        raise reader.error("drift", "evidently", 'needs engine = "evidently", or report')
    for key in ("methods", "thresholds"):
        for name in getattr(table, key):
            if name not in spec.drift_features:
                what = f"{name!r} is not among the columns whose drift is looked at"
                raise _error(reader, key, what)
    if table.workspace and not drift.report:
        raise _error(reader, "workspace", 'needs report = "evidently"')


def _error(reader: TableReader, key: str, message: str) -> ConfigError:
    """At the key of a table of its own, or at the line that has the table in it."""
    if ("drift.evidently", "") in reader.lines:
        return reader.error("drift.evidently", key, message)
    return reader.error("drift", "evidently", f"{key}: {message}")
