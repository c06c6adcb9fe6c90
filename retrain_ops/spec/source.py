"""`[source]`: where the rows are, what they mean, and which keys each kind of source needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from retrain_ops.stats.rules import Days, Share, quiet, require

PLACE = ("path", "kind", "url", "query", "table", "catalog", "options", "time_zone")
"""The keys that say where and how rows lie: the spec's hash leaves them out, since equal rows
decide alike."""

_KEYS = ("path", "url", "query", "table", "options")
_KEYS_OF_KIND: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "parquet": (("path",), ()),
    "csv": (("path",), ("options",)),
    "jsonl": (("path",), ()),
    "sql": (("url", "query"), ()),
    "delta": (("path",), ("options",)),
    "iceberg": (("table",), ("options",)),
}
"""What a kind cannot do without, and what it may have; a kind of the user's own sees to its own."""


CSV_OPTIONS: Mapping[str, str] = MappingProxyType({"delimiter": ",", "null": ""})
"""What `options` of a CSV may say, and what holds without it."""


@dataclass(frozen=True, slots=True)
class SourceTable:
    """`[source]`: rows by day; by default Parquet, `<path>/<partition>=YYYY-MM-DD/*.parquet`.

    Attributes:
        label: column of the outcome, 0 or 1; null while it is unknown.
        path: folder, pattern or URI of the files of a day, or of a Delta table; a relative one
            starts at the spec's folder.
        event_time: column of the request's time; a run sees only rows before its instant.
        request_id: column that names a request; no two rows of a window share one.
        partition: name of the partition key, or of the column that holds the day.
        label_delay_days: labels of day d are complete at the cutoff of d plus these.
        kind: "parquet", "csv", "jsonl", "sql", "delta", "iceberg", or an entry point of your own.
        url: database of the rows, `dialect://...` for SQLAlchemy or `dialect+adbc://...`; a
            password belongs in the environment, `${NAME}`.
        query: SELECT whose rows are the source's, with the day in the column `partition`.
        table: Iceberg table, `namespace.name`.
        catalog: name of its catalog, as pyiceberg knows it.
        options: what is told to the kind's library: a CSV takes `delimiter` and `null`, Delta the
            storage's options, Iceberg the catalog's properties.
        time_zone: whose clock an event time without an offset shows; refused when empty.
        max_stray_share: largest share of a window's rows that may lie outside their day in every
            time zone, or at or after the run's instant; the day fails above it. Above 1 % of
            either is a warning in any case. A day that trains nothing reads and counts the
            `[drift]` days alone.
    """

    label: str
    path: str = ""
    event_time: str = "event_time"
    request_id: str = "request_id"
    partition: str = "day"
    label_delay_days: Days = 2
    kind: str = "parquet"
    url: str = field(default="", repr=False)
    query: str = ""
    table: str = ""
    catalog: str = "default"
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    time_zone: str = ""
    max_stray_share: Share = quiet(1.0)

    def __post_init__(self) -> None:
        needed, allowed = _KEYS_OF_KIND.get(self.kind, ((), _KEYS))
        for key in _KEYS:
            given = bool(getattr(self, key))
            require(given or key not in needed, f"{key}: is required and missing")
            known = key in needed or key in allowed
            require(known or not given, f"{key}: kind = {self.kind!r} does not read it")
        if self.kind == "csv":
            _check_csv(self.options)
        require(_is_zone(self.time_zone), f"time_zone: {self.time_zone!r} is no zone")
        require(
            1 <= self.label_delay_days <= 366,
            "label_delay_days: must lie in 1 to 366; the day of the run itself has no labels",
        )
        require(0 <= self.max_stray_share <= 1, "max_stray_share: must lie in 0 to 1")


def _check_csv(options: Mapping[str, str]) -> None:
    unknown = ", ".join(sorted(options.keys() - CSV_OPTIONS.keys()))
    known = ", ".join(CSV_OPTIONS)
    require(not unknown, f"options: a CSV does not read {unknown}; it reads {known}")
    mark = options.get("delimiter", CSV_OPTIONS["delimiter"])
    fits = len(mark) == 1 and mark.isascii() and mark not in '"\r\n\0'
    require(
        fits,
        f"options: delimiter must be one ASCII character, no quote and no line break, "
        f"it is {mark!r}",
    )


def _is_zone(name: str) -> bool:
    try:
        return not name or ZoneInfo(name) is not None
    except (ZoneInfoNotFoundError, ValueError):
        return False
