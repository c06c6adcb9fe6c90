"""A Delta Lake table at one version: `[source] kind = "delta"`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from functools import cached_property
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from retrain_ops.data.sources.kind import VERSION, distinct_days, gone
from retrain_ops.data.sources.secrets import redacted, shown
from retrain_ops.data.sources.versioned import VersionedTable
from retrain_ops.errors import SourceError, UnreachableError
from retrain_ops.spec.spec import RetrainSpec


def open_source(spec: RetrainSpec, version: str) -> DeltaSource:
    """The Delta table of the spec."""
    return DeltaSource(spec, version)


class DeltaSource(VersionedTable):
    """Rows by day of one version of a table; which columns it is partitioned by does not matter."""

    def __init__(self, spec: RetrainSpec, version: str) -> None:
        super().__init__(spec, version)
        self._shown = shown(spec.source.path)

    def days(self) -> list[date]:
        """The distinct days of the table; of a partition column without reading rows."""
        self._check([self._day])
        if self._day not in self._table.metadata().partition_columns:
            return super().days()
        return distinct_days({p[self._day] for p in self._table.partitions()}, self._place)

    def pin(self) -> Mapping[str, Any]:
        """The version that is read."""
        return {VERSION: str(self._table.version())}

    @property
    def _place(self) -> str:
        return f"{self._shown} at version {self._table.version()}"

    @cached_property
    def _table(self) -> DeltaTable:
        with self._reporting():
            return DeltaTable(
                self._spec.source.path,
                version=int(self._version) if self._version else None,
                storage_options=dict(self._spec.source.options) or None,
            )

    @cached_property
    def _schema(self) -> pa.Schema:
        return pa.schema(self._table.schema().to_arrow())

    def _scan(self, columns: Sequence[str], day: date | None) -> Iterator[pa.Table]:
        predicate = None if day is None else f"{_quoted(self._day)} = {self._literal(day)}"
        with self._reporting():
            scan = self._table.scan(columns=list(columns), predicate=predicate)
            for batch in pa.RecordBatchReader.from_stream(scan):
                yield pa.Table.from_batches([batch]).select(list(columns))

    def _literal(self, day: date) -> str:
        kind = self._schema.field(self._day).type
        text = f"'{day.isoformat()}'"
        return f"DATE {text}" if pa.types.is_date(kind) else text

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        try:
            yield
        except TableNotFoundError as error:
            raise SourceError(f"[source] path: {self._told(error)}") from None
        except FileNotFoundError as error:
            raise gone(self._shown, self._version, self._told(error)) from None
        except OSError as error:
            raise UnreachableError(f"{self._shown} does not answer: {self._told(error)}") from None
        except (DeltaError, pa.ArrowException) as error:
            if self._version:
                raise gone(self._shown, self._version, self._told(error)) from None
            raise SourceError(f"{self._shown} cannot be read: {self._told(error)}") from None

    def _told(self, error: Exception) -> str:
        return redacted(str(error), self._spec.source.path, self._spec.source.options)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
