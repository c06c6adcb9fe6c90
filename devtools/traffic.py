"""Live traffic that never was: the source's rows as a server's log has them."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from retrain_ops.comparison.scoring import load_version
from retrain_ops.data.live_log import ANSWERS, SHADOWS
from retrain_ops.data.source import Source
from retrain_ops.problems import problem_of
from retrain_ops.registry.events import Version
from retrain_ops.run import Run
from retrain_ops.spec.window import days_between

Scores = npt.NDArray[np.float64]
TOOK_NS = 20_000


@dataclass(frozen=True)
class Fault:
    """What is wrong with the newer model: its scores, its time, the share of rows it fails on,
    the share of units that meet it beside the one that they should; or with the older one, which
    fails on a share of the rows."""

    scores: Callable[[Scores], Scores] = lambda scores: scores
    slower_ns: int = 0
    fails: float = 0.0
    share_off: float = 1.0
    older_fails: float = 0.0


SOUND = Fault()
FAULTS = {
    "inverted": Fault(scores=lambda scores: 1 - scores),
    "nan": Fault(scores=lambda scores: np.full_like(scores, np.nan)),
    "constant": Fault(scores=lambda scores: np.full_like(scores, 0.5)),
    "slow": Fault(slower_ns=50_000_000),
    "errors": Fault(fails=0.2),
}
"""What a canary must be rolled back for at once."""


def write_traffic(
    run: Run,
    old: Version,
    new: Version,
    since: datetime,
    before: datetime,
    *,
    share: float | None = None,
    fault: Fault = SOUND,
    name: str = "part",
) -> None:
    """Logs every row of the source in `[since, before)`: answered by `old`, and beside a canary by
    `new` for a `share` of the units; the other model's scores beside."""
    days = days_between(since.date() - timedelta(days=1), before.date())
    rows = Source(run.spec).read(
        days, columns=run.spec.features.all, since=since, before=before, allow_missing=True
    )
    rng = np.random.default_rng(7)
    n, numbers = rows.num_rows, (int(old.number), int(new.number))
    unit = rng.integers(0, 2**64, n, dtype=np.uint64)
    met = np.zeros(n, bool) if share is None else unit < np.uint64(share * fault.share_off * 2**64)
    problem = problem_of(run.spec)
    scored = (problem.scored(load_version(run, v), rows, n_threads=1) for v in (old, new))
    scores = [one.scores for one in scored]
    scores[1] = fault.scores(scores[1])
    took = TOOK_NS + rng.integers(0, 1000, (2, n)) + np.array([[0], [fault.slower_ns]])
    failed = rng.random(n) < np.where(met, fault.older_fails, fault.fails)
    both = {False: (numbers[0], scores[0], took[0]), True: (numbers[1], scores[1], took[1])}
    source = run.spec.source
    keys = {
        source.event_time: rows[source.event_time],
        "log_writer": pa.array(np.full(n, zlib.crc32(name.encode()))),
        "log_sequence": pa.array(np.arange(n)),
        "log_row": pa.array(np.zeros(n, np.int64)),
    }
    answers = {source.request_id: rows[source.request_id], **keys, **_said(both, met)}
    answers["log_unit"] = pa.array(unit.view(np.int64))
    answers["log_share"] = pa.array(np.full(n, 1.0 if share is None else share))
    other = {**keys, **_said(both, ~met), **_status(failed)}
    again = pa.table({**keys, **_said(both, met), **_status(np.zeros(n, bool))})
    shadows = pa.concat_tables([pa.table(other), again.take(pa.array(np.arange(0, n, 2)))])
    for kind, table in ((ANSWERS, pa.table(answers)), (SHADOWS, shadows)):
        write_log(Path(run.spec.serving.log) / kind, table, source.event_time, name)


def _said(
    both: dict[bool, tuple[int, Scores, npt.NDArray[np.int64]]], new: npt.NDArray[np.bool_]
) -> dict[str, pa.Array]:
    versions, scores, took = zip(both[False], both[True], strict=True)
    return {
        "log_version": pa.array(np.where(new, versions[1], versions[0])),
        "log_score": pa.array(np.where(new, scores[1], scores[0])),
        "log_took_ns": pa.array(np.where(new, took[1], took[0])),
    }


def _status(failed: npt.NDArray[np.bool_]) -> dict[str, pa.Array]:
    return {
        "log_status": pa.array(np.where(failed, 500, 200)),
        "log_delay_ns": pa.array(np.full(len(failed), 10_000_000)),
    }


def write_log(folder: Path, table: pa.Table, time: str, name: str) -> None:
    """A file per day, as the server writes them."""
    days = pc.cast(table[time], pa.date32())
    for day in pc.unique(days).to_pylist():
        place = folder / f"day={day.isoformat()}"
        place.mkdir(parents=True, exist_ok=True)
        part = table.filter(pc.equal(days, pa.scalar(day, pa.date32())))
        pq.write_table(part, place / f"{name}.parquet")
