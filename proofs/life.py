"""What a process lives through: forks, many fits at once, many fits one after the other."""

from __future__ import annotations

import os
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from proofs import forks
from retrain_ops import _core

FORKS = 1000
THREADS, FITS_EACH = 8, 50
FITS = 10_000
FLIPS = 100_000
GROWTH_MAX_KIB = 1024


def _table(rows: int = 2000) -> dict[str, Any]:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(rows, 6)).astype(np.float32)
    x[rng.random(rows) < 0.1, 3] = np.nan
    return {
        "x": x,
        "y": (x[:, 0] * x[:, 1] > rng.normal(size=rows)).astype(np.uint8),
        "features": [(f"f{i}", "numeric", []) for i in range(6)],
        "params": {"n_estimators": 8},
    }


def _train(n_threads: int = 2) -> Any:
    table = _table()
    return _core.gbdt_train(table.pop("x"), table.pop("y"), seed=1, n_threads=n_threads, **table)


def _resident_kib() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def _at_once() -> int:
    """Fits of several Python threads at the same time; all must give the same bytes."""
    with ThreadPoolExecutor(THREADS) as pool:
        teams = [1 + i % 3 for i in range(THREADS * FITS_EACH)]
        hashes = list(pool.map(lambda team: _train(team).sha256, teams))
    assert len(set(hashes)) == 1, "threads at once trained other bytes"
    return len(hashes)


def _one_after_the_other() -> int:
    """KiB by which the process grew from fit FITS / 10 to fit FITS."""
    for _ in range(FITS // 10):
        _train()
    before = _resident_kib()
    for _ in range(FITS - FITS // 10):
        _train()
    grown = _resident_kib() - before
    assert grown <= GROWTH_MAX_KIB, f"the process grew by {grown} KiB"
    return grown


def _flipped_models() -> dict[str, int]:
    """Valid models with some bytes changed: refused, or read as what they say and predicted with.

    A checksum covers every byte, so half of the changed models get a new one.
    """
    chance = random.Random(1)
    valid, probe = _train().to_bytes(), _table(64)["x"]
    refused = predicted = 0
    for i in range(FLIPS):
        data = bytearray(valid)
        for _ in range(1 + i % 3):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        try:
            model = _core.Model.from_bytes(bytes(data) if i % 2 else _sealed(data))
        except ValueError:
            refused += 1
            continue
        p = model.predict(probe[:, : model.n_features])
        assert np.all((p >= 0) & (p <= 1)), "a changed model predicts no probability"
        predicted += 1
    return {"flipped": FLIPS, "refused": refused, "read_and_predicted": predicted}


def _sealed(data: bytearray) -> bytes:
    """With the checksum that an honest writer would have set."""
    import hashlib

    content = bytes(data[:-32])
    return content + hashlib.sha256(content).digest()


def prove() -> dict[str, Any]:
    """All of it; an AssertionError or RuntimeError names what did not hold."""
    return {
        "fork_cycles": forks.prove(lambda: bytes(_train().to_bytes()), FORKS),
        "hangs": 0,
        "fits_at_once": _at_once(),
        "threads_at_once": THREADS,
        "fits_one_after_the_other": FITS,
        "grown_kib": _one_after_the_other(),
        **_flipped_models(),
    }
