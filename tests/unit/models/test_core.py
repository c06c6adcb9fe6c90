"""Promises of the trees in the C core."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from devtools.flush_to_zero import set_flush_to_zero
from retrain_ops import _core

LEVELS = [f"v{i:02d}" for i in range(20)]
FEATURES = [
    ("a", "numeric", []),
    ("gaps", "numeric", []),
    ("level", "categorical", LEVELS),
    ("constant", "numeric", []),
    ("empty", "numeric", []),
    ("wide", "numeric", []),
]
PARAMS = {
    "n_estimators": 12, "learning_rate": 0.12, "max_leaf_nodes": 15, "min_samples_leaf": 10,
    "l2_regularization": 5, "colsample": 0.8, "subsample": 0.8, "max_bins": 63, "cat_smooth": 5,
}  # fmt: skip


def make_data(rows: int = 4000, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 6)).astype(np.float32)
    x[rng.random(rows) < 0.1, 1] = np.nan
    x[:, 2] = rng.integers(-1, 21, rows)  # -1 and 20 name no category
    x[:, 3] = 3.5
    x[:, 4] = np.nan
    x[:, 5] *= 1e30
    x[::97, 5] = np.inf
    x[::89, 5] = -np.inf
    lift = x[:, 0] + np.nan_to_num(x[:, 1]) + (x[:, 2] % 3 == 0)
    y = (rng.random(rows) < 1 / (1 + np.exp(-lift))).astype(np.uint8)
    return x, y


def train(x: np.ndarray, y: np.ndarray, **kwargs: object) -> _core.Model:
    arguments = {"features": FEATURES, "params": PARAMS, "seed": 5, "n_threads": 1, **kwargs}
    return _core.gbdt_train(x, y, **arguments)


@pytest.mark.parametrize("rows", [4000, 70_000], ids=["exact", "rounded gradients"])
def test_every_team_trains_equal_bytes_and_is_the_team_asked_for(rows: int) -> None:
    x, y = make_data(rows)
    hashes, teams = set(), []
    for threads in (1, 2, 3, 7):
        seen: list[tuple[int, int, int, float | None]] = []
        model = train(x, y, n_threads=threads, progress=lambda *call, s=seen: s.append(call))
        assert seen[-1] == (12, 12, threads, None)
        teams.append(seen[-1][2])
        hashes.add(model.sha256)
    assert teams == [1, 2, 3, 7]
    assert len(hashes) == 1
    assert model.n_trees == 12


@pytest.mark.parametrize("rows", [4000, 70_000], ids=["exact", "rounded gradients"])
def test_every_instruction_set_trains_equal_bytes(rows: int) -> None:
    x, y = make_data(rows)
    best = _core.isa()
    levels = ["baseline", "avx2", "avx512"]
    found = {}
    try:
        for level in levels[: levels.index(best) + 1]:
            assert _core.isa(level) == level
            model = train(x, y)
            found[level] = (model.sha256, model.predict(x).tobytes())
        for lacking in [*levels[levels.index(best) + 1 :], "sse9"]:
            with pytest.raises(ValueError, match=lacking):
                _core.isa(lacking)
    finally:
        _core.isa(best)
    assert len(set(found.values())) == 1


def test_another_seed_and_another_row_give_another_model() -> None:
    x, y = make_data(500)
    base = train(x, y).sha256
    assert train(x, y, seed=6).sha256 != base
    y[0] = 1 - y[0]
    assert train(x, y).sha256 != base


def test_layout_and_width_of_the_matrix_do_not_matter() -> None:
    x, y = make_data()
    model = train(x, y)
    strided = np.zeros((len(x), 12), dtype=np.float32)[:, ::2]
    strided[:] = x
    views = [
        np.asfortranarray(x),
        x.astype(np.float64),
        strided,
        x[::-1][::-1],
        x.astype(">f4"),
    ]
    for view in views:
        assert train(view, y).sha256 == model.sha256
        assert np.array_equal(model.predict(view), model.predict(x))


def test_prediction_is_the_same_alone_in_batches_and_with_threads() -> None:
    x, y = make_data()
    model = train(x, y)
    whole = model.predict(x, n_threads=3)
    assert np.array_equal(whole, model.predict(x, n_threads=1))
    assert np.array_equal(whole[:200], np.concatenate([model.predict(r[None]) for r in x[:200]]))
    assert np.all((whole >= 0) & (whole <= 1))
    assert model.predict(x[:0]).shape == (0,)


def test_what_names_no_category_is_scored_as_missing() -> None:
    x, y = make_data()
    model = train(x, y)
    row = x[:1].copy()
    scores = set()
    for value in (np.nan, -1, 20, 1e30, 2.5, np.inf, -np.inf):
        row[0, 2] = value
        scores.add(model.predict(row)[0])
    assert len(scores) == 1


CONSTANT_CASES = {
    "one class, ones": (lambda x, y: (x, np.ones_like(y))),
    "one class, zeros": (lambda x, y: (x, np.zeros_like(y))),
    "one row": (lambda x, y: (x[:1], y[:1])),
    "only constant columns": (lambda x, y: (np.full_like(x, 4.0), y)),
    "only missing values": (lambda x, y: (np.full_like(x, np.nan), y)),
}


@pytest.mark.parametrize("case", CONSTANT_CASES)
def test_data_without_anything_to_learn_gives_a_constant(case: str) -> None:
    x, y = CONSTANT_CASES[case](*make_data(300))
    model = train(x, y)
    p = model.predict(make_data(50, seed=9)[0])
    assert model.n_trees == 0
    assert np.all(p == p[0])
    assert 0 < p[0] < 1
    n, yes = len(y), int(y.sum())
    expected = yes / n if 0 < yes < n else (yes + 0.5) / (n + 1)
    assert p[0] == pytest.approx(expected, rel=1e-12)


def test_labels_may_be_of_any_number_type() -> None:
    x, y = make_data(500)
    expected = train(x, y).sha256
    for kind in (bool, np.int64, np.float32, np.float64):
        assert train(x, y.astype(kind)).sha256 == expected


REFUSED: dict[str, tuple[Callable[[np.ndarray, np.ndarray], dict], type[Exception], str]] = {
    "no rows": (lambda x, y: {"x": x[:0], "y": y[:0]}, ValueError, "no rows"),
    "label 2": (lambda x, y: {"y": y + 1}, ValueError, "neither 0 nor 1"),
    "label NaN": (lambda x, y: {"y": np.where(y, np.nan, 0)}, ValueError, "neither 0 nor 1"),
    "labels short": (lambda x, y: {"y": y[:-1]}, ValueError, "y has 299 rows"),
    "one dimension": (lambda x, y: {"x": x[:, 0]}, ValueError, "two dimensions"),
    "text": (lambda x, y: {"x": [["a"] * 6] * 300}, TypeError, "x must be an array"),
    "columns": (lambda x, y: {"x": x[:, :5]}, ValueError, "5 columns, features names 6"),
    "negative weight": (lambda x, y: {"weight": np.full(300, -1.0)}, ValueError, "row 0 is -1"),
    "NaN weight": (lambda x, y: {"weight": np.full(300, np.nan)}, ValueError, "weight of row 0"),
    "weight 0": (lambda x, y: {"weight": np.zeros(300)}, ValueError, "all weights are 0"),
    "weight short": (lambda x, y: {"weight": np.ones(3)}, ValueError, "weight has 3 rows"),
    "parameter": (lambda x, y: {"params": {"depth": 3}}, ValueError, "unknown .*'depth'"),
    "range": (lambda x, y: {"params": {"max_bins": 256}}, ValueError, "max_bins must lie"),
    "fraction": (lambda x, y: {"params": {"max_bins": 9.5}}, ValueError, "whole number"),
    "word": (lambda x, y: {"params": {"max_bins": "9"}}, TypeError, "must be a number"),
    "seed": (lambda x, y: {"seed": -1}, ValueError, "seed"),
    "threads": (lambda x, y: {"n_threads": -1}, ValueError, "n_threads"),
    "kind": (lambda x, y: {"features": [("a", "text", [])] * 6}, ValueError, "kind must be"),
    "same name": (lambda x, y: {"features": [("a", "numeric", [])] * 6}, ValueError, "same name"),
    "unsorted": (
        lambda x, y: {"features": [("c", "categorical", ["b", "a"]), *FEATURES[1:]]},
        ValueError,
        "ascending",
    ),
    "surrogate": (
        lambda x, y: {"features": [("\ud800", "numeric", []), *FEATURES[1:]]},
        UnicodeEncodeError,
        "surrogates",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_arguments_are_refused_by_name(case: str) -> None:
    change, error, words = REFUSED[case]
    x, y = make_data(300)
    with pytest.raises(error, match=words):
        train(**{"x": x, "y": y, **change(x, y)})


def test_a_file_comes_back_as_the_same_model() -> None:
    x, y = make_data()
    model = train(x, y)
    copy = _core.Model.from_bytes(bytearray(model.to_bytes()))
    assert copy.to_bytes() == model.to_bytes()
    assert copy.sha256 == model.sha256
    assert np.array_equal(copy.predict(x), model.predict(x))
    assert copy.features == [(n, k, list(c)) for n, k, c in FEATURES]
    assert copy.params == _core.gbdt_params(PARAMS)
    assert copy.seed == 5
    moved = model.with_threshold(0.25)
    assert (moved.threshold, model.threshold) == (0.25, 0.5)
    assert moved.sha256 != model.sha256
    assert moved.with_threshold(0.5).sha256 == model.sha256
    for bad in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="finite"):
            model.with_threshold(bad)


def test_every_flipped_byte_and_every_truncation_is_refused() -> None:
    x, y = make_data(300)
    data = train(x, y, params={**PARAMS, "n_estimators": 2}).to_bytes()
    for i in range(len(data)):
        broken = bytearray(data)
        broken[i] ^= 1 << (i % 8)
        with pytest.raises(_core.CorruptError):
            _core.Model.from_bytes(broken)
        with pytest.raises(_core.CorruptError):
            _core.Model.from_bytes(data[:i])
    with pytest.raises(_core.CorruptError):
        _core.Model.from_bytes(data + b"\0")


def test_models_are_made_by_training_or_reading_only() -> None:
    with pytest.raises(TypeError):
        _core.Model()
    with pytest.raises((TypeError, AttributeError)):
        train(*make_data(300)).threshold = 0.1  # type: ignore[misc]


class Stop(Exception):
    pass


def long_training(**kwargs: object) -> None:
    x, y = make_data(60_000)
    train(x, y, params={"n_estimators": 100_000}, n_threads=2, **kwargs)


def test_an_exception_from_progress_ends_the_training() -> None:
    def stop(done: int, rounds: int, threads: int, loss: float | None) -> None:
        assert (rounds, threads, loss) == (100_000, 2, None)
        raise Stop

    start = time.monotonic()
    with pytest.raises(Stop):
        long_training(progress=stop)
    assert time.monotonic() - start < 20


def test_an_exception_from_a_signal_handler_ends_the_training() -> None:
    def handler(number: int, frame: object) -> None:
        raise Stop

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        with pytest.raises(Stop):
            long_training()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


FORK_SCRIPT = """
import os, sys
sys.path[:0] = [{root!r}]
from tests.unit.models.test_core import make_data, train
x, y = make_data(2000)
expected = train(x, y, n_threads=2).sha256
for cycle in range(int(sys.argv[1])):
    child = os.fork()
    if child == 0:
        same = train(x, y, n_threads=3).sha256 == expected
        os._exit(0 if same else 9)
    assert os.waitpid(child, 0)[1] == 0, cycle
assert train(x, y, n_threads=2).sha256 == expected
print("forked", sys.argv[1])
"""


def run_fork_cycles(cycles: int) -> str:
    root = str(Path(__file__).parents[3])
    done = subprocess.run(
        [sys.executable, "-c", FORK_SCRIPT.format(root=root), str(cycles)],
        capture_output=True,
        text=True,
        timeout=120 + 2 * cycles,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_forked_child_of_a_process_that_trained_trains_equal_bytes() -> None:
    cycles = int(os.environ.get("RETRAIN_OPS_FORK_CYCLES", "5"))  # proofs: 200
    assert run_fork_cycles(cycles) == f"forked {cycles}"


def test_flush_to_zero_set_by_a_foreign_library_changes_nothing() -> None:
    rng = np.random.default_rng(3)
    x = rng.integers(0, 40, (2000, 1)) * 5e-324  # denormals: all 0 once flushed
    y = (x[:, 0] > 20 * 5e-324).astype(np.uint8) ^ (rng.random(2000) < 0.1)
    arguments = {"features": FEATURES[:1], "params": PARAMS}
    model = train(x, y, **arguments)
    top = x[[x[:, 0].argmax()]]
    p, alone = model.predict(x), model.predict(top)
    assert len(np.unique(p)) > 1
    restore = set_flush_to_zero()
    try:
        flushed = train(x, y, **arguments)
        p_flushed, alone_flushed = flushed.predict(x), model.predict(top)
    finally:
        restore()
    assert flushed.sha256 == model.sha256
    assert np.array_equal(p, p_flushed)
    assert np.array_equal(alone, alone_flushed)


def test_threads_of_one_process_train_at_the_same_time() -> None:
    from concurrent.futures import ThreadPoolExecutor

    x, y = make_data(2000)
    with ThreadPoolExecutor(4) as pool:
        hashes = set(pool.map(lambda t: train(x, y, n_threads=t).sha256, (1, 2, 3, 2)))
    assert len(hashes) == 1


def heap_bytes() -> int:
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"

    class MallInfo(ctypes.Structure):
        _fields_ = [(name, ctypes.c_size_t) for name in names.split()]

    libc = ctypes.CDLL(None)
    libc.mallinfo2.restype = MallInfo
    info = libc.mallinfo2()
    return int(info.uordblks + info.hblkhd)


def leak_calls() -> dict[str, Callable[[], object]]:
    x, y = make_data(300)
    model = train(x, y)
    data = model.to_bytes()
    bad = data[:-1] + bytes([data[-1] ^ 1])
    score = model.predict(x)

    def refused(call: Callable[[], object]) -> Callable[[], object]:
        def run() -> None:
            with pytest.raises((ValueError, TypeError)):
                call()

        return run

    return {
        "gbdt_train": lambda: train(x, y, n_threads=2, progress=lambda *a: None),
        "gbdt_train weight": lambda: train(x, y, weight=np.ones(300)),
        "gbdt_train softmax": lambda: train(x, y, objective="softmax", n_threads=2),
        "gbdt_train amounts": lambda: train(
            x, x[:, 0], objective="squared_error", monotone=[1] + 5 * [0],
            evaluation=(x, x[:, 0], np.ones(300)), progress=lambda *a: None,
        ),
        "gbdt_train refused objective": refused(lambda: train(x, y, objective="rank")),
        "gbdt_train refused monotone": refused(lambda: train(x, y, monotone=[2] + 5 * [0])),
        "gbdt_train refused evaluation": refused(lambda: train(x, y, evaluation=(x, y + 1))),
        "gbdt_train refused label": refused(lambda: train(x, y + 1)),
        "gbdt_train refused feature": refused(lambda: train(x, y, features=FEATURES[:2])),
        "gbdt_train refused params": refused(lambda: train(x, y, params={"max_bins": 0})),
        "gbdt_params": lambda: _core.gbdt_params({"max_bins": 9}),
        "f1_threshold": lambda: _core.f1_threshold(score, y),
        "f1_threshold refused": refused(lambda: _core.f1_threshold(score, y + 1)),
        "from_bytes": lambda: _core.Model.from_bytes(data),
        "from_bytes refused": refused(lambda: _core.Model.from_bytes(bad)),
        "to_bytes": model.to_bytes,
        "predict": lambda: model.predict(x, n_threads=2),
        "predict refused": refused(lambda: model.predict(x[:, :2])),
        "with_threshold": lambda: model.with_threshold(0.3),
        "properties": lambda: (
            model.features, model.params, model.seed, model.threshold, model.base_scores,
            model.objective, model.n_trees, model.n_features, _core.Model.from_bytes(data).sha256,
        ),
    }  # fmt: skip


@pytest.mark.parametrize("name", list(leak_calls()))
def test_no_entry_point_leaks(name: str) -> None:
    call = leak_calls()[name]

    def growth(rounds: int) -> tuple[int, int]:
        gc.collect()
        blocks, heap = sys.getallocatedblocks(), heap_bytes()
        for _ in range(rounds):
            call()
        gc.collect()
        return sys.getallocatedblocks() - blocks, heap_bytes() - heap

    growth(10)  # caches fill
    blocks, heap = min(growth(40) for _ in range(3))
    assert blocks < 40, "a Python object is lost in every call"
    assert heap < 40 * 64, "memory is lost in every call"
