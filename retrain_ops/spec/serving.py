"""`[serving]`: what the server of a model allows, and whom a canary sees."""

from __future__ import annotations

import re
from dataclasses import dataclass

from retrain_ops.stats.rules import Bytes, Rows, require

_HEADER = re.compile(r"[A-Za-z0-9][A-Za-z0-9\-]{0,99}")


@dataclass(frozen=True, slots=True)
class ServingTable:
    """`[serving]`: whom a canary sees, and the limits of one scoring request.

    Attributes:
        folder: where the servers of this host keep what they serve and count, below the model's
            name; a relative one starts at the spec's folder.
        unit: column of a request that names the unit of a row, whose rows all meet the same arm of
            a canary: text or whole numbers; every request must have it. The header when empty.
        unit_header: request header that names the unit, whose requests all meet the same arm of a
            canary; a request without it is a unit of its own.
        max_body: longest body of a request; a longer one is refused before it is read.
        max_rows: most rows of a request.
    """

    folder: str = "serving"
    unit: str = ""
    unit_header: str = "x-unit-id"
    max_body: Bytes = 16 * 1024 * 1024
    max_rows: Rows = 100_000

    def __post_init__(self) -> None:
        require(bool(self.folder), "folder: must name a folder")
        require(
            _HEADER.fullmatch(self.unit_header) is not None,
            "unit_header: must be the name of a header: letters, digits and hyphens",
        )
        require(1 <= self.max_body <= 2**30, "max_body: must lie in 1 to 2^30")
        require(1 <= self.max_rows <= 10**7, "max_rows: must lie in 1 to 10,000,000")
