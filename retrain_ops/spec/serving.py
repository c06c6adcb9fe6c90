"""`[serving]`: what the server of a model allows, and whom a canary sees."""

from __future__ import annotations

from dataclasses import dataclass

from retrain_ops.stats.rules import Bytes, Rows, require


@dataclass(frozen=True, slots=True)
class ServingTable:
    """`[serving]`: the limits of one scoring request.

    Attributes:
        max_body: longest body of a request; a longer one is refused before it is read.
        max_rows: most rows of a request.
    """

    max_body: Bytes = 16 * 1024 * 1024
    max_rows: Rows = 100_000

    def __post_init__(self) -> None:
        require(1 <= self.max_body <= 2**30, "max_body: must lie in 1 to 2^30")
        require(1 <= self.max_rows <= 10**7, "max_rows: must lie in 1 to 10,000,000")
