"""What tables with versions have in common: all of a run's rows come from one of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from datetime import date

import pyarrow as pa

from retrain_ops.data.sources.kind import Part, check_day, check_names, distinct_days
from retrain_ops.spec.spec import RetrainSpec


class VersionedTable(ABC):
    """Rows by day of one version of a table."""

    def __init__(self, spec: RetrainSpec, version: str) -> None:
        self._spec = spec
        self._version = version
        self._day = spec.source.partition

    @property
    @abstractmethod
    def _place(self) -> str:
        """The table and its version, for messages."""

    @property
    @abstractmethod
    def _schema(self) -> pa.Schema:
        """The columns of the version."""

    @abstractmethod
    def _scan(self, columns: Sequence[str], day: date | None) -> Iterator[pa.Table]:
        """The rows of a day, or of all, by batches."""

    @property
    def expected(self) -> str:
        """The table must have rows of a day."""
        return f"{self._place} has none with that {self._day}; load the days"

    def days(self) -> list[date]:
        """The distinct days of the table."""
        self._check([self._day])
        found = self._scan([self._day], None)
        return distinct_days({v for table in found for v in table[0].to_pylist()}, self._place)

    def schemas(self, day: date) -> Iterator[tuple[str, pa.Schema]]:
        """The columns of the version, whatever the day."""
        yield self._place, self._schema

    def read(self, days: Sequence[date], columns: Sequence[str], *, pinned: bool) -> Iterator[Part]:
        """One part per batch of the scan; files of other days are skipped."""
        self._check([self._day, *columns])
        for day in days:
            for table in self._scan(columns, day):
                if table.num_rows:
                    yield Part(day, f"the rows of {day.isoformat()} in {self._place}", table)

    def _check(self, wanted: Sequence[str]) -> None:
        check_names(self._place, self._schema.names, wanted)
        check_day(self._place, self._schema.field(self._day))
