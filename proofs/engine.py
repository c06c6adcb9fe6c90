"""The trees' bytes are the same however they were trained.

    python -m proofs.engine    the hashes of all cases, by this build of the core

Any team, any instruction set, run after run, in a forked child, under a floating-point mode that
a foreign library left behind, and by a core that another compiler built.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from devtools.flush_to_zero import set_flush_to_zero
from retrain_ops import _core

TEAMS = (1, 2, 3, 7, 16)
LEVELS = ("baseline", "avx2", "avx512")
SHAPES = 42
RUNS = 5
ROOT = Path(__file__).resolve().parents[1]
OTHER_BUILD = ROOT / "build" / "clang"
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


def hashes() -> list[str]:
    """One model hash per case, trained by a team of two at the best instruction set."""
    return [_core.gbdt_train(x, y, n_threads=2, **a).sha256 for x, y, a in cases()]


def _in_child() -> list[str]:
    """The hashes as a forked child computes them."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, json.dumps(hashes()).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        answer: list[str] = json.loads(pipe.read())
    os.waitpid(child, 0)
    return answer


def _flushed() -> list[str]:
    """The hashes while the calling thread flushes denormals to zero."""
    restore = set_flush_to_zero()
    try:
        return hashes()
    finally:
        restore()


def _by_clang() -> list[str] | None:
    """The hashes of a core that clang built; None where there is no clang."""
    if shutil.which("clang") is None:
        return None
    library = OTHER_BUILD / "lib"
    build = [sys.executable, "setup.py", "-q", "build", "--build-base", str(OTHER_BUILD)]
    tools = {"CC": "clang", "LDSHARED": "clang -shared"}
    subprocess.run(
        [*build, "--build-lib", str(library)], cwd=ROOT, env={**os.environ, **tools}, check=True
    )
    path = os.pathsep.join([str(library), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-P", "-m", "proofs.engine"],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    told = json.loads(done.stdout)
    assert Path(told["core"]).is_relative_to(library), "the other build was not the one tried"
    answer: list[str] = told["hashes"]
    return answer


def _over_levels_and_teams(levels: tuple[str, ...]) -> int:
    """How many fits agreed; AssertionError names the first case that differs."""
    fits = 0
    for number, (x, y, arguments) in enumerate(cases()):
        found = set()
        for level in levels:
            _core.isa(level)
            for team in TEAMS:
                model = _core.gbdt_train(x, y, n_threads=team, **arguments)
                found.add((model.sha256, model.predict(x, n_threads=team).tobytes()))
                fits += 1
        assert len(found) == 1, f"case {number} differs"
    return fits


def prove() -> dict[str, Any]:
    """Trains every case in every way and compares; AssertionError names what differs."""
    best = _core.isa()
    levels = LEVELS[: LEVELS.index(best) + 1]
    try:
        fits = _over_levels_and_teams(levels)
    finally:
        _core.isa(best)
    expected = hashes()
    others = {f"run {i + 2}": hashes() for i in range(RUNS - 1)}
    others |= {"forked child": _in_child(), "flush to zero": _flushed()}
    by_clang = _by_clang()
    if by_clang is not None:
        others["clang"] = by_clang
    different = [name for name, found in others.items() if found != expected]
    assert not different, f"other bytes: {different}"
    not_run = [level for level in LEVELS if level not in levels]
    return {
        "shapes": SHAPES, "fits": fits + SHAPES * (1 + len(others)), "teams": list(TEAMS),
        "instruction_sets": list(levels), "also": list(others),
        "not_run": not_run if by_clang is not None else [*not_run, "clang"], "different": 0,
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps({"core": _core.__file__, "hashes": hashes()}))
