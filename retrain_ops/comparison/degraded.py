"""The champion beside a newer model on matured rows: the counts of the `degraded` trigger."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, timedelta

import pyarrow as pa

from retrain_ops.comparison.counts import NO_DAYS, version_rows
from retrain_ops.data.labels import labelled, rows_of_days
from retrain_ops.decisions.champion import champion_record
from retrain_ops.decisions.record import recover_decision
from retrain_ops.registry.events import Version
from retrain_ops.run import Run
from retrain_ops.spec.window import days_between
from retrain_ops.stats.cells import ALL_ROWS
from retrain_ops.stats.degraded import DegradedReport, DegradedRules, judge_degraded
from retrain_ops.stats.sums import DaySums
from retrain_ops.stats.tables import Counts

DAY = re.compile(r"\d{4}-\d\d-\d\d")


def compare_matured(run: Run, champion: Version) -> DegradedReport | None:
    """The report of `[degraded]`; None when the spec has no such table.

    Each window takes the newest model of an earlier window end that learnt from none of its
    days: the newest challenger, or, where there is none, the model that the champion replaced.
    """
    rules = run.spec.degraded
    if rules is None:
        return None
    windows = _windows(run, rules)
    table = _matured_rows(run, windows)
    others = _named_before(run, windows) or _newest_others(run, champion, windows)
    fair = [tuple(d for d in days if d.isoformat() > seen_until(champion)) for days in windows]
    counted = [
        (
            days[0].isoformat(),
            days[-1].isoformat(),
            champion_record(other) if other else None,
            *_counts(run, rows_of_days(table, kept), champion, other),
        )
        for days, kept, other in zip(windows, fair, others, strict=True)
    ]
    return judge_degraded(counted, rules, run.spec.gate.scored_by)


def seen_until(version: Version) -> str:
    """The newest day that a model learnt from or chose its threshold on, as ISO text.

    Where a hand spoilt or removed the tags it is the window's end, which no such day lies behind.
    """
    trained, chosen = (version.tags.get(name, "") for name in ("train_end", "threshold_end"))
    known = DAY.fullmatch(trained) and (not chosen or DAY.fullmatch(chosen))
    return max(trained, chosen) if known else version.window_end.isoformat()


def _windows(run: Run, rules: DegradedRules) -> list[tuple[date, ...]]:
    """The newest matured days in windows that do not overlap, newest first."""
    ends = [run.window.newest_labelled - timedelta(days=rules.days * i) for i in range(rules.of)]
    return [days_between(end - timedelta(days=rules.days - 1), end) for end in ends]


def _matured_rows(run: Run, windows: Sequence[tuple[date, ...]]) -> pa.Table:
    label = run.spec.source.label
    columns = (*run.spec.features.all, label)
    days = [d for window in windows for d in window]
    table = run.source.read(days, columns=columns, before=run.instant, allow_missing=True)
    return labelled(table, run.spec)


def _named_before(run: Run, windows: Sequence[tuple[date, ...]]) -> list[Version | None] | None:
    """A re-run compares with the models that its decision names, as long as they exist."""
    decision = recover_decision(run.workspace, run.window.end)
    record = decision["drift"].get("degraded") if decision else None
    if record is None or len(record["windows"]) != len(windows):
        return None
    named = [w["reference"] for w in record["windows"]]
    found = [run.registry.version_with(**name) if name else None for name in named]
    lost = any(n and f is None for n, f in zip(named, found, strict=True))
    return None if lost else found


def _newest_others(
    run: Run, champion: Version, windows: Sequence[tuple[date, ...]]
) -> list[Version | None]:
    others = [
        v
        for v in run.registry.versions()
        if v.window_end < run.window.end and v.model_sha256 != champion.model_sha256
    ]
    others.sort(key=lambda v: (v.window_end, int(v.number)), reverse=True)
    return [next((v for v in others if seen_until(v) < w[0].isoformat()), None) for w in windows]


def _counts(
    run: Run, table: pa.Table, champion: Version, other: Version | None
) -> tuple[Counts, DaySums | None]:
    """Joint counts with the other model in the challenger's place, and the metric's sums; no day
    without one."""
    metric = run.spec.gate.scored_by
    if other is None:
        return NO_DAYS, () if metric.kind else None
    rows = version_rows(run, table, champion, other)
    cells = rows.cells(rows.everyone)[ALL_ROWS]
    return cells, rows.sums(metric, rows.everyone)[ALL_ROWS] if metric.kind else None
