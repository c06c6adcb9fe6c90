"""validate_data: Great Expectations on the pulled rows; a failure stops the day."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from retrain_ops.comparison.scoring import REFERENCE_FILE, file_of_version
from retrain_ops.data.expectations import ValidationReport, ValidationRules, validate_table
from retrain_ops.data.labels import labels_of
from retrain_ops.data.odd_days import (
    SHOWN,
    count_days,
    counts_of_reference,
    odd_days,
    texts_of_odd,
)
from retrain_ops.data.processed import open_processed
from retrain_ops.data.source import Columns
from retrain_ops.decisions.champion import champion_of_key
from retrain_ops.errors import ValidationError
from retrain_ops.run import Run
from retrain_ops.spec.spec import RetrainSpec
from retrain_ops.spec.window import Window
from retrain_ops.stats.rules import quiet


@dataclass(frozen=True, slots=True)
class ValidationResult:
    """How many expectations the window met: all of them; and what is odd about its days."""

    expectations: int
    rows: int
    warnings: tuple[str, ...] = quiet(())

    @property
    def status(self) -> str:
        """Always `ok`: a failed expectation is an error."""
        return "ok"

    @property
    def summary(self) -> str:
        """One line for people."""
        return f"{self.expectations} expectations met by {self.rows} rows"


def validate_data(run: Run) -> ValidationResult:
    """Validates the window, and holds its days against those that the champion learnt from.

    Raises:
        ValidationError: with every expectation that failed, or every odd day that the spec
            refuses; nothing else happens.
    """
    with open_processed(run.workspace, run.window.end) as rows:
        report = validate_table(rows, rules_of(run.spec, rows.schema))
        if not report.success:
            raise ValidationError(f"{run.retrain_key}: {failures_of(report)}")
        unseen = labels_of(run.spec).unseen(rows, run.spec.source.label, run.window.train)
        if unseen:
            raise ValidationError(
                f"{run.retrain_key}: {unseen}: correct it, or make it null until "
                f"{run.window.train[0]} to {run.window.train[-1]} know it"
            )
        return ValidationResult(
            expectations=report.evaluated,
            rows=rows.num_rows,
            warnings=warnings_of(run.spec, run.window, rows, _reference(run)),
        )


def _reference(run: Run) -> Mapping[str, Any] | None:
    """What the champion learnt from; None where this key has no champion, or check_drift, which
    decides on one, has not run."""
    champion = champion_of_key(run) if run.read("check_drift.json") else None
    if champion is None:
        return None
    found: Mapping[str, Any] = json.loads(file_of_version(run, champion, REFERENCE_FILE))
    return found


def warnings_of(
    spec: RetrainSpec, window: Window, table: Columns, reference: Mapping[str, Any] | None
) -> tuple[str, ...]:
    """What is odd about the days of a window, the first ten things in words.

    Raises:
        ValidationError: something of a kind that the spec refuses.
    """
    usual = counts_of_reference(reference) if reference else None
    return texts_of_odd(spec, window, odd_days(count_days(table, spec, window.days), usual, window))


def rules_of(spec: RetrainSpec, schema: pa.Schema) -> ValidationRules:
    """The suite that the spec asks for.

    The spec says number or text, not which width: a column of the right kind is
    expected to be what it is, any other one what it should be.
    """
    validate = spec.validate
    texts = dict.fromkeys((spec.source.request_id, *spec.features.categorical))
    texts |= dict.fromkeys(spec.slice_columns)
    columns = {n: _kind(schema, n, _is_text, "text") for n in texts}
    # A slice that is a number to the model too is pulled as one.
    columns |= {n: _kind(schema, n, _is_number, "a number") for n in spec.features.numeric}
    label = labels_of(spec)
    columns[spec.source.label] = _kind(schema, spec.source.label, label.accepts, label.wanted)
    return ValidationRules(
        columns=columns,
        not_null=(spec.source.request_id, spec.source.event_time, *validate.not_null),
        ranges=label.ranges(spec.source.label) | dict(validate.ranges),
        min_rows=validate.min_rows,
        max_rows=validate.max_rows,
        label=spec.source.label if label.is_rate else "",
        label_rate=validate.label_rate,
        max_null_share=validate.max_null_share,
    )


def _kind(
    schema: pa.Schema, name: str, accepted: Callable[[pa.DataType], bool], otherwise: str
) -> str:
    kind = schema.field(name).type
    return str(kind) if accepted(kind) else otherwise


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or kind == pa.bool_())


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def failures_of(report: ValidationReport) -> str:
    """The expectations that failed, the first ten in words."""
    shown = [str(f) for f in report.failures[:SHOWN]]
    return f"{len(report.failures)} expectation(s) failed: " + "; ".join(shown)
