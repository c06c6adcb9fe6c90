"""`[memory]`: what a training replays of the days before its window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from retrain_ops.spec.toml_tables import TableReader
from retrain_ops.stats.rules import Days, Rows, Share, quiet, require

if TYPE_CHECKING:
    from retrain_ops.spec.spec import RetrainSpec

__all__ = ["MemoryTable", "check_memory"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryTable:
    """`[memory]`: a sample of every day before the window, mixed into its training rows.

    A day's sample is made once, of the rows whose ids have the smallest hashes, and stays in the
    workspace. One half of it, by the same hash, is replayed; the other never trains, and says
    season by season what a model has forgotten. The hold-out is not touched.

    Attributes:
        replay_share: of all rows that train, the share that is replayed; less where there are not
            as many.
        replay_by: "hash" replays of each day and label the rows with the smallest hashes;
            "importance" draws those rows sooner about which a model of the window alone is more
            wrong, and trains that model first.
        capacity: most rows of a day.
        strata: columns of the features or slices whose levels keep their share in a day's sample,
            as a label of 0 or 1 does; the label of a multiclass model may be one.
        days: how far back from the window's first day.
        season: of which days a model's score is compared with its champion's.
    """

    replay_share: Share = 0.2
    replay_by: Literal["hash", "importance"] = quiet("hash")
    capacity: Rows = 200
    strata: tuple[str, ...] = ()
    days: Days = 400
    season: Literal["month", "quarter"] = "month"

    def __post_init__(self) -> None:
        require(0 <= self.replay_share < 1, "replay_share: must lie in 0 to 1, 1 left out")
        require(2 <= self.capacity <= 1_000_000, "capacity: must lie in 2 to 1,000,000")
        require(1 <= self.days <= 3660, "days: must lie in 1 to 3660")


def check_memory(reader: TableReader, spec: RetrainSpec) -> None:
    """Refuses strata that no run pulls, and a bound on forgetting where nothing is remembered.

    Raises:
        ConfigError: with file and line.
    """
    if spec.memory is None and spec.gate.max_forgetting:
        raise reader.error("gate", "max_forgetting", "needs a [memory] to compare seasons on")
    classes = (spec.source.label,) if spec.model.problem == "multiclass" else ()
    known = (*spec.features.all, *spec.slice_columns, *classes)
    for name in () if spec.memory is None else spec.memory.strata:
        if name not in known:
            raise reader.error("memory", "strata", f"{name!r} is no feature and no slice column")
