"""Looks at the open candidate: where they are recorded, and the traffic they judge by.

Time is nominal: a shadow lasts from the instant of the window that opened it
for 24 h, whenever somebody looks. So delays do not add up, and a backfilled
window finds its traffic already there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import Any

import pyarrow as pa

from retrain_ops.comparison.live import LivePairs
from retrain_ops.data.source import Source
from retrain_ops.errors import ConflictError
from retrain_ops.registry.events import Version, utc_text
from retrain_ops.registry.tags import shadow_days
from retrain_ops.run import Run
from retrain_ops.spec.window import days_between
from retrain_ops.stats.rounding import to_json_value


def candidate_path(run: Run, candidate: Version, as_of: datetime) -> str:
    """Where a look at the candidate is recorded, whichever run looked."""
    name = f"rollout/as_of={utc_text(as_of).replace(':', '')}.json"
    return run.workspace.key_path(candidate.window_end, name)


def record_look(
    run: Run, candidate: Version, as_of: datetime, part: str, content: Mapping[str, Any]
) -> None:
    """Writes one part (`shadow`, `promotion` or `canary`) of the look at `as_of`."""
    path = candidate_path(run, candidate, as_of)
    record = run.workspace.recover_json(path) or {}
    record.update({"candidate": candidate.retrain_key, "as_of": utc_text(as_of)})
    record[part] = dict(content)
    run.workspace.write_json(path, record)


def withdraw_look(run: Run, candidate: Version, as_of: datetime, part: str) -> None:
    """Takes back a part that did not come to pass; the file keeps what else was found."""
    path = candidate_path(run, candidate, as_of)
    record = run.workspace.recover_json(path) or {}
    if record.pop(part, None) is not None:
        run.workspace.write_json(path, record)


@contextmanager
def said_first(run: Run, step: str, result: Any) -> Iterator[None]:
    """Writes what a rollout step is about to do as its result, and takes it back if refused.

    A run that dies once it is done has nothing left to do: it says again what is written here.

    Raises:
        ConflictError: the registry refused it.
    """
    path = run.path(f"{step}.json")
    run.workspace.write_json(path, asdict(result))
    try:
        yield
    except ConflictError as problem:
        run.workspace.set_aside(path, f"what it says was refused ({problem})")
        raise


def shadow_end(run: Run, candidate: Version) -> datetime:
    """The nominal end of the shadow, extensions included."""
    assert candidate.opened_at is not None
    return candidate.opened_at + timedelta(hours=run.spec.shadow.hours) * shadow_days(candidate)


def read_requests(run: Run, *, since: datetime, before: datetime) -> pa.Table:
    """Requests of `[since, before)`; a source day may lie a day to either side of its instants."""
    days = days_between(since.date() - timedelta(days=1), before.date() + timedelta(days=1))
    label = run.spec.source.label
    columns = (*run.spec.features.all, label)
    # The newest version: the key's own was pinned before this traffic came.
    source = Source(run.spec)
    return source.read(days, columns=columns, before=before, since=since, allow_missing=True)


def matured_days(run: Run, since: datetime, as_of: datetime) -> tuple[date, ...]:
    """Days from `since` whose labels were complete at `as_of`."""
    newest = as_of.date() - timedelta(days=run.spec.source.label_delay_days)
    first = since.date() - timedelta(days=1)
    return days_between(first, newest) if newest >= first else ()


def traffic_of(pairs: LivePairs) -> dict[str, object]:
    """What a record says of the requests behind a look; one without it replayed the source."""
    return {"traffic": "live", "live": to_json_value(pairs.numbers())}
