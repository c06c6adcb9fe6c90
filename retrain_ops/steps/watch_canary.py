"""watch_canary: the new champion beside the previous one on matured labels; rolls back by itself.

Both models score every request, so quality is judged paired on all rows. The
canary is never asked to be better: it is kept when no harm was shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from retrain_ops import _core
from retrain_ops.comparison.scoring import decide, load_version, score
from retrain_ops.data.labels import label_values, labelled
from retrain_ops.data.source import DAY, day_index
from retrain_ops.registry.events import SHARE_TAG, Version, utc_instant
from retrain_ops.rollout.looks import matured_days, read_requests, record_look
from retrain_ops.run import Run
from retrain_ops.stats.sequential import CanaryVerdict, judge_canary


@dataclass(frozen=True, slots=True)
class CanaryResult:
    """`idle`, `open`, `kept`, `rolled_back`; `day` of `min_days` that were judged."""

    verdict: str
    candidate: str | None = None
    day: int = 0
    min_days: int = 0
    labelled: int = 0
    reason: str = ""

    @property
    def status(self) -> str:
        """`ok` when a canary was looked at, `idle` otherwise."""
        return "idle" if self.verdict == "idle" else "ok"

    @property
    def summary(self) -> str:
        """One line for people."""
        if self.verdict == "idle":
            return "no canary"
        progress = f"{self.day} of {self.min_days} days, {self.labelled} labelled rows"
        return f"canary of version {self.candidate}: {self.verdict} ({progress}) {self.reason}"


def watch_canary(run: Run) -> CanaryResult:
    """Judges the open canary by what had matured at the run's instant."""
    candidate = run.registry.open_candidate()
    if candidate is None or candidate.state != "canary":
        return CanaryResult(verdict="idle")
    event = run.registry.snapshot().promotion_of(candidate.number)
    if event is None or event.previous is None:
        return CanaryResult(verdict="idle")
    since = utc_instant(event.effective_from)
    table = _matured(run, since)
    verdict = _judge(run, candidate, run.registry.version(event.previous), table, since)
    record_look(run, candidate, run.instant, "canary", verdict.to_json())
    _act(run, candidate, verdict)
    return CanaryResult(
        verdict=_word(verdict, run),
        candidate=candidate.number,
        day=int(verdict.numbers["days"] or 0),
        min_days=run.spec.canary.min_days,
        labelled=int(verdict.numbers["rows"] or 0),
        reason=verdict.reason,
    )


def _matured(run: Run, since: datetime) -> pa.Table:
    """Labelled requests since the canary began, of days whose labels are complete."""
    days = matured_days(run, since, run.instant)
    if not days or since >= run.instant:
        return read_requests(run, since=since, before=since)
    table = read_requests(run, since=since, before=run.instant)
    newest = pa.scalar(days[-1], type=pa.date32())
    table = table.filter(pc.less_equal(table[DAY], newest))
    return labelled(table, run.spec.source.label)


def _judge(
    run: Run, candidate: Version, previous: Version, table: pa.Table, since: datetime
) -> CanaryVerdict:
    codes, days = day_index(table)
    elapsed = (run.instant - since).days
    if table.num_rows == 0:
        cells = np.zeros((0, 8), dtype=np.int64)
    else:
        counts = _core.joint_cells(
            codes,
            np.zeros(table.num_rows, dtype=np.int32),
            label_values(table, run.spec.source.label),
            _decisions(run, previous, table),
            _decisions(run, candidate, table),
            len(days),
            1,
            n_threads=run.n_threads,
        )
        cells = counts[:, 0, :]
    return judge_canary(cells, run.spec.canary, days_elapsed=max(elapsed, 0))


def _decisions(run: Run, version: Version, table: pa.Table) -> np.ndarray:
    model = load_version(run, version)
    return decide(model, score(model, table, n_threads=run.n_threads))


def _rolls_back(verdict: CanaryVerdict, run: Run) -> bool:
    expired = verdict.action == "expire" and run.spec.canary.on_expiry == "rollback"
    return verdict.action == "rollback" or expired


def _word(verdict: CanaryVerdict, run: Run) -> str:
    if verdict.action == "continue":
        return "open"
    return "rolled_back" if _rolls_back(verdict, run) else "kept"


def _act(run: Run, candidate: Version, verdict: CanaryVerdict) -> None:
    if verdict.action == "continue":
        return
    if _rolls_back(verdict, run):
        run.registry.rollback(candidate, effective_from=run.instant, recorded_at=datetime.now(UTC))
        return
    run.registry.set_tag(candidate, SHARE_TAG, "1")
    run.registry.set_state(candidate, "promoted", closed_at=run.instant)
