"""Two versions on the same live requests: what both said, and how it went."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from retrain_ops.comparison.counts import labelled_days, no_rows
from retrain_ops.comparison.scoring import load_version
from retrain_ops.data.live_log import RECORD, SCORED, LiveTraffic, first_of, read_live
from retrain_ops.problems import Scored, problem_of
from retrain_ops.registry.events import Version
from retrain_ops.run import Run
from retrain_ops.spec.window import DAY
from retrain_ops.stats.shadow import ShadowVerdict
from retrain_ops.stats.tables import PairedRows
from retrain_ops.stats.traffic import p99_ms, sample_ratio_p

LATE = timedelta(seconds=60)
"""A score that came so long after its answer is counted as late."""
LATENCY_CONFIDENCE = 0.999
"""A challenger is slow when its p99 is beyond doubt; a few requests that a busy machine held up
are none."""
SETTLES = timedelta(minutes=10)
"""How long after a request it is Parquet: segments are open for five minutes."""

Numbers = dict[str, float | int | None]


@dataclass(frozen=True, slots=True, eq=False)
class LivePairs:
    """Requests that `old` or `new` answered since both scored.

    `both` are those with a number from each: request id, `old`, `new`. `noise` are scores of the
    model that answered, once more: `first`, `again`. `failed` are rows that `new` could not score
    beside `old`. Latencies are in nanoseconds; `newest` is when `new` answered last, whoever else
    scored, and `compared` when a row was answered last that both scored.
    """

    both: pa.Table
    noise: pa.Table
    answered: int
    failed: int
    late: int
    repeated: int
    timed: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
    newest: datetime | None
    compared: datetime | None
    sample_p: float

    @property
    def seen(self) -> int:
        """Rows that both were asked about."""
        return int(self.both.num_rows) + self.failed

    def numbers(self) -> Numbers:
        """What a record says of the traffic."""
        first, again = (self.noise[name].to_numpy() for name in ("first", "again"))
        return {
            "answered": self.answered,
            "matched": self.both.num_rows,
            "failed": self.failed,
            "late": self.late,
            "repeated": self.repeated,
            "sample_ratio_p": self.sample_p,
            "noise_rows": self.noise.num_rows,
            "noise_differing": int(np.count_nonzero(first != again)),
            "noise_largest": float(np.abs(first - again).max()) if len(first) else None,
        }


def live_pairs(
    run: Run, old: Version, new: Version, since: datetime, before: datetime
) -> LivePairs:
    """What `old` and `new` said of the requests of `[since, before)` that either answered.

    They count from the first that both scored: a challenger is there later than its nominal
    beginning, and who was down before is not missed.

    Raises:
        SourceError: the log cannot be read.
    """
    live = read_live(run.spec, since, before)
    versions = pa.array([int(old.number), int(new.number)])
    time = run.spec.source.event_time
    answers = live.answers.filter(pc.is_in(live.answers["log_version"], versions))
    pairs = _pairs(live, answers, versions, time)
    cross = pairs.filter(pc.not_equal(pairs["log_version"], pairs["log_version_other"]))
    began = pc.min(cross[time])
    answers = answers.filter(pc.greater_equal(answers[time], began))  # none where nothing paired
    noise = pairs.filter(pc.equal(pairs["log_version"], pairs["log_version_other"]))
    sound = cross.filter(pc.equal(cross["log_status"], SCORED))
    by_old = pc.equal(sound["log_version"], int(old.number))
    asked_new = cross.filter(pc.equal(cross["log_version_other"], int(new.number)))
    scores = sound["log_score"], sound["log_score_other"]
    both = pa.table(
        {
            run.spec.source.request_id: sound[run.spec.source.request_id],
            "old": pc.if_else(by_old, *scores),
            "new": pc.if_else(by_old, *reversed(scores)),
        }
    )
    by_new = pc.equal(live.answers["log_version"], int(new.number))
    late = pc.sum(pc.greater(cross["log_delay_ns"], LATE // timedelta(microseconds=1) * 1000))
    return LivePairs(
        both=both,
        noise=pa.table({"first": noise["log_score"], "again": noise["log_score_other"]}),
        answered=answers.num_rows,
        failed=pc.sum(pc.not_equal(asked_new["log_status"], SCORED)).as_py() or 0,
        late=late.as_py() or 0,
        repeated=live.repeated,
        timed=_timed(answers, noise, cross, old, new),
        newest=pc.max(live.answers[time].filter(by_new)).as_py(),
        compared=pc.max(sound[time]).as_py(),
        sample_p=_sample_p(answers, int(new.number), time),
    )


def _pairs(live: LiveTraffic, answers: pa.Table, versions: pa.Array, time: str) -> pa.Table:
    """Answers beside each score of a row by either version, ordered by request id."""
    shadows = live.shadows.filter(pc.is_in(live.shadows["log_version"], versions))
    joined = answers.join(
        shadows.drop_columns([time]), list(RECORD), join_type="inner", right_suffix="_other"
    )
    order = [(name, "ascending") for name in (*RECORD, "log_version_other")]
    return joined.sort_by(order).combine_chunks()


def _timed(
    answers: pa.Table, noise: pa.Table, cross: pa.Table, old: Version, new: Version
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Nanoseconds of requests by each model on the same path: of answers where both give some,
    else of the log's thread, where `old` scored some of its own answers once more."""

    def of(table: pa.Table, which: str, version: Version, took: str) -> npt.NDArray[np.int64]:
        mask = pc.and_(pc.equal(table[which], int(version.number)), pc.equal(table["log_row"], 0))
        return np.asarray(table[took].filter(mask), dtype=np.int64)

    answered = (
        of(answers, "log_version", old, "log_took_ns"),
        of(answers, "log_version", new, "log_took_ns"),
    )
    if len(answered[1]):
        return answered
    name = "log_version_other"
    return of(noise, name, old, "log_took_ns_other"), of(cross, name, new, "log_took_ns_other")


def _sample_p(answers: pa.Table, canary: int, time: str) -> float:
    """Of the newest share, and the units that met the canary; 1 where there is none."""
    share = answers["log_share"].to_numpy()
    split = share < 1
    if not split.any():
        return 1.0
    newest = share[split][np.argmax(answers[time].to_numpy()[split])]
    now = split & (share == newest)
    units = answers["log_unit"].to_numpy()[now]
    met = units[answers["log_version"].to_numpy()[now] == canary]
    return sample_ratio_p(len(np.unique(met)), len(np.unique(units)), float(newest))


def judge_live(
    run: Run, old: Version, new: Version, pairs: LivePairs, *, old_confidence: float = 0.5
) -> ShadowVerdict:
    """The rules of `[shadow]` on live requests, latency included: it is in the log, so that who
    judges again finds the same.

    Who looks again and again gives `old` the benefit of the doubt that `new` has: its latency is
    what the 99th percentile is at least with `old_confidence`.
    """
    return problem_of(run.spec).shadow(
        *_scored(run, old, new, pairs.both),
        run.spec.shadow,
        n_threads=run.n_threads,
        coverage=min(pairs.seen / pairs.answered, 1.0) if pairs.answered else 0.0,
        error_rate=pairs.failed / pairs.seen if pairs.seen else 0.0,
        champion_p99_ms=p99_ms(pairs.timed[0], old_confidence),
        challenger_p99_ms=p99_ms(pairs.timed[1], LATENCY_CONFIDENCE),
    )


def _scored(run: Run, old: Version, new: Version, both: pa.Table) -> tuple[Scored, Scored]:
    return (
        Scored(both["old"].to_numpy(), load_version(run, old).threshold),
        Scored(both["new"].to_numpy(), load_version(run, new).threshold),
    )


def live_rows(run: Run, table: pa.Table, old: Version, new: Version, both: pa.Table) -> PairedRows:
    """The labelled rows of `table` to which both versions gave a number, by request id."""
    request_id = run.spec.source.request_id
    table = first_of(table.select([request_id, DAY, run.spec.source.label]), (request_id,))
    both = both.filter(pc.and_(pc.is_finite(both["old"]), pc.is_finite(both["new"])))
    if min(table.num_rows, both.num_rows) == 0:
        return no_rows(run)
    rows = table.join(both, request_id, join_type="inner").sort_by(request_id).combine_chunks()
    if rows.num_rows == 0:
        return no_rows(run)
    labels = labelled_days(run, rows)
    return problem_of(run.spec).pair(labels, *_scored(run, old, new, rows))
