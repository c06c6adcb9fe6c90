"""Joint counts and F1 from them, against rows counted one by one."""

from fractions import Fraction

import numpy as np
import pytest

from retrain_ops.errors import DataError
from retrain_ops.stats.cells import (
    CHALLENGER,
    CHAMPION,
    LABEL,
    confusion,
    count_cells,
    count_where,
    day_cells,
    total,
)
from retrain_ops.stats.metrics import F1


def rows(n=500, seed=3):
    """Label, champion's and challenger's decision of each row."""
    return np.random.default_rng(seed).integers(0, 2, size=(3, n)).astype(np.uint8)


def test_a_cell_says_what_its_index_says():
    for cell in range(8):
        said = [np.array([flags[cell]], np.uint8) for flags in (LABEL, CHAMPION, CHALLENGER)]
        counts = count_cells([0], [0], *said, 1, 1)
        assert counts[0, 0].tolist() == [int(i == cell) for i in range(8)]


@pytest.mark.parametrize(("model", "said"), [(1, CHAMPION), (2, CHALLENGER)])
def test_f1_of_the_counts_is_f1_of_the_rows(model, said):
    found = rows()
    day = np.arange(500, dtype=np.int32) % 5
    counts = total(count_cells(day, np.zeros(500, np.int32), *found, 5, 1)[:, 0].tolist())
    y, yhat = found[0].astype(int), found[model].astype(int)
    assert confusion(counts, said)[3] == (y * yhat).sum()
    exact = Fraction(int(2 * (y * yhat).sum()), int((y + yhat).sum()))
    assert F1.score(confusion(counts, said)) == exact
    assert count_where(counts, LABEL) == y.sum()


def test_f1_without_positives_and_predictions_is_undefined():
    assert F1.score(confusion([9, 3, 0, 0, 0, 0, 0, 0], CHAMPION)) is None
    assert F1.score(confusion([9, 3, 0, 0, 0, 0, 0, 0], CHALLENGER)) == 0
    assert F1.score(confusion(total([]), CHALLENGER)) is None


def test_malformed_counts_and_rows_are_refused():
    for bad, words in (
        ([[1] * 7], r"m must have shape \[n_days, 8\]"),
        ([[0.5] * 8], "m must hold whole numbers"),
        ([[1] * 7 + [-1]], "m holds a negative count"),
    ):
        with pytest.raises(DataError, match=words):
            day_cells(bad, name="m")
    with pytest.raises(DataError):
        count_cells([0], [1], [0], [0], [0], 1, 1)
