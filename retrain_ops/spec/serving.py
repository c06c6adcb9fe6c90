"""`[serving]`: what the server of a model allows, and whom a canary sees."""

from __future__ import annotations

import re
from dataclasses import dataclass

from retrain_ops.stats.rules import Bytes, Days, Rows, Seconds, quiet, require

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
        log: folder of the request log, as Parquet by day; a relative one starts at the spec's
            folder. What the server answers and what the other model says of it goes there, and
            shadow_test and watch_canary judge by it instead of by rows of the source. No log when
            empty.
        id_header: request header that holds the id of a request in the log; a row's id is the
            column `request_id` of `[source]` where the request has one.
        leave_out: features that the log's Parquet does not have, such as what must not be kept.
        keep_days: whole days of the log that are kept; older ones are removed. All when 0.
        segment_s: how long rows of the log wait before they are Parquet: a fault of a canary is
            seen no sooner. Shorter ones make more and smaller files.
    """

    folder: str = "serving"
    unit: str = ""
    unit_header: str = "x-unit-id"
    max_body: Bytes = 16 * 1024 * 1024
    max_rows: Rows = 100_000
    log: str = quiet("")
    id_header: str = quiet("x-request-id")
    leave_out: tuple[str, ...] = quiet(())
    keep_days: Days = quiet(0)
    segment_s: Seconds = quiet(300)

    def __post_init__(self) -> None:
        require(bool(self.folder), "folder: must name a folder")
        for name in ("unit_header", "id_header"):
            require(
                _HEADER.fullmatch(getattr(self, name)) is not None,
                f"{name}: must be the name of a header: letters, digits and hyphens",
            )
        require(1 <= self.max_body <= 2**30, "max_body: must lie in 1 to 2^30")
        require(1 <= self.max_rows <= 10**7, "max_rows: must lie in 1 to 10,000,000")
        require(1 <= self.segment_s <= 300, "segment_s: must lie in 1 to 300")
        require(0 <= self.keep_days <= 36_600, "keep_days: must lie in 0 to 36,600")
