"""The binding of the counting kernels: refusals, team sizes, leaks."""

import contextlib
import ctypes
import gc
import sys
import threading
import tracemalloc

import numpy as np
import pytest

from retrain_ops import _core

N = 50_000  # several blocks' worth per thread for the teams below
RNG = np.random.default_rng(20130814)
X = np.where(RNG.random(N) < 0.05, np.nan, RNG.normal(size=N))
DAY = RNG.integers(0, 9, N, dtype=np.int32)
CODE = RNG.integers(-2, 6, N, dtype=np.int32)
LEVEL = RNG.integers(0, 4, N, dtype=np.int32)
BITS = RNG.integers(0, 2, (3, N), dtype=np.uint8)
SCORES = RNG.random((2, N))
EDGES = np.array([-1.0, 0.0, 1.0])

ENTRIES = {
    "quantile_edges": lambda: _core.quantile_edges(X[:500], 10),
    "drift_counts": lambda **k: _core.drift_counts(X, DAY, EDGES, 9, **k),
    "category_counts": lambda **k: _core.category_counts(CODE, DAY, 6, 9, **k),
    "joint_cells": lambda **k: _core.joint_cells(DAY, LEVEL, *BITS, 9, 4, **k),
    "roc_auc": lambda: _core.roc_auc(BITS[0][:500], SCORES[0][:500]),
    "shadow_counts": lambda **k: _core.shadow_counts(*SCORES, 0.4, 0.6, **k),
    "philox": lambda: _core.philox(1, 2, 500),
}
REFUSED = {
    "quantile_edges": lambda: _core.quantile_edges(X[:9], 0),
    "drift_counts": lambda: _core.drift_counts(X[:9], DAY[:9] + 100, EDGES, 9),
    "category_counts": lambda: _core.category_counts(CODE[:9] + 100, DAY[:9], 6, 9),
    "joint_cells": lambda: _core.joint_cells(
        DAY[:9], LEVEL[:9], *(BITS[:, :9] + np.uint8(5)), 9, 4
    ),
    "roc_auc": lambda: _core.roc_auc(BITS[0][:9], np.full(9, np.nan)),
    "shadow_counts": lambda: _core.shadow_counts(*SCORES[:, :9], np.nan, 0.5),
    "philox": lambda: _core.philox(-1, 2, 5),
}


def as_bytes(result):
    if isinstance(result, dict):
        return b"".join(np.asarray(v).tobytes() for v in result.values())
    return result.tobytes()


@pytest.mark.parametrize(
    "name", ["drift_counts", "category_counts", "joint_cells", "shadow_counts"]
)
def test_any_team_gives_equal_bytes(name):
    results = {as_bytes(ENTRIES[name](n_threads=team)) for team in (0, 1, 2, 3, 7)}
    assert len(results) == 1


def test_a_team_has_as_many_threads_as_asked_for():
    """The Python thread, a task whose team of seven includes itself, and while the team is
    made one thread more (parallel/placement.h)."""
    x, day = np.zeros(4_000_000), np.zeros(4_000_000, np.int32)
    seen = set()
    for _ in range(300):  # the team lives for milliseconds: look until it was seen
        before = thread_count()  # again: a thread of the round before may still be there
        worker = threading.Thread(
            target=_core.drift_counts, args=(x, day, EDGES, 1), kwargs={"n_threads": 7}
        )
        worker.start()
        while worker.is_alive():
            seen.add(thread_count() - before)
        if 8 in seen:
            break
    assert 8 in seen
    assert max(seen) <= 9


def thread_count():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("Threads"))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: _core.drift_counts([0.0, 1.0], [0, 3], [], 3), r"day\[1\] is 3.* 0\.\.2"),
        (lambda: _core.drift_counts([0.0, 1.0], [-1, 3], [], 3), r"day\[0\] is -1"),
        (lambda: _core.drift_counts([0.0], [0, 0], [], 3), "x has 1 rows, day has 2"),
        (lambda: _core.drift_counts([0.0], [0], [1.0, 1.0], 3), r"edges\[1\] is 1: .* increas"),
        (lambda: _core.drift_counts([0.0], [0], [np.nan], 3), r"edges\[0\] is -?nan"),
        (lambda: _core.drift_counts([0.0], [0], [], -3), "n_days is -3"),
        (lambda: _core.drift_counts([0.0], [0], [], 3, n_threads=-1), "n_threads is -1"),
        (lambda: _core.category_counts([0, 2], [0, 0], 2, 1), r"code\[1\] is 2"),
        (lambda: _core.category_counts([-3], [0], 2, 1), r"code\[0\] is -3"),
        (lambda: _core.category_counts([0], [1], 2, 1), r"day\[0\] is 1"),
        (lambda: _core.joint_cells([0], [5], *[[0]] * 3, 1, 5), r"level\[0\] is 5"),
        (lambda: _core.joint_cells([0], [0], [2], [0], [0], 1, 1), r"y\[0\] is 2"),
        (lambda: _core.joint_cells([0], [0], [0], [0], [9], 1, 1), r"challenger\[0\] is 9"),
        (lambda: _core.joint_cells([0], [0, 0], *[[0]] * 3, 1, 1), "level has 2 rows, day has 1"),
        (lambda: _core.joint_cells([], [], [], [], [], 2**30, 2**20), "limit"),
        (lambda: _core.roc_auc([0, 1], [0.5, np.nan]), r"score\[1\] is NaN"),
        (lambda: _core.roc_auc([0, 2], [0.5, 0.5]), r"y\[1\] is 2"),
        (lambda: _core.roc_auc([0], [0.5, 0.5]), "score has 2 rows, y has 1"),
        (lambda: _core.shadow_counts([0.5], [0.5, 1.0], 0.5, 0.5), "challenger_score has 2"),
        (lambda: _core.shadow_counts([0.5], [0.5], 0.5, np.nan), "challenger_threshold is NaN"),
        (lambda: _core.quantile_edges([1.0], 0), "n_bins is 0"),
        (lambda: _core.philox(0, 0, -1), "n is -1"),
    ],
)
def test_what_cannot_be_counted_is_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_lossy_types_are_refused():
    with pytest.raises(TypeError, match="day"):
        _core.drift_counts([0.0], np.array([0.5]), [], 1)
    with pytest.raises(TypeError, match="level"):
        _core.joint_cells([0], np.array([2**40]), [0], [0], [0], 1, 1)
    with pytest.raises(OverflowError):
        _core.philox(2**64, 0, 1)


def test_no_rows_give_zeros():
    assert _core.drift_counts([], [], [0.0], 2).tolist() == [[0] * 5] * 2
    assert _core.category_counts([], [], 0, 1).tolist() == [[0, 0]]
    assert _core.joint_cells([], [], [], [], [], 0, 3).shape == (0, 3, 8)
    assert _core.roc_auc([], []) == (0, 0, 0)
    assert _core.quantile_edges([np.nan, np.inf], 10).tolist() == []


def test_strided_and_narrow_inputs_are_read_right():
    x = np.arange(20, dtype=np.float32)
    day = np.zeros(40, np.int16)[::4]
    assert _core.drift_counts(x[::2], day, [8.0], 1).tolist() == [[5, 5, 0, 0, 0]]
    flags = np.array([True, False])
    assert _core.joint_cells([0, 0], [0, 0], flags, flags, ~flags, 1, 1)[0, 0].tolist() == [
        *(0, 1, 0, 0),
        *(0, 0, 1, 0),
    ]


def call_ignoring_refusal(call):
    with contextlib.suppress(ValueError, OverflowError):
        call()


def heap_bytes():
    """Bytes that C code holds through malloc, by glibc's own account."""

    class Mallinfo2(ctypes.Structure):
        _fields_ = [(f"f{i}", ctypes.c_size_t) for i in range(10)]

    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = Mallinfo2
    info = mallinfo2()
    return info.f7 + info.f4  # uordblks + hblkhd (mmapped)


@pytest.mark.parametrize("table", [ENTRIES, REFUSED], ids=["works", "refuses"])
@pytest.mark.parametrize("name", list(ENTRIES))
def test_no_entry_point_leaks(name, table):
    call = table[name]

    def run(rounds):
        for _ in range(rounds):
            call_ignoring_refusal(call)
        gc.collect()

    run(30)
    blocks, heap = sys.getallocatedblocks(), heap_bytes()
    tracemalloc.start()
    traced = tracemalloc.get_traced_memory()[0]
    run(100)
    traced = tracemalloc.get_traced_memory()[0] - traced
    tracemalloc.stop()
    gc.collect()
    assert sys.getallocatedblocks() - blocks <= 20
    assert traced < 4_000
    # A leaked block of any size would be there a hundred times.
    assert heap_bytes() - heap < 100 * 64
