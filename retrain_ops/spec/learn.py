"""`[learn]`: a linear model that learns each day once, instead of being fitted to a window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from retrain_ops.spec.toml_tables import TableReader
from retrain_ops.stats.rules import Share, require

if TYPE_CHECKING:
    from retrain_ops.spec.spec import RetrainSpec

__all__ = ["LearnTable", "check_learn", "require_learn"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnTable:
    """`[learn]`: the linear trainer goes on from the day before by `partial_fit`.

    The first run learns its training days at once; each later one the training days since, day
    by day. A day is learnt once, whatever runs again.

    Attributes:
        remember: "nothing" learns row by row; "diagonal" and "full" fit each day with all that
            was learnt before as its prior (elastic weight consolidation).
        gamma: of what is remembered, the share that still holds a day later.
        learning_rate: of the steps row by row.
    """

    remember: Literal["nothing", "diagonal", "full"] = "nothing"
    gamma: Share = 1.0
    learning_rate: Annotated[float, "step"] = 0.5

    def __post_init__(self) -> None:
        require(0 <= self.gamma <= 1, "gamma: must lie in 0 to 1")
        require(0 < self.learning_rate <= 1e6, "learning_rate: must lie above 0, up to 1e6")


def check_learn(reader: TableReader, spec: RetrainSpec) -> None:
    """Refuses trainers that cannot go on, and rows that are not each learnt once.

    Raises:
        ConfigError: with file and line.
    """
    if spec.learn is None:
        return
    if spec.model.trainer not in ("logistic", "linear"):
        raise reader.error("learn", "", 'needs trainer = "logistic" or "linear"')
    if spec.noise is not None:
        raise reader.error("noise", "", "scores whole windows, and [learn] learns single days")
    if spec.memory is not None and spec.memory.replay_share:
        raise reader.error("memory", "replay_share", "must be 0: with [learn] no day comes twice")


def require_learn(spec: RetrainSpec) -> None:
    """Refuses a spec without `[learn]`, for whoever is about to learn a day.

    Raises:
        ConfigError: with the file.
    """
    if spec.learn is None:
        raise spec.error("learn", "", "is missing: only a spec with it learns day by day")
