"""pull_data: the window's rows from the daily source into one file of the workspace."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import pyarrow as pa

from retrain_ops.data.pins import Pins, write_pins
from retrain_ops.data.processed import ParquetRows, write_processed
from retrain_ops.data.source import sha256_of_rows
from retrain_ops.data.spool import scratch
from retrain_ops.data.window_rows import pull_window
from retrain_ops.run import Run, note
from retrain_ops.stats.rules import quiet

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PullResult:
    """What was pulled; `data_sha256` is the hash of the rows' logical content.

    `outside_day` and `after_instant` count the rows that strayed, the second kind is left out.
    """

    rows: int
    labelled: int
    first_day: str
    last_day: str
    data_sha256: str
    path: str
    outside_day: int = quiet(0)
    after_instant: int = quiet(0)
    warnings: tuple[str, ...] = quiet(())

    @property
    def status(self) -> str:
        """Always `ok`: a window that cannot be pulled is an error."""
        return "ok"

    @property
    def summary(self) -> str:
        """One line for people."""
        return f"{self.rows} rows, {self.labelled} labelled, {self.first_day} to {self.last_day}"


def pull_data(run: Run) -> PullResult:
    """Writes `data/processed/<model>/window_end=<date>/part-0.parquet`, in place.

    Labels of days that are not complete at the run's instant are left out.
    With `[publish]` the features also go to a database, once per retrain key.

    Raises:
        SourceError: a day is missing or wrong, too many rows have strayed, the window is empty,
            or a request id is doubled.
    """
    pins = Pins()
    with scratch() as file:
        strays = pull_window(run.source, run.window, file, pins)
        rows = ParquetRows(file)
        digest = sha256_of_rows(rows, run.spec.features.numeric)
        path = run.workspace.processed_path(run.window.end)
        known = run.read("pull_data.json", {"data_sha256": str})
        same = known is not None and known["data_sha256"] == digest
        if not (same and run.workspace.is_sound(path)):
            write_processed(run.workspace, run.window.end, file)
        _pin(run, pins)
        if run.spec.publish.url:
            _publish(run, rows.table())
        label = rows[run.spec.source.label]
    return PullResult(
        rows=len(label),
        labelled=len(label) - label.null_count,
        first_day=run.window.days[0].isoformat(),
        last_day=run.window.days[-1].isoformat(),
        data_sha256=digest,
        path=path,
        outside_day=strays.outside,
        after_instant=strays.late,
        warnings=tuple(strays.warnings()),
    )


def _pin(run: Run, pins: Pins) -> None:
    """Keeps what the rows were read from; a re-run says when that is not what it was."""
    change = write_pins(run.workspace, run.window.end, pins)
    if change:
        note(run, source_change=change)
        log.warning("[NEW SOURCE] %s is not read from what it was: %s", run.retrain_key, change)


def _publish(run: Run, table: pa.Table) -> None:
    from retrain_ops.data.publish import publish_features

    publish_features(
        table,
        url=run.spec.publish.url,
        table_name=run.spec.publish.table,
        retrain_key=run.retrain_key,
    )
