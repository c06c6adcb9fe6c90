"""Segments of the request log: written by the core while a process answers, read to tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from retrain_ops import _core
from retrain_ops.spec.spec import RetrainSpec

CoreLog = _core.RequestLog

SEGMENT_BYTES = 64 * 2**20
"""A segment is closed at this size, or `[serving] segment_s` after it was opened."""
RESERVE_BYTES = 64 * 2**20
"""What the log leaves of the disk; the scores of the other model, twice as much."""
UNSYNCED_BYTES = 64 * 2**20
"""How far the disk may be behind before nothing is logged; half, before nothing is scored."""

NUMBERS = (
    "log_writer",
    "log_sequence",
    "log_row",
    "time",
    "log_took_ns",
    "log_version",
    "unit_or_delay",
    "log_status",
    "log_share",
)
"""The whole numbers of a row, as the core hands them out."""


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """The rows of a segment; `unread` requests have no columns, `torn_bytes` were cut off."""

    answers: pa.Table
    shadows: pa.Table
    torn_bytes: int
    unread: int


def open_log(
    folder: Path,
    counts: NDArray[np.int64],
    bounds_s: Sequence[float],
    *,
    segment_s: int,
    waiting_bytes: int,
) -> CoreLog:
    """Opens the log of this process and starts its thread.

    Args:
        folder: of the segments.
        counts: what happens is counted there, as `RequestLog` of the core says.
        bounds_s: upper ends of the 12 buckets of latency, in seconds.
        segment_s: how long a segment stays open.
        waiting_bytes: how much of what was answered may wait for the other model.
    """
    return _core.RequestLog(
        str(folder),
        counts,
        tuple(round(bound * 1e9) for bound in bounds_s),
        segment_bytes=SEGMENT_BYTES,
        segment_ns=segment_s * 10**9,
        reserve_bytes=RESERVE_BYTES,
        unsynced_bytes=UNSYNCED_BYTES,
        queue_bytes=waiting_bytes,
    )


def read_segment(spec: RetrainSpec, data: bytes) -> Segment:
    """The rows of a closed segment, in the order in which they were written.

    An answer has the request id, when it was answered, and the features of the spec but for those
    that `[serving] leave_out` names, beside what the log knows of it; a shadow has the latter.
    """
    features = spec.features
    columns = [(n.encode(), n in features.categorical) for n in features.all]
    columns.append((spec.source.request_id.encode(), True))
    answers, shadows, levels, sound, unread = _core.read_log(data, columns)
    return Segment(
        _answers(spec, answers, levels), _shadows(spec, shadows), len(data) - sound, unread
    )


def _answers(
    spec: RetrainSpec,
    rows: tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]],
    levels: list[tuple[bytes, NDArray[np.int64]]],
) -> pa.Table:
    numbers, scores, cells = rows
    found: dict[str, pa.Array] = {
        spec.source.request_id: _texts(cells[:, -1], *levels[-1]),
        spec.source.event_time: _times(numbers),
    }
    for i, name in enumerate(spec.features.all):
        if name in spec.serving.leave_out:
            continue
        categorical = name in spec.features.categorical
        column = np.ascontiguousarray(cells[:, i])
        found[name] = _texts(column, *levels[i]) if categorical else pa.array(column)
    return pa.table(found | _plain(numbers, scores) | {"log_unit": pa.array(numbers[6])})


def _shadows(spec: RetrainSpec, rows: tuple[NDArray[np.int64], NDArray[np.float64]]) -> pa.Table:
    numbers, scores = rows
    found = {spec.source.event_time: _times(numbers), **_plain(numbers, scores)}
    return pa.table(found | {"log_delay_ns": pa.array(numbers[6])})


def _plain(numbers: NDArray[np.int64], scores: NDArray[np.float64]) -> dict[str, pa.Array]:
    """The columns that both kinds have; more than one score of a row is a list."""
    found = {n: pa.array(numbers[i]) for i, n in enumerate(NUMBERS) if n.startswith("log_")}
    share = numbers[NUMBERS.index("log_share")].view(np.uint64) / 2.0**64
    flat = pa.array(scores.reshape(-1))
    many = scores.shape[1] > 1
    score = pa.FixedSizeListArray.from_arrays(flat, scores.shape[1]) if many else flat
    return found | {"log_share": pa.array(share), "log_score": score}


def _times(numbers: NDArray[np.int64]) -> pa.Array:
    return (
        pa.array(numbers[3])
        .cast(pa.timestamp("ns", "UTC"))
        .cast(pa.timestamp("us", "UTC"), safe=False)
    )


def _texts(codes: NDArray[np.float64], texts: bytes, ends: NDArray[np.int64]) -> pa.Array:
    """Texts by their numbers; NaN: missing."""
    buffers = pa.py_buffer(ends), pa.py_buffer(texts)
    levels = pa.LargeStringArray.from_buffers(len(ends) - 1, *buffers)
    missing = np.isnan(codes)
    numbers = pa.array(np.where(missing, 0, codes).astype(np.int64), mask=missing)
    return levels.cast(pa.string()).take(numbers)
