"""watch_canary: the new champion beside the previous one on matured labels; rolls back by itself.

Both models score every request, so quality is judged paired on all rows. The
canary is never asked to be better: it is kept when no harm was shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from retrain_ops.comparison.counts import version_rows
from retrain_ops.comparison.live import live_rows
from retrain_ops.data.labels import labelled
from retrain_ops.errors import ConflictError
from retrain_ops.registry.events import Event, Version, utc_instant
from retrain_ops.rollout import news
from retrain_ops.rollout.guards import guarded, look_at_guards
from retrain_ops.rollout.looks import (
    candidate_path,
    matured_days,
    read_requests,
    record_look,
    said_first,
)
from retrain_ops.rollout.widening import next_share
from retrain_ops.run import Run
from retrain_ops.spec.window import DAY
from retrain_ops.stats.cells import ALL_ROWS, DayCells, day_cells
from retrain_ops.stats.sequential import CanaryVerdict, judge_canary
from retrain_ops.stats.tables import PairedRows


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
    run.registry.finish()
    candidate = run.registry.open_candidate()
    if candidate is None or candidate.state != "canary":
        return _rolled_back_unreported(run)
    if candidate.opened_at is not None and candidate.opened_at > run.instant:
        return CanaryResult(verdict="idle")  # an older day, run again, saw nothing of it
    world = run.registry.world()
    event = world.snapshot.promotion_of(candidate.number)
    if event is None:
        return CanaryResult(verdict="idle")
    previous = world.holder(event.previous)
    if previous is None:
        return _keep_alone(run, candidate)
    as_of, judged = _look(run, candidate, previous, event)
    record_look(run, candidate, as_of, "canary", judged)
    result = _result(run, candidate, judged)
    with said_first(run, "watch_canary", result):
        _act(run, candidate, result, as_of)
        if "widened_to" in judged:
            run.registry.widen(candidate, judged["widened_to"], at=as_of)
    return result


def _look(
    run: Run, candidate: Version, previous: Version, promotion: Event
) -> tuple[datetime, Mapping[str, Any]]:
    """As of when the canary was judged, and the record of it.

    Labels count as of the run's instant; live requests up to now, unless the day is an older one,
    and what they end, they end now.
    """
    since = utc_instant(promotion.effective_from)
    if not run.spec.serving.log:
        rows = version_rows(run, _matured(run, since), previous, candidate)
        verdict = _judge(run, rows, since)
        return run.instant, _with_share(run, candidate, promotion, verdict, run.instant)
    now = datetime.now(UTC).replace(microsecond=0)
    as_of = now if run.instant <= now < run.instant + timedelta(days=1) else run.instant
    guards = look_at_guards(run, previous, candidate, since, as_of)
    rows = live_rows(run, _matured(run, since), previous, candidate, guards.pairs.both)
    verdict = guarded(run, _judge(run, rows, since), guards, as_of)
    widens = guards.sound and verdict.reason not in ("no_traffic", "no_scores")
    judged = _with_share(run, candidate, promotion, verdict, as_of) if widens else verdict.to_json()
    acts = verdict.action == "rollback" or "widened_to" in judged
    return as_of if acts else run.instant, {**judged, **guards.record()}


def _with_share(
    run: Run, candidate: Version, promotion: Event, verdict: CanaryVerdict, as_of: datetime
) -> Mapping[str, Any]:
    """The verdict, and the share that the canary is to have from now on where it grows."""
    share = next_share(run, candidate, promotion, verdict, as_of)
    return {**verdict.to_json(), **({} if share is None else {"widened_to": share})}


def _keep_alone(run: Run, candidate: Version) -> CanaryResult:
    """Nobody is left to compare with, or to go back to: an open canary would block for ever."""
    days = run.spec.canary.min_days
    reason = "the version it replaced was deleted, so it was not judged"
    result = CanaryResult("kept", candidate.number, min_days=days, reason=reason)
    with said_first(run, "watch_canary", result):
        _act(run, candidate, result, run.instant)
    return result


def _result(run: Run, candidate: Version, judged: Mapping[str, Any]) -> CanaryResult:
    """What a verdict, fresh or from its record, comes to."""
    share = judged.get("widened_to")
    return CanaryResult(
        verdict=_word(judged["action"], run),
        candidate=candidate.number,
        day=int(judged["numbers"]["days"] or 0),
        min_days=run.spec.canary.min_days,
        labelled=int(judged["numbers"]["rows"] or 0),
        reason=judged["reason"] + ("" if share is None else f", from now on {share:.0%}"),
    )


def _rolled_back_unreported(run: Run) -> CanaryResult:
    """Nothing is open; but the run that rolled back may have died before it could say so."""
    event = news.unreported(run, ("rollback",))
    if event is None:
        return CanaryResult(verdict="idle")
    news.report(run, event)
    failed = run.registry.world().find(event.failed)
    if failed is not None:
        look = candidate_path(run, failed, utc_instant(event.effective_from))
        judged = (run.workspace.recover_json(look) or {}).get("canary")
        if judged is not None:
            return _result(run, failed, judged)
    reason = f"by hand at {event.effective_from}, to version {event.version}"
    return CanaryResult(
        "rolled_back", event.failed, min_days=run.spec.canary.min_days, reason=reason
    )


def _matured(run: Run, since: datetime) -> pa.Table:
    """Labelled requests since the canary began, of days whose labels are complete."""
    days = matured_days(run, since, run.instant)
    if not days or since >= run.instant:
        return read_requests(run, since=since, before=since)
    # A live request is known by its id: what its row says of the time may be a day off.
    early = timedelta(days=1) if run.spec.serving.log else timedelta()
    table = read_requests(run, since=since - early, before=run.instant)
    newest = pa.scalar(days[-1], type=pa.date32())
    table = table.filter(pc.less_equal(table[DAY], newest))
    return labelled(table, run.spec)


def _judge(run: Run, rows: PairedRows, since: datetime) -> CanaryVerdict:
    metric = run.spec.gate.scored_by
    cells = rows.cells(rows.everyone)[ALL_ROWS]
    days = day_cells(cells)

    def part(first: int, end: int) -> DayCells:
        """Joint counts are there already; sums of ranks are of the very days."""
        return rows.between(first, end).judged_by(metric) if metric.kind else days[first:end]

    elapsed = max((run.instant - since).days, 0)
    return judge_canary(cells, run.spec.canary, days_elapsed=elapsed, metric=metric, part=part)


def _word(action: str, run: Run) -> str:
    """What an action of the verdict comes to under the spec."""
    if action == "continue":
        return "open"
    expired = action == "expire" and run.spec.canary.on_expiry == "rollback"
    return "rolled_back" if action == "rollback" or expired else "kept"


def _act(run: Run, candidate: Version, result: CanaryResult, as_of: datetime) -> None:
    """Does what the result says.

    Raises:
        ConflictError: somebody without a common lock was faster, and did something else.
    """
    if result.verdict == "rolled_back":
        now = datetime.now(UTC)
        event = run.registry.rollback(candidate, effective_from=as_of, recorded_at=now)
        if event is None:
            raise _overtaken(candidate, "replaced")
        news.report(run, event)
    elif result.verdict == "kept":
        run.registry.set_state(candidate, "promoted", closed_at=run.instant)
        if run.registry.version(candidate.number).state == "rolled_back":
            raise _overtaken(candidate, "rolled back")


def _overtaken(candidate: Version, how: str) -> ConflictError:
    return ConflictError(
        f"version {candidate.number} was {how} while it was judged; run this step again"
    )
