"""validate_data: Great Expectations on the pulled rows; a failure stops the day."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from retrain_ops.data.expectations import ValidationReport, ValidationRules, validate_batches
from retrain_ops.data.processed import open_processed
from retrain_ops.errors import ValidationError
from retrain_ops.run import Run
from retrain_ops.spec.spec import RetrainSpec


@dataclass(frozen=True, slots=True)
class ValidationResult:
    """How many expectations the window met: all of them."""

    expectations: int
    rows: int

    @property
    def status(self) -> str:
        """Always `ok`: a failed expectation is an error."""
        return "ok"

    @property
    def summary(self) -> str:
        """One line for people."""
        return f"{self.expectations} expectations met by {self.rows} rows"


def validate_data(run: Run) -> ValidationResult:
    """Validates the window.

    Raises:
        ValidationError: with every expectation that failed; nothing else happens.
    """
    file = open_processed(run.workspace, run.window.end)
    schema = file.schema_arrow
    rules = rules_of(run.spec, schema)
    columns = [name for name in schema.names if name in rules.looked_into]
    report = validate_batches(schema, file.iter_batches(columns=columns), rules)
    if not report.success:
        raise ValidationError(f"{run.retrain_key}: {failures_of(report)}")
    return ValidationResult(expectations=report.evaluated, rows=file.metadata.num_rows)


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
    columns[spec.source.label] = _kind(schema, spec.source.label, _is_number, "0 or 1")
    return ValidationRules(
        columns=columns,
        not_null=(spec.source.request_id, spec.source.event_time, *validate.not_null),
        ranges=validate.ranges,
        min_rows=validate.min_rows,
        max_rows=validate.max_rows,
        label=spec.source.label,
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
    shown = [str(f) for f in report.failures[:10]]
    return f"{len(report.failures)} expectation(s) failed: " + "; ".join(shown)
