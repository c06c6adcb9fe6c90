"""Validation of a table with Great Expectations.

The suite is built from rules at run time, in a context that lives in memory. Great
Expectations is imported inside `validate_table`, because the import takes seconds and a DAG
parse must not pay them. Types are checked on the Arrow schema (as a one-row table), so that
the way to pandas cannot blur them; everything else on the columns that a rule names.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from retrain_ops.busy import busy_with
from retrain_ops.errors import ConfigError, import_problem
from retrain_ops.stats.rules import exactly

PACKAGES = "great-expectations pandas"
_ONE_AT_A_TIME = threading.Lock()
"""Great Expectations keeps "the" context in a module variable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationRules:
    """What a table must be.

    `columns` maps a name to its Arrow type as text (`"float"`, `"timestamp[us, tz=UTC]"`);
    further columns are welcome. `ranges` holds (lowest, highest), both included, None = open.
    `max_null_share` is the largest share of missing values, 0 to 1; NaN counts as missing.
    `label` is 0 or 1 where it is known ("" = the table has none), and `label_rate` is the
    (lowest, highest) share of ones among the known.
    """

    columns: Mapping[str, str]
    not_null: tuple[str, ...]
    ranges: Mapping[str, tuple[float | None, float | None]]
    min_rows: int
    max_rows: int | None
    label: str
    label_rate: tuple[float, float]
    max_null_share: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse rules that no table, or every table, would meet by mistake."""
        if self.min_rows < 0 or (self.max_rows is not None and self.max_rows < self.min_rows):
            raise ConfigError(f"validation: rows between {self.min_rows} and {self.max_rows}")
        for name, (low, high) in {**self.ranges, "label_rate": self.label_rate}.items():
            bounds = [bound for bound in (low, high) if bound is not None]
            if not bounds or any(math.isnan(b) for b in bounds) or bounds != sorted(bounds):
                raise ConfigError(f"validation: the range of {name} is [{low}, {high}]")
        for name, share in self.max_null_share.items():
            if not 0.0 <= share <= 1.0:
                raise ConfigError(f"validation: max_null_share of {name} is {share}, not 0 to 1")


@dataclass(frozen=True, slots=True)
class Failure:
    """One expectation that was not met; `column` is "" when it is about the whole table."""

    expectation: str
    column: str
    detail: str

    def __str__(self) -> str:
        where = f"{self.column}: " if self.column else ""
        return f"{where}{self.expectation}: {self.detail}"


@dataclass(frozen=True, slots=True)
class ValidationReport:
    """The outcome of `validate_table`; failures are sorted by column, then expectation."""

    success: bool
    failures: tuple[Failure, ...]
    evaluated: int


def validate_table(table: pa.Table, rules: ValidationRules, name: str) -> ValidationReport:
    """Hold a table against the rules, all of them: the report names every failure.

    `name` is the name of the suite and of the asset. No network, no files, no progress bars.

    Raises `ConfigError` when Great Expectations or pandas is not installed.
    """
    # Hundreds of INFO lines are written while the package is being imported.
    _quieten("great_expectations")
    try:
        with busy_with("importing Great Expectations"):
            import great_expectations as gx
            import pandas as pd
    except ImportError as error:
        raise ConfigError(
            import_problem(error, "Great Expectations", "great-expectations pandas")
        ) from error
    types = {field.name: [str(field.type)] for field in table.schema}
    data = _frame(table, rules)
    with _ONE_AT_A_TIME:
        context = _context(gx)
        source = context.data_sources.add_pandas(name)
        results = [
            *_run(gx, source, f"{name}-schema", pd.DataFrame(types), _schema_suite(gx, rules)),
            *_run(gx, source, name, data, _data_suite(gx, rules, set(table.column_names))),
        ]
    failures = [_failure(result) for result in results if not result.success]
    ordered = sorted(failures, key=lambda f: (f.column, f.expectation, f.detail))
    return ValidationReport(success=not failures, failures=tuple(ordered), evaluated=len(results))


def _context(gx: Any) -> Any:
    """An in-memory context that sends nothing, writes nothing and draws no progress bars."""
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    _quieten("great_expectations.data_context.types.base")  # sets itself to INFO
    config = DataContextConfig(
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False),
        store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
    )
    return gx.get_context(mode="ephemeral", project_config=config)


def _quieten(name: str) -> None:
    """Warnings and worse only, unless someone asked for even less."""
    logger = logging.getLogger(name)
    if logger.level < logging.WARNING:
        logger.setLevel(logging.WARNING)


def _frame(table: pa.Table, rules: ValidationRules) -> Any:
    """The columns that a rule looks into, as pandas; null and NaN both become missing."""
    wanted = {*rules.not_null, *rules.ranges, *rules.max_null_share, rules.label}
    looked_into = [column for column in table.column_names if column in wanted]
    frame = table.select(looked_into).to_pandas()
    if rules.label in looked_into and pa.types.is_boolean(table.schema.field(rules.label).type):
        frame[rules.label] = frame[rules.label].astype("float64")
    # Without a column pandas would lose the number of rows.
    return frame if looked_into else frame.reindex(range(table.num_rows))


def _schema_suite(gx: Any, rules: ValidationRules) -> list[Any]:
    """Over the one-row table whose values are the types."""
    kinds = gx.expectations
    return [
        expectation
        for column, kind in rules.columns.items()
        for expectation in (
            kinds.ExpectColumnToExist(column=column),
            kinds.ExpectColumnDistinctValuesToBeInSet(column=column, value_set=[kind]),
        )
    ]


def _data_suite(gx: Any, rules: ValidationRules, present: set[str]) -> list[Any]:
    """A column that a rule needs and the table lacks is one failure, not one for each rule."""
    kinds = gx.expectations
    suite = [
        kinds.ExpectTableRowCountToBeBetween(min_value=rules.min_rows, max_value=rules.max_rows)
    ]
    needed = {*rules.not_null, *rules.ranges, *rules.max_null_share, rules.label} - {""}
    for column in sorted(needed - present - set(rules.columns)):
        suite.append(kinds.ExpectColumnToExist(column=column))
    for column in rules.not_null:
        if column in present:
            suite.append(kinds.ExpectColumnValuesToNotBeNull(column=column))
    for column, share in rules.max_null_share.items():
        if column in present:
            mostly = float(1 - exactly(share))  # 1.0 - 0.7 asks for more than 0.3
            suite.append(kinds.ExpectColumnValuesToNotBeNull(column=column, mostly=mostly))
    for column, (low, high) in rules.ranges.items():
        if column in present:
            suite.append(
                kinds.ExpectColumnValuesToBeBetween(column=column, min_value=low, max_value=high)
            )
    if rules.label in present:
        low, high = rules.label_rate
        suite.append(kinds.ExpectColumnValuesToBeInSet(column=rules.label, value_set=[0, 1]))
        suite.append(
            kinds.ExpectColumnMeanToBeBetween(column=rules.label, min_value=low, max_value=high)
        )
    return suite


def _run(gx: Any, source: Any, name: str, frame: Any, expectations: Iterable[Any]) -> Iterable[Any]:
    """Evaluate one suite on one frame."""
    asset = source.add_dataframe_asset(name)
    batch = asset.add_batch_definition_whole_dataframe(name).get_batch({"dataframe": frame})
    suite = gx.ExpectationSuite(name=name, expectations=list(expectations))
    results: Iterable[Any] = batch.validate(suite, result_format="BASIC").results
    return results


def _failure(result: Any) -> Failure:
    config = result.expectation_config
    return Failure(
        expectation=config.type,
        column=config.kwargs.get("column", ""),
        detail=_detail(config.kwargs, dict(result.result or {}), result.exception_info or {}),
    )


def _detail(
    wanted: Mapping[str, Any], result: Mapping[str, Any], exception: Mapping[str, Any]
) -> str:
    """What was seen, and what was wanted."""
    if result.get("unexpected_count") and result.get("element_count") is None:
        # Types: the one row of the schema's table, and the one type that it must be.
        is_now = _examples(result.get("partial_unexpected_list") or [])
        return f"it is {is_now}, it must be {wanted['value_set'][0]}"
    rule = ", ".join(
        f"{key} {_short(value)}"
        for key, value in wanted.items()
        if key in ("min_value", "max_value", "value_set", "mostly") and value is not None
    )
    if "unexpected_count" in result:
        seen = f"{result['unexpected_count']} of {result.get('element_count')} values"
        examples = _examples(result.get("partial_unexpected_list") or [])
        seen += f", such as {examples}" if examples else ""
    elif "observed_value" in result:
        seen = f"observed {_short(result['observed_value'])}"
    else:
        seen = _exception_text(exception) or "not there"
    return f"{seen} (wanted {rule})" if rule else seen


def _exception_text(exception: Mapping[str, Any]) -> str:
    """One record, or one record for each metric that could not be computed."""
    records = [exception, *(v for v in exception.values() if isinstance(v, Mapping))]
    for record in records:
        if record.get("exception_message"):
            return str(record["exception_message"]).strip().splitlines()[0]
    return ""


def _examples(values: list[Any]) -> str:
    """At most three different values; what is missing has none."""
    texts = [_short(value) for value in values if value is not None and value == value]
    return ", ".join(list(dict.fromkeys(texts))[:3])


def _short(value: Any) -> str:
    """Nine significant digits show every float32; a set shows its members."""
    if isinstance(value, list | tuple | set):
        return "[" + ", ".join(_short(member) for member in value) + "]"
    if isinstance(value, bool | int | str):
        return str(value)
    try:
        return f"{float(value):.6g}"
    except (TypeError, ValueError):
        return str(value)
