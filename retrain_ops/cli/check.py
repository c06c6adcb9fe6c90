"""`retrain-ops check`: what a spec and its source are worth on a day; it writes nothing."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from retrain_ops.cli.command import EXIT_DATA
from retrain_ops.errors import SourceError
from retrain_ops.spec.spec import RetrainSpec, load_spec
from retrain_ops.spec.window import Window, day_that_has_come, parse_window_end

if TYPE_CHECKING:
    import pyarrow as pa

    from retrain_ops.registry.events import Version
    from retrain_ops.run import Run

HELP = "read a spec and its source as a day would, and say what the day would do; write nothing"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `check`."""
    parser.add_argument("spec", metavar="SPEC", help="the TOML spec")
    parser.add_argument(
        "--date", help="the window end, UTC (default: the day after the source's newest, or today)"
    )
    parser.add_argument("--tracking-uri", help="MLflow (default: the spec, MLFLOW_TRACKING_URI)")
    parser.add_argument("--model", help="another registered name for the same spec")


def check(options: argparse.Namespace) -> dict[str, Any]:
    """The window's rows, label rate and null shares by day, and what the day would do.

    Raises:
        ConfigError: the spec is wrong, or the day lies in the future.
        SourceError: the source has no days at all.
        ValidationError: the window fails its expectations.
    """
    from retrain_ops.data.source import Source
    from retrain_ops.steps.check_drift import check_spec

    spec = load_spec(options.spec).named(options.model)
    now = datetime.now(UTC)
    newest = options.date is None
    end = _day_after_newest(spec, now.date()) if newest else parse_window_end(options.date)
    window = spec.window_at(day_that_has_come(end, now))
    check_spec(Source(spec), window)
    output = {"model": spec.model.name, "window_end": end.isoformat(), "spec_sha256": spec.sha256()}
    problems = list(_wrong_days(spec, window))
    if problems:
        message = "; ".join(p["message"] for p in problems[:5])
        failed = {"status": "failed", "error": "SourceError", "message": message}
        return {**output, **failed, "problems": problems, "exit_code": EXIT_DATA}
    return {**output, "status": "ok", **_facts(spec, window, options.tracking_uri)}


def _day_after_newest(spec: RetrainSpec, today: date) -> date:
    """Today where the source's newest day is not over."""
    from retrain_ops.data.source import Source

    source = Source(spec)
    days = source.days()
    if not days:
        raise SourceError(f"the source has no days: {source.expected}")
    return min(days[-1], today - timedelta(days=1)) + timedelta(days=1)


def _wrong_days(spec: RetrainSpec, window: Window) -> Iterable[dict[str, str]]:
    """Each day that cannot be read, and why: a run stops at the first."""
    from retrain_ops.data.source import Source
    from retrain_ops.data.window_rows import pulled_columns

    for day in window.days:
        try:
            Source(spec).read([day], columns=pulled_columns(spec), before=window.instant)
        except SourceError as problem:
            yield {"day": day.isoformat(), "message": str(problem)}


def _facts(spec: RetrainSpec, window: Window, tracking_uri: str | None) -> dict[str, Any]:
    from retrain_ops.data.expectations import validate_table
    from retrain_ops.data.source import Source
    from retrain_ops.data.window_rows import window_rows
    from retrain_ops.errors import ValidationError
    from retrain_ops.steps.validate_data import failures_of, rules_of

    table, strays = window_rows(Source(spec), window)
    report = validate_table(table, rules_of(spec, table.schema))
    if not report.success:
        raise ValidationError(f"{spec.model.name}/{window.end}: {failures_of(report)}")
    with _registry(spec, window, tracking_uri) as asked:
        odd = _odd_days(spec, window, table, asked)
        would = _would(window, asked)
    return {
        "window": {
            "train": _ends(window.train),
            "holdout": _ends(window.holdout),
            "unlabelled": _ends(window.unlabelled),
        },
        **_rows(table, spec),
        "null_share": {name: _null_share(table[name]) for name in table.column_names[1:]},
        "days": _by_day(table, spec),
        "expectations": report.evaluated,
        "warnings": [*strays.warnings(), *odd],
        "would": would,
    }


@contextmanager
def _registry(
    spec: RetrainSpec, window: Window, tracking_uri: str | None
) -> Iterator[tuple[Run, Version | None] | None]:
    """A run of that day and the champion as of its instant; None where no server is named."""
    from retrain_ops.run import open_run

    if not (tracking_uri or spec.registry.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")):
        yield None
        return
    with tempfile.TemporaryDirectory() as empty:
        run = open_run(spec, date=window.end, workspace=empty, tracking_uri=tracking_uri)
        yield run, run.registry.champion_as_of(window.instant)


def _odd_days(
    spec: RetrainSpec, window: Window, table: pa.Table, asked: tuple[Run, Version | None] | None
) -> tuple[str, ...]:
    from retrain_ops.comparison.scoring import REFERENCE_FILE, file_of_version
    from retrain_ops.steps.validate_data import warnings_of

    run, champion = asked or (None, None)
    reference = None
    if run is not None and champion is not None:
        reference = json.loads(file_of_version(run, champion, REFERENCE_FILE))
    return warnings_of(spec, window, table, reference)


def _ends(days: tuple[date, ...]) -> list[str]:
    return [days[0].isoformat(), days[-1].isoformat()] if days else []


def _rows(table: pa.Table, spec: RetrainSpec) -> dict[str, Any]:

    from retrain_ops.data.labels import labels_of

    label, labels = table[spec.source.label], labels_of(spec)
    return {
        "rows": table.num_rows,
        "labelled": table.num_rows - label.null_count,
        labels.rate_name: labels.survey(label),
    }


def _null_share(column: pa.ChunkedArray) -> float:
    import pyarrow.compute as pc

    missing = pc.sum(pc.is_null(column, nan_is_null=True)).as_py() or 0
    return round(missing / max(len(column), 1), 4)


def _by_day(table: pa.Table, spec: RetrainSpec) -> list[dict[str, Any]]:
    import pyarrow.compute as pc

    from retrain_ops.spec.window import DAY

    days = pc.unique(table[DAY]).to_pylist()
    parts = ((day, table.filter(pc.equal(table[DAY], day))) for day in days)
    return [{"day": day.isoformat(), **_rows(part, spec)} for day, part in parts]


def _would(window: Window, asked: tuple[Run, Version | None] | None) -> str:
    """What `retrain-ops run` of this day would do."""
    judged = f"train on {_span(window.train)} and judge on {_span(window.holdout)}"
    if asked is None:
        return f"{judged}; no MLflow server is named, so whether there is a champion is not known"
    run, champion = asked
    if champion is None:
        return f"ask for --bootstrap: {run.model} has no champion yet; then {judged}"
    return _reason(run, champion, judged)


def _reason(run: Run, champion: Version, judged: str) -> str:
    from retrain_ops.comparison.drift import drift_of_features

    serves = f"version {champion.number} ({champion.retrain_key}) serves"
    age = (run.window.end - champion.window_end).days
    found = drift_of_features(run, champion)
    report = found.report
    psi = f"PSI at most {report.psi_max:.3f} ({report.feature_max})"
    if found.triggered:
        return f"{judged}, because of drift: {psi}; {serves}"
    if age > run.spec.drift.max_age_days:
        return f"{judged}, because the champion is {age} days old; {psi}; {serves}"
    return f"train nothing: {psi}, the champion is {age} days old; {serves}"


def _span(days: tuple[date, ...]) -> str:
    return f"{days[0].isoformat()} to {days[-1].isoformat()}"
