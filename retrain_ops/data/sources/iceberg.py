"""An Iceberg table at one snapshot: `[source] kind = "iceberg"`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from functools import cached_property
from typing import Any

import pyarrow as pa
from pyiceberg.catalog import load_catalog
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from pyiceberg.expressions import EqualTo
from pyiceberg.table import ALWAYS_TRUE, DataScan, Table

from retrain_ops.data.sources.kind import VERSION, gone
from retrain_ops.data.sources.secrets import redacted
from retrain_ops.data.sources.versioned import VersionedTable
from retrain_ops.errors import SourceError, UnreachableError
from retrain_ops.spec.spec import RetrainSpec


def open_source(spec: RetrainSpec, version: str) -> IcebergSource:
    """The Iceberg table of the spec."""
    return IcebergSource(spec, version)


class IcebergSource(VersionedTable):
    """Rows by day of one snapshot of a table."""

    def pin(self) -> Mapping[str, Any]:
        """The snapshot that is read; a table that was never written has none."""
        return {VERSION: str(self._snapshot or "")}

    @property
    def _place(self) -> str:
        return f"{self._spec.source.table} at snapshot {self._snapshot}"

    @cached_property
    def _table(self) -> Table:
        source = self._spec.source
        with self._reporting():
            return load_catalog(source.catalog, **source.options).load_table(source.table)

    @cached_property
    def _snapshot(self) -> int | None:
        if not self._version:
            newest = self._table.current_snapshot()
            return None if newest is None else int(newest.snapshot_id)
        pinned = int(self._version)
        if self._table.snapshot_by_id(pinned) is None:
            raise gone(self._spec.source.table, self._version, "it has expired")
        return pinned

    @cached_property
    def _schema(self) -> pa.Schema:
        return self._open_scan(("*",), None).projection().as_arrow()

    def _open_scan(self, columns: Sequence[str], day: date | None) -> DataScan:
        rows = ALWAYS_TRUE if day is None else EqualTo(self._day, day.isoformat())
        return self._table.scan(
            row_filter=rows, selected_fields=tuple(columns), snapshot_id=self._snapshot
        )

    def _scan(self, columns: Sequence[str], day: date | None) -> Iterator[pa.Table]:
        with self._reporting():
            for batch in self._open_scan(columns, day).to_arrow_batch_reader():
                yield pa.Table.from_batches([batch]).select(list(columns))

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        """A catalog is a plug-in that may raise anything; its words may hold its properties."""
        try:
            yield
        except (SourceError, GeneratorExit):
            raise
        except (NoSuchTableError, NoSuchNamespaceError) as error:
            raise SourceError(f"[source] table: {self._told(error)}") from None
        except FileNotFoundError as error:
            raise gone(self._spec.source.table, self._version, self._told(error)) from None
        except (ValueError, pa.ArrowException) as error:
            raise SourceError(
                f"[source] table {self._spec.source.table}: {self._told(error)}"
            ) from None
        except Exception as error:
            raise UnreachableError(
                f"the catalog {self._spec.source.catalog!r} or the files of "
                f"{self._spec.source.table} do not answer: {self._told(error)}"
            ) from None

    def _told(self, error: Exception) -> str:
        return redacted(str(error), options=self._spec.source.options)
