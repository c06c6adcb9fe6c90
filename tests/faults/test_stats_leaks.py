"""Every entry point of the evaluation kernels, with success and failure, leaks no object."""

import contextlib
import gc
import sys

import numpy as np
import pytest

from retrain_ops import _core

Y = np.array([0, 1, 1, 0], np.uint8)
DAY = np.zeros(4, np.int32)
SCORE = np.array([0.1, 0.2, 0.7, 0.2])
BAD = np.array([0.1, np.nan, 0.7, 0.2])
RUNS = _core.accumulator_pack(3, np.empty(0), _core.rank_runs(Y, SCORE))

CALLS = {
    "roc_auc": [(Y, SCORE), (Y, SCORE.astype(np.float32)), (Y, BAD), (Y[:2], SCORE)],
    "average_precision": [(Y, SCORE), (Y, BAD)],
    "sample_distance": [(SCORE, SCORE[:2]), (SCORE, BAD)],
    "delong_sums": [(Y, SCORE, SCORE), (Y, SCORE, BAD), (Y, SCORE, SCORE[:2])],
    "rank_runs": [(Y, SCORE), (Y, BAD)],
    "score_sums": [(Y, SCORE), (Y, BAD), (Y + 1, SCORE)],
    "line_sums": [(Y, SCORE, 0.0, 1.0), (Y, BAD, 0.0, 1.0), (Y, SCORE, np.nan, 1.0)],
    "joint_cube": [
        (DAY, [DAY, DAY], Y, Y, Y, 1, [1, 2]),
        (DAY, [DAY, DAY - 1], Y, Y, Y, 1, [1, 2]),
        (DAY, [DAY, "no"], Y, Y, Y, 1, [1, 2]),
        (DAY, [DAY], Y, Y, Y, 1, ["no"]),
    ],
    "accumulator_pack": [(3, np.empty(0), np.array([[1, 1, 0]])), (9, np.empty(0), DAY)],
    "accumulator_unpack": [(RUNS,), (RUNS[:-1],), ("no",)],
    "accumulator_merge": [(RUNS, RUNS), (RUNS, b""), (RUNS, "no")],
}


@pytest.mark.parametrize("name", CALLS)
def test_an_entry_point_leaks_no_object(name):
    def everything():
        for arguments in CALLS[name]:
            with contextlib.suppress(ValueError, TypeError):
                getattr(_core, name)(*arguments)

    for _ in range(3):
        everything()
    rounds = 30
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(rounds):
        everything()
    gc.collect()
    assert sys.getallocatedblocks() - before < rounds
