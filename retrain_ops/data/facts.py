"""What a validation asks of a table, counted once, column by column in batches.

Nothing is judged here, and no value becomes a Python object but the few that a report shows.
NaN counts as missing. Numbers are whole numbers, floats, decimals and booleans (0 and 1).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from retrain_ops.data.processed import ParquetRows

BATCH_ROWS = 65_536
EXAMPLES = 20
"""Values kept of those that break a rule, the first ones."""

_NUMBERS = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean)

Range = tuple[float | None, float | None]


@dataclass(slots=True)
class Unexpected:
    """The values that break a rule: how many, and the first of them."""

    count: int = 0
    values: list[Any] = field(default_factory=list)

    def add(self, column: pa.Array, broken: pa.Array) -> None:
        """`broken` is true for those of the column; null counts as false."""
        found = pc.sum(broken).as_py() or 0
        self.count += found
        if found and len(self.values) < EXAMPLES:
            kept = column.filter(broken).slice(0, EXAMPLES - len(self.values))
            self.values += kept.to_pylist()


@dataclass(slots=True)
class ColumnFacts:
    """One column: its missing values, those outside its range, those that are no label, its sum."""

    kind: pa.DataType
    missing: int = 0
    known: int = 0
    outside: Unexpected = field(default_factory=Unexpected)
    no_label: Unexpected = field(default_factory=Unexpected)
    total: float = 0.0

    @property
    def is_number(self) -> bool:
        """Can it be held against a range?"""
        return any(fits(self.kind) for fits in _NUMBERS)

    @property
    def mean(self) -> Any:
        """As pandas has it: float32 of a float32 column, compared as such. None of nothing."""
        if not self.known:
            return None
        number = np.float32 if self.kind == pa.float32() else np.float64
        return number(self.total) / number(self.known)


@dataclass(slots=True)
class TableFacts:
    """`types` of all columns as text; `columns` are those that a rule looks into."""

    types: dict[str, str]
    rows: int
    columns: dict[str, ColumnFacts]


def count_facts(
    table: pa.Table | ParquetRows, wanted: Collection[str], ranges: Mapping[str, Range], label: str
) -> TableFacts:
    """One pass over each of the `wanted` columns, batch by batch."""
    names = [name for name in table.column_names if name in wanted]
    columns = {name: ColumnFacts(table.schema.field(name).type) for name in names}
    for name, facts in columns.items():
        for values in _batches(table[name]):
            _add(facts, values, ranges.get(name), is_label=name == label)
    types = {each.name: str(each.type) for each in table.schema}
    return TableFacts(types=types, rows=table.num_rows, columns=columns)


def _batches(column: pa.ChunkedArray) -> Iterator[pa.Array]:
    for chunk in column.chunks:
        for begin in range(0, len(chunk), BATCH_ROWS):
            yield chunk.slice(begin, BATCH_ROWS)


def _add(facts: ColumnFacts, values: pa.Array, span: Range | None, *, is_label: bool) -> None:
    missing = pc.is_null(values, nan_is_null=True)
    unknown = pc.sum(missing).as_py() or 0
    facts.missing += unknown
    facts.known += len(values) - unknown
    if not facts.is_number:
        if is_label:
            facts.no_label.add(values, pc.invert(missing))
        return
    numbers = values.cast(pa.float64(), safe=False)
    low, high = span or (None, None)
    if low is not None or high is not None:
        facts.outside.add(values, _outside(numbers, low, high))
    if is_label:
        known = pc.invert(missing)
        neither = pc.and_(pc.not_equal(numbers, 0.0), pc.not_equal(numbers, 1.0))
        facts.no_label.add(values, pc.and_(neither, known))
        facts.total += pc.sum(numbers.filter(known)).as_py() or 0.0


def _outside(numbers: pa.Array, low: float | None, high: float | None) -> pa.Array:
    """NaN is neither below nor above."""
    below = pc.less(numbers, -math.inf if low is None else float(low))
    above = pc.greater(numbers, math.inf if high is None else float(high))
    return pc.or_(below, above)
