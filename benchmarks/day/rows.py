"""Daily rows of the shape that users have: numbers with gaps, categories of few and many levels."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

FIRST = date(2020, 1, 1)
TRAIN_DAYS, HOLDOUT_DAYS, CURRENT_DAYS, LABEL_DELAY_DAYS = 21, 7, 7, 2
WINDOW_DAYS = TRAIN_DAYS + HOLDOUT_DAYS + LABEL_DELAY_DAYS
BOOTSTRAP_DAY = FIRST + timedelta(days=WINDOW_DAYS)
JUDGED_DAY = BOOTSTRAP_DAY + timedelta(days=HOLDOUT_DAYS + 1)
DAYS = (JUDGED_DAY - FIRST).days + 1

NUMERIC = [f"x{i}" for i in range(16)]
CATEGORICAL = {"c2": 2, "c12": 12, "c60": 60, "c200": 200}
PROTECTED = "c12"
FEATURES = [*NUMERIC, *CATEGORICAL]
PARAMS = {
    "n_estimators": 100,
    "learning_rate": 0.1,
    "max_leaf_nodes": 31,
    "min_samples_leaf": 100,
    "l2_regularization": 1.0,
    "max_bins": 255,
}


def write_days(folder: Path, window_rows: int) -> None:
    """`DAYS` partitions; as many rows a day as make `window_rows` of a window."""
    for index in range(DAYS):
        day = FIRST + timedelta(days=index)
        target = folder / f"day={day.isoformat()}"
        if not target.exists():
            target.mkdir(parents=True)
            pq.write_table(_rows(day, window_rows // WINDOW_DAYS), target / "part-0.parquet")


def _rows(day: date, count: int) -> pa.Table:
    """A label that hangs on some numbers and two categories; a fifth of four columns is null."""
    rng = np.random.default_rng(day.toordinal())
    x = rng.normal(size=(count, len(NUMERIC))).astype(np.float32)
    codes = {name: rng.integers(0, levels, count) for name, levels in CATEGORICAL.items()}
    logit = 1.2 * x[:, 0] - 0.8 * x[:, 1] * x[:, 2] + 0.6 * np.abs(x[:, 3]) - 1.0
    logit += 0.3 * (codes["c12"] % 3) + 0.4 * np.sin(codes["c200"])
    label = (rng.random(count) < 1 / (1 + np.exp(-logit))).astype(np.int8)
    x[:, -4:][rng.random((count, 4)) < 0.2] = np.nan
    begin = np.datetime64(datetime.combine(day, time(), tzinfo=UTC).replace(tzinfo=None), "us")
    times = begin + np.sort(rng.integers(0, 86_400_000_000, count)).astype("timedelta64[us]")
    columns: dict[str, object] = {
        "request_id": [f"{day}-{i:08d}" for i in range(count)],
        "event_time": pa.array(times, pa.timestamp("us")).cast(pa.timestamp("us", "UTC")),
    }
    columns |= {name: pa.array(x[:, i], from_pandas=True) for i, name in enumerate(NUMERIC)}
    for name, levels in CATEGORICAL.items():
        words = pa.array([f"{name}-{level:03d}" for level in range(levels)])
        columns[name] = words.take(pa.array(codes[name]))
    return pa.table({**columns, "label": label})
