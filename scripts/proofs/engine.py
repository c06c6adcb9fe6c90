"""The trees' bytes are the same for any team, any instruction set, and in a forked child."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from retrain_ops import _core

TEAMS = (1, 2, 3, 7, 16)
LEVELS = ("baseline", "avx2", "avx512")
SHAPES = 42
ROWS = (1, 2, 37, 500, 3000, 70_000, 900)
CATEGORIES = [f"v{i:03d}" for i in range(300)]

Case = tuple[np.ndarray, np.ndarray, dict[str, Any]]


def cases() -> Iterator[Case]:
    """SHAPES tables: NaN-heavy, constant, tied, infinite and huge columns, one row, one class,
    300 levels, weights of 0; every seventh has more rows than are summed exactly."""
    for seed in range(SHAPES):
        rng = np.random.default_rng(seed)
        rows = ROWS[seed % len(ROWS)]
        x = rng.normal(size=(rows, 8)).astype(np.float64 if seed % 3 == 0 else np.float32)
        x[rng.random(rows) < rng.choice([0.0, 0.2, 0.95]), 1] = np.nan
        x[:, 2] = rng.integers(-1, 300, rows)
        x[:, 3] = np.round(x[:, 3])
        x[:, 4] = 2.0
        x[:, 5] *= 1e30
        x[::7, 5] = np.inf
        x[::11, 5] = -np.inf
        raw = x[:, 0] + np.nan_to_num(x[:, 1]) + (x[:, 2] % 3 == 0)
        y = (rng.random(rows) < 1 / (1 + np.exp(-raw))).astype(np.uint8)
        y[:] = 1 if seed % 13 == 5 else y
        weight = rng.integers(0, 4, rows).astype(float)
        weight[0] = 1.0
        params = {
            "n_estimators": 6, "min_samples_leaf": (1, 5, 40)[seed % 3], "cat_smooth": 3,
            "max_bins": (15, 63, 255)[seed % 3], "max_depth": (0, 4)[seed % 2],
            "subsample": (1, 0.7)[seed // 2 % 2], "colsample": (1, 0.6)[seed // 3 % 2],
        }  # fmt: skip
        yield x, y, {
            "features": [
                (f"f{i}", "categorical", CATEGORIES) if i == 2 else (f"f{i}", "numeric", [])
                for i in range(8)
            ],
            "params": params, "seed": seed, "weight": weight if seed % 4 == 1 else None,
        }  # fmt: skip


def _hash_in_child(x: np.ndarray, y: np.ndarray, arguments: dict[str, Any]) -> str:
    """The model's hash as a forked child computes it."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, _core.gbdt_train(x, y, n_threads=2, **arguments).sha256.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return answer


def prove() -> dict[str, Any]:
    """Trains every case in every way and compares; AssertionError names the first that differs."""
    best = _core.isa()
    levels = LEVELS[: LEVELS.index(best) + 1]
    fits = 0
    try:
        for number, (x, y, arguments) in enumerate(cases()):
            found = set()
            for level in levels:
                _core.isa(level)
                for team in TEAMS:
                    model = _core.gbdt_train(x, y, n_threads=team, **arguments)
                    found.add((model.sha256, model.predict(x, n_threads=team).tobytes()))
                    fits += 1
            in_child = _hash_in_child(x, y, arguments)
            assert len(found) == 1, f"case {number} differs"
            assert {sha for sha, _ in found} == {in_child}, f"case {number} differs in a child"
    finally:
        _core.isa(best)
    return {
        "shapes": SHAPES, "fits": fits, "teams": list(TEAMS), "instruction_sets": list(levels),
        "not_run": [level for level in LEVELS if level not in levels], "different": 0,
    }  # fmt: skip
