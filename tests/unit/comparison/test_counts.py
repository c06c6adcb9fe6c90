"""Joint counts of two models on one table, against its rows counted one by one."""

from collections import Counter
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest

from devtools.doubles.registry_server import Client, Server
from devtools.synthetic import FIRST, toy_run
from retrain_ops.comparison.counts import count_models, version_rows
from retrain_ops.errors import DataError
from retrain_ops.spec.window import DAY
from retrain_ops.stats.cells import ALL_ROWS

ROWS = 400


class Scorer:
    """A model whose score is a column."""

    def __init__(self, column, threshold):
        self.column, self.threshold = column, threshold

    def predict_proba(self, table, *, n_threads):
        p = table[self.column].to_numpy()
        return np.column_stack([1 - p, p])


OLD, NEW = Scorer("a", 0.5), Scorer("b", 0.3)


@pytest.fixture
def run(tmp_path):
    return toy_run(tmp_path, Client(Server()), FIRST)


@pytest.fixture
def table(run):
    rng = np.random.default_rng(8)
    days = [FIRST + timedelta(days=int(d)) for d in rng.integers(0, 3, ROWS)]
    return pa.table(
        {
            DAY: pa.array(days, pa.date32()),
            "a": rng.random(ROWS),
            "b": rng.random(ROWS),
            "s": [("x", "y", None)[i] for i in rng.integers(0, 3, ROWS)],
            run.spec.source.label: rng.integers(0, 2, ROWS),
        }
    )


def by_hand(run, table, old=OLD):
    """(column, level, day, cell) -> rows."""
    found = Counter()
    for row in table.to_pylist():
        champion = old is None or row[old.column] >= old.threshold
        challenger = row[NEW.column] >= NEW.threshold
        cell = 4 * row[run.spec.source.label] + 2 * champion + challenger
        found[ALL_ROWS, ALL_ROWS, row[DAY], cell] += 1
        found["s", row["s"] or "(missing)", row[DAY], cell] += 1
    return found


def as_counter(counted):
    return Counter(
        {
            (column, level, counted.days[day], cell): int(n)
            for column, levels in counted.cells.items()
            for level, counts in levels.items()
            for (day, cell), n in np.ndenumerate(counts)
            if n
        }
    )


@pytest.mark.parametrize("old", [OLD, None])
def test_every_row_is_counted_once_per_column_under_its_day_level_and_cell(run, table, old):
    counted = count_models(run, table, old, NEW, slices=("s",))
    assert as_counter(counted) == by_hand(run, table, old)
    assert counted.challenger.scores.tolist() == table["b"].to_pylist()
    assert (counted.champion is None) == (old is None)


def test_no_rows_load_no_model(run, table):
    rows = version_rows(run, table[:0], None, None)
    assert rows.cells(rows.everyone)[ALL_ROWS].shape == (0, 8)


def test_a_label_that_is_neither_0_nor_1_is_named(run, table):
    column = run.spec.source.label
    bad = table.set_column(table.schema.get_field_index(column), column, pa.array([2] * ROWS))
    with pytest.raises(DataError, match=column):
        count_models(run, bad, OLD, NEW)
