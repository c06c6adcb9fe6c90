"""Great Expectations over pandas, value by value, and tables to hold a validation against it.

The plain way of its documentation: a context, a suite, a batch of a data frame. Slow, and
independent of what `retrain_ops.data.facts` counts.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from retrain_ops.data.expectations import ValidationRules, validate_table

Verdicts = list[tuple[str, str]]
"""Column and expectation of every failure, sorted."""


def compare(table: pa.Table, rules: ValidationRules) -> int:
    """How many expectations failed; AssertionError when the two ways differ in one of them."""
    ours = validate_table(table, rules)
    found = [(failure.column, failure.expectation) for failure in ours.failures]
    wanted, evaluated = peer_verdicts(table, rules)
    assert sorted(found) == wanted, (sorted(found), wanted, rules, table.to_pydict())
    assert ours.evaluated == evaluated
    return len(found)


def peer_verdicts(table: pa.Table, rules: ValidationRules) -> tuple[Verdicts, int]:
    """What fails by Great Expectations' own pandas engine, and how much it evaluated."""
    import great_expectations as gx
    import pandas as pd

    logging.getLogger("great_expectations").setLevel(logging.CRITICAL)
    kinds = gx.expectations
    source = _context(gx).data_sources.add_pandas("peer")
    types = pd.DataFrame({field.name: [str(field.type)] for field in table.schema})
    frame = table.to_pandas()
    if rules.label in table.column_names and table.schema.field(rules.label).type == pa.bool_():
        frame[rules.label] = frame[rules.label].astype("float64")
    schema = [
        each
        for column, kind in rules.columns.items()
        for each in (
            kinds.ExpectColumnToExist(column=column),
            kinds.ExpectColumnDistinctValuesToBeInSet(column=column, value_set=[kind]),
        )
    ]
    results = [
        *_run(gx, source, "types", types, schema),
        *_run(gx, source, "values", frame, _values(kinds, rules, set(table.column_names))),
    ]
    failed = [result.expectation_config for result in results if not result.success]
    return sorted((c.kwargs.get("column", ""), c.type) for c in failed), len(results)


def _context(gx: Any) -> Any:
    """In memory; it sends nothing and draws no progress bars."""
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    config = DataContextConfig(
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False),
        store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
    )
    return gx.get_context(mode="ephemeral", project_config=config)


def _values(kinds: Any, rules: ValidationRules, present: set[str]) -> list[Any]:
    low, high = rules.label_rate
    absent = sorted(rules.looked_into - present - set(rules.columns))
    label = [rules.label] if rules.label in present else []
    return [
        kinds.ExpectTableRowCountToBeBetween(min_value=rules.min_rows, max_value=rules.max_rows),
        *(kinds.ExpectColumnToExist(column=c) for c in absent),
        *(kinds.ExpectColumnValuesToNotBeNull(column=c) for c in rules.not_null if c in present),
        *(
            kinds.ExpectColumnValuesToNotBeNull(column=c, mostly=1.0 - share)
            for c, share in rules.max_null_share.items()
            if c in present
        ),
        *(
            kinds.ExpectColumnValuesToBeBetween(column=c, min_value=ends[0], max_value=ends[1])
            for c, ends in rules.ranges.items()
            if c in present
        ),
        *(kinds.ExpectColumnValuesToBeInSet(column=c, value_set=[0, 1]) for c in label),
        *(
            kinds.ExpectColumnMeanToBeBetween(column=c, min_value=low, max_value=high)
            for c in label
        ),
    ]


def _run(gx: Any, source: Any, name: str, frame: Any, expectations: list[Any]) -> Iterable[Any]:
    batch = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe(name)
    suite = gx.ExpectationSuite(name=name, expectations=expectations)
    found: Iterable[Any] = (
        batch.get_batch({"dataframe": frame}).validate(suite, result_format="BASIC").results
    )
    return found


# -- tables ---------------------------------------------------------------------------------

_NUMBERS = ("float", "double", "int8", "int32", "int64", "uint8", "uint64", "bool")
_KINDS = (*_NUMBERS, "string", "timestamp[us, tz=UTC]", "date32[day]")
_TYPES: dict[str, pa.DataType] = {
    "float": pa.float32(), "double": pa.float64(), "int8": pa.int8(), "int32": pa.int32(),
    "int64": pa.int64(), "uint8": pa.uint8(), "uint64": pa.uint64(), "bool": pa.bool_(),
    "string": pa.string(), "timestamp[us, tz=UTC]": pa.timestamp("us", tz="UTC"),
    "date32[day]": pa.date32(),
}  # fmt: skip


def random_case(rng: np.random.Generator) -> tuple[pa.Table, ValidationRules]:
    """A table of up to 40 rows and rules that often lie at the very edge of what it holds."""
    rows = int(rng.choice([0, 1, 10, 20, 40]))
    kinds = {f"c{i}": str(rng.choice(_KINDS)) for i in range(5)} | {"label": _label_kind(rng)}
    columns = {name: _column(rng, kind, rows, name) for name, kind in kinds.items()}
    table = pa.table(columns)
    named = [*kinds, "absent"]
    ranged = rng.choice(named, 3, replace=False)
    said = {str(name): str(rng.choice([kinds.get(name, "float"), "float"])) for name in named[:3]}
    return table, ValidationRules(
        columns=said if rng.random() < 0.7 else {},
        not_null=tuple(str(name) for name in rng.choice(named, 2, replace=False)),
        ranges={str(name): _range(rng) for name in ranged},
        min_rows=int(rng.choice([0, rows, rows + 1])),
        max_rows=[None, rows + 1, rows + 3][int(rng.integers(3))],
        label=str(rng.choice(["label", "label", "", "c0", "absent"])),
        label_rate=((0.0, 1.0), (0.1, 0.5), (0.5, 0.5), (0.2, 0.6))[int(rng.integers(4))],
        max_null_share={
            str(name): float(rng.choice([0.0, 0.05, 0.1, 0.25, 0.5, 1.0]))
            for name in rng.choice(named, 3, replace=False)
        },
    )


def _label_kind(rng: np.random.Generator) -> str:
    return str(rng.choice(["int8", "bool", "float", "double", "int64"]))


def _column(rng: np.random.Generator, kind: str, rows: int, name: str) -> pa.Array:
    """Few different values; infinities and NaN where the type has them."""
    gone = rng.random(rows) < rng.choice([0.0, 0.05, 0.1, 0.25, 0.5, 1.0])
    if kind == "string":
        values = rng.choice(["a", "b", "", "7"], rows).tolist()
        return pa.array(values, pa.string(), mask=gone)
    pool = [0, 1] if name == "label" and rng.random() < 0.8 else [0, 1, 2, 5, 100]
    if kind in ("int64", "double") and name != "label":
        pool += [-3, 2**53 - 1, -(2**40)]
    values = rng.choice(np.array(pool, dtype=np.float64), rows)
    if kind in ("float", "double") and rng.random() < 0.4:
        values[rng.random(rows) < 0.2] = rng.choice([np.inf, -np.inf, np.nan, 0.1])
    if kind not in ("float", "double"):
        values = values.astype(np.int64)
    if kind == "bool":
        values = values > 0
    if kind == "date32[day]":
        values = values.astype("datetime64[D]")
    return pa.array(values, mask=gone).cast(_TYPES[kind], safe=False)


def _range(rng: np.random.Generator) -> tuple[float | None, float | None]:
    """On values of the columns or beside them; sometimes open at one end."""
    low, high = sorted(rng.choice([-4.0, 0.0, 0.1, 1.0, 2.0, 4.5, 5.0, 100.0, np.inf, -np.inf], 2))
    if rng.random() < 0.3:
        return (None, float(high)) if rng.random() < 0.5 else (float(low), None)
    return float(low), float(high)
