"""Earlier windows of the model that a moderated variance borrows from, out of their decisions."""

from __future__ import annotations

from retrain_ops.decisions.record import Decision, GateRecord, compared, recover_decision
from retrain_ops.run import Run
from retrain_ops.stats.cells import ALL_ROWS, day_cells
from retrain_ops.stats.gates import metric_days
from retrain_ops.stats.metrics import Metric
from retrain_ops.stats.moderation import EarlierWindow, earlier_window
from retrain_ops.stats.paired import PairedDifference, compare

MOST = 26
"""Half a year of weeks: what is older says little about today's days."""


def earlier_windows(run: Run, first_day: str) -> tuple[EarlierWindow, ...]:
    """The newest windows that share no hold-out day with each other or this one, newest first.

    A key that was decided before borrows what it borrowed then: a backfill or a re-run of earlier
    days repeats its decision.

    Args:
        run: of the key.
        first_day: of its hold-out, as ISO text.

    Raises:
        DataError: an earlier decision is malformed.
    """
    rules = run.spec.gate
    if rules.variance == "window":
        return ()
    own = recover_decision(run.workspace, run.window.end)
    gate = compared(own) if own else None
    if gate is not None and "moderation" in gate:
        return earlier_of_record(gate)
    found: list[EarlierWindow] = []
    for end in reversed(run.workspace.list_keys()):
        if end >= run.window.end or len(found) == MOST:
            continue
        decision = recover_decision(run.workspace, end)
        paired = _paired(decision, rules.scored_by, before=first_day) if decision else None
        window = earlier_window(end.isoformat(), paired) if paired else None
        if decision is not None and window is not None and window.days >= rules.min_days:
            found.append(window)
            first_day = decision["holdout"]["days"][0]
    return tuple(found)


def _paired(decision: Decision, metric: Metric, *, before: str) -> PairedDifference | None:
    """All rows in the metric; None for a day that compared nothing, overlaps, or has no sums."""
    if compared(decision) is None:
        return None
    holdout = decision["holdout"]
    sums = holdout.get("sums", {})
    if holdout["days"][-1] >= before or (metric.kind is not None and metric.kind not in sums):
        return None
    cells = day_cells(holdout["cells"][ALL_ROWS][ALL_ROWS])
    return compare(metric_days(cells, metric, sums, ALL_ROWS, ALL_ROWS), metric)


def earlier_of_record(gate: GateRecord) -> tuple[EarlierWindow, ...]:
    """The windows that a decision borrowed from."""
    if "moderation" not in gate:
        return ()
    return tuple(EarlierWindow(**window) for window in gate["moderation"]["windows"])
