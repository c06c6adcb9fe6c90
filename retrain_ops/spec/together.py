"""What no single table of a spec can see: keys that have to fit those of other tables."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from retrain_ops.mlflow.types import LONGEST_PARAM
from retrain_ops.spec.evidently import check_evidently
from retrain_ops.spec.learn import check_learn
from retrain_ops.spec.memory import check_memory
from retrain_ops.spec.problem import check_noise, check_problem
from retrain_ops.spec.toml_tables import TableReader
from retrain_ops.spec.train import DEFAULTS, refused_param
from retrain_ops.spec.window import DAY

if TYPE_CHECKING:
    from retrain_ops.spec.spec import RetrainSpec

__all__ = ["check_together"]


def check_together(
    reader: TableReader, spec: RetrainSpec, written: Mapping[str, Mapping[str, object]]
) -> None:
    """Refuses what does not fit, with its line; `written` is the file's own content.

    Raises:
        ConfigError: names table, key and line.
    """
    check_problem(reader, spec, written)
    _check_trainer(reader, spec)
    _check_columns(reader, spec)
    _check_margins(reader, spec)
    check_noise(reader, spec)
    check_memory(reader, spec)
    check_learn(reader, spec)
    check_evidently(reader, spec)
    if (by := spec.model.threshold) in ("fbeta", "net_benefit") and by not in spec.gate.names:
        raise reader.error("model", "threshold", f"[gate] has to name {by}, as metric or guard")
    for name in spec.drift.features:
        if name not in spec.features.all:
            raise reader.error("drift", "features", f"{name!r} is not a feature of [features]")
    longest = spec.window.train_days + spec.window.holdout_days + spec.source.label_delay_days - 1
    if spec.drift.current_days > longest:
        raise reader.error("drift", "current_days", f"is longer than the window ({longest} days)")
    _check_serving(reader, spec, longest + spec.canary.max_days)


def _check_serving(reader: TableReader, spec: RetrainSpec, needed: int) -> None:
    """`needed` days are those of a window that ends with a canary's last day."""
    for name in spec.serving.leave_out:
        if name not in spec.features.all:
            raise reader.error("serving", "leave_out", f"{name!r} is not a feature of [features]")
    if 0 < spec.serving.keep_days < needed:
        raise reader.error(
            "serving", "keep_days", f"window and canary go back {needed} days: keep as many"
        )


def _check_margins(reader: TableReader, spec: RetrainSpec) -> None:
    margins = (
        ("canary", "max_f1_drop", spec.canary.max_f1_drop),
        ("canary", "gross_drop", spec.canary.gross_drop),
        ("degraded", "margin", spec.degraded.margin if spec.degraded else 0.0),
    )
    for table, key, margin in margins:
        if not spec.gate.within_span(margin):
            raise reader.error(table, key, f"{spec.gate.metric} cannot change by as much")


def _check_trainer(reader: TableReader, spec: RetrainSpec) -> None:
    """The parameters of our trainers; libraries are asked by `check_spec`, and a trainer of the
    user's own refuses by itself."""
    ours = spec.model.trainer in DEFAULTS
    refused = refused_param(spec.train, spec.model.trainer) if ours else _too_long(spec.train)
    if refused is not None:
        raise reader.error("train", *refused)


def _too_long(params: Mapping[str, object]) -> tuple[str, str] | None:
    long = next((name for name, value in params.items() if len(str(value)) > LONGEST_PARAM), None)
    if long is None:
        return None
    return long, f"is longer than the {LONGEST_PARAM:,} characters that MLflow keeps"


def _check_columns(reader: TableReader, spec: RetrainSpec) -> None:
    source = spec.source
    reserved = (source.label, source.event_time, source.request_id)
    for table, key, names in spec.named_columns:
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise reader.error(table, key, f"listed twice: {', '.join(doubled)}")
        for name in names:
            of_classes = table == "gate" and name == spec.gate.classes_of
            if table != "source" and name in reserved and not of_classes:
                raise reader.error(table, key, f"{name!r} is the source's own column")
            if name in (source.partition, DAY):
                raise reader.error(table, key, f"{name!r} is the day of a row: name another column")
    if len(set(reserved)) < len(reserved):
        raise reader.error("source", "label", "label, event_time and request_id must differ")
    _check_validated(reader, spec, spec.features.all + reserved + spec.slice_columns)


def _check_validated(reader: TableReader, spec: RetrainSpec, pulled: Collection[str]) -> None:
    for key in ("not_null", "ranges", "max_null_share"):
        for name in getattr(spec.validate, key):
            # A table with a header of its own has a line per column.
            own = (f"validate.{key}", name)
            table, at = own if own in reader.lines else ("validate", key)
            if name not in pulled:
                raise reader.error(table, at, f"{name!r} is not a column that a run pulls")
            if key == "ranges" and name not in (*spec.features.numeric, spec.source.label):
                raise reader.error(table, at, f"{name!r} is no numeric feature: it has no range")
