"""Validation of a table with Great Expectations.

The suite is built from rules at run time. What its expectations ask for is counted in one pass
over the table (`facts`), and each expectation judges the counts: its own engines would call a
Python function for every value. Great Expectations is imported when there is something to
judge, because the import takes seconds and a DAG parse must not pay them.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from retrain_ops.busy import busy_with
from retrain_ops.data.facts import ColumnFacts, TableFacts, count_facts
from retrain_ops.data.processed import ParquetRows
from retrain_ops.errors import ConfigError, import_problem
from retrain_ops.stats.rules import exactly

PACKAGES = "great-expectations pandas"


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

    @property
    def looked_into(self) -> set[str]:
        """The columns whose values a rule asks for."""
        return {*self.not_null, *self.ranges, *self.max_null_share, self.label} - {""}

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


def validate_table(table: pa.Table | ParquetRows, rules: ValidationRules) -> ValidationReport:
    """Hold a table against the rules, all of them: the report names every failure.

    Its columns are looked at once, one after the other. No network, no files, no progress bars.

    Raises `ConfigError` when Great Expectations or pandas is not installed.
    """
    kinds = _expectations()
    facts = count_facts(table, rules.looked_into, rules.ranges, rules.label)
    suite = [*_schema_suite(kinds, rules), *_data_suite(kinds, rules, set(table.column_names))]
    failures = [failure for each in suite if (failure := _judge(each, facts)) is not None]
    ordered = sorted(failures, key=lambda f: (f.column, f.expectation, f.detail))
    return ValidationReport(success=not failures, failures=tuple(ordered), evaluated=len(suite))


def _expectations() -> Any:
    """Its module of expectations; hundreds of INFO lines are written while it is imported."""
    _quieten("great_expectations")
    try:
        with busy_with("importing Great Expectations"):
            import great_expectations as gx
    except ImportError as error:
        raise ConfigError(import_problem(error, "Great Expectations", PACKAGES)) from error
    return gx.expectations


def _quieten(name: str) -> None:
    """Warnings and worse only, unless someone asked for even less."""
    logger = logging.getLogger(name)
    if logger.level < logging.WARNING:
        logger.setLevel(logging.WARNING)


def _schema_suite(kinds: Any, rules: ValidationRules) -> list[Any]:
    """A column's type is the one value of a column of types."""
    return [
        expectation
        for column, kind in rules.columns.items()
        for expectation in (
            kinds.ExpectColumnToExist(column=column),
            kinds.ExpectColumnDistinctValuesToBeInSet(column=column, value_set=[kind]),
        )
    ]


def _data_suite(kinds: Any, rules: ValidationRules, present: set[str]) -> list[Any]:
    """A column that a rule needs and the table lacks is one failure, not one for each rule."""
    suite = [
        kinds.ExpectTableRowCountToBeBetween(min_value=rules.min_rows, max_value=rules.max_rows)
    ]
    for column in sorted(rules.looked_into - present - set(rules.columns)):
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


def _judge(expectation: Any, facts: TableFacts) -> Failure | None:
    """Great Expectations' verdict on what was counted, in its own result format."""
    settings = {"result_format": "BASIC"}
    wanted = expectation.get_validation_dependencies(None, dict(settings))
    config = expectation.configuration
    column = config.kwargs.get("column", "")
    try:
        metrics = {
            each.id: _metric(each.metric_name, column, config.kwargs, facts)
            for each in wanted.get_metric_configurations()
        }
    except _CannotAsk as problem:
        return Failure(config.type, column, _detail(config.kwargs, {}, str(problem)))
    result = expectation.metrics_validate(metrics, runtime_configuration=settings)
    if result.success:
        return None
    return Failure(config.type, column, _detail(config.kwargs, dict(result.result or {})))


class _CannotAsk(Exception):
    """Nothing of the kind can be said of the column."""


def _metric(metric: str, column: str, wanted: Mapping[str, Any], facts: TableFacts) -> Any:
    """What was counted, by the name that Great Expectations gives it."""
    if metric == "table.row_count":
        return facts.rows
    if metric == "table.columns":
        return list(facts.types)
    if column not in facts.types:
        raise _CannotAsk("there is no such column")
    if metric.startswith("column.distinct_values.not_in_set"):
        others = [kind for kind in [facts.types[column]] if kind not in wanted["value_set"]]
        return len(others) if metric.endswith(".count") else others
    return _column_metric(metric, facts.columns[column])


def _column_metric(metric: str, column: ColumnFacts) -> Any:
    rule, _, what = metric.rpartition(".")
    if rule == "column_values.nonnull":
        return column.missing if what == "unexpected_count" else []
    if rule not in ("column_values.in_set", "column_values.between") and metric != "column.mean":
        raise ConfigError(f"Great Expectations asks for {metric}, which is not counted")
    if rule == "column_values.in_set":
        broken = column.no_label
    elif not column.is_number and (column.known or pa.types.is_timestamp(column.kind)):
        # An instant is in no range, known or not; of texts only those that there are.
        raise _CannotAsk(f"it is {column.kind}, which is no number")
    elif metric == "column.mean":
        return column.mean
    else:
        broken = column.outside
    return broken.count if what == "unexpected_count" else broken.values


def _detail(wanted: Mapping[str, Any], result: Mapping[str, Any], problem: str = "") -> str:
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
        seen = problem or "not there"
    return f"{seen} (wanted {rule})" if rule else seen


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
