"""What a label is: 0 and 1, or an amount; whatever else a column holds is named with its day."""

import re
from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from devtools.decisions import spec
from devtools.synthetic import AMOUNTS, FIRST, write_days
from retrain_ops.data.labels import labelled, labels_of
from retrain_ops.data.source import Source
from retrain_ops.errors import DataError
from retrain_ops.spec.spec import parse_spec
from retrain_ops.spec.window import days_between

DAYS = [date(2020, 1, 1), date(2020, 1, 2), date(2020, 1, 2), date(2020, 1, 3)]


def table(values, kind=None):
    return pa.table({"day": pa.array(DAYS, pa.date32()), "late": pa.array(values, kind)})


@pytest.fixture
def amounts(tmp_path):
    return parse_spec(AMOUNTS, where="toy.toml", folder=tmp_path)


@pytest.mark.parametrize(
    "values",
    [
        pa.array([1.5, None, float("nan"), -3.0]),
        pa.array([Decimal("1.5"), None, None, Decimal(-3)]),
        pa.array([1.5, None, float("nan"), -3.0], pa.float32()),
    ],
)
def test_amounts_are_numbers_and_unknown_ones_are_left_out(values, amounts):
    kept = labelled(table(values), amounts)
    assert labels_of(amounts).values(kept, "late").tolist() == [1.5, -3.0]
    assert labels_of(amounts).positives(values) == 0


def test_whole_amounts_are_amounts(amounts):
    found = labels_of(amounts).values(table([2, 0, 7, -1]), "late")
    assert (found.dtype, found.tolist()) == (np.float64, [2, 0, 7, -1])


def test_an_amount_that_no_trainer_can_square_is_named_with_its_day(amounts):
    labels = labels_of(amounts)
    assert labels.values(table([1.0, -1e100, 2.5, -3.0]), "late")[1] == -1e100
    for large in (1e101, -1.7e308):
        words = f"late of 2020-01-02 is {re.escape(f'{large:g}')} .* beyond .* in a larger unit"
        with pytest.raises(DataError, match=words):
            labels.values(table([1.0, large, 2.5, -3.0]), "late")


def test_an_infinite_amount_is_named_with_its_day(amounts):
    odd = table([1.0, 2.0, float("inf"), float("-inf")])
    with pytest.raises(DataError, match=r"label late of 2020-01-02 is inf \(2 of 4 rows"):
        labels_of(amounts).values(odd, "late")


@pytest.mark.parametrize(
    ("values", "kind"), [([True, False, True, True], "bool"), (["1", "2", "3", "4"], "string")]
)
def test_a_yes_or_no_and_a_text_are_no_amounts(values, kind, amounts):
    with pytest.raises(DataError, match=f"label late is {kind}"):
        labels_of(amounts).values(table(values), "late")


def test_amounts_are_one_type_on_every_day(tmp_path, amounts):
    """Zeros and ones alone, whole numbers, decimals, NaN, and none at all on the newest day."""
    write_days(tmp_path / "rows", 5, rows=3, label="amounts")
    columns = [
        pa.array([0, 1, 0], pa.int8()),
        pa.array([2, 0, -7]),
        pa.array([Decimal("1.5"), None, Decimal("0.3")]),
        pa.array([1.5, float("nan"), None], pa.float32()),
        pa.nulls(3),
    ]
    days = days_between(FIRST, FIRST + timedelta(days=4))
    for day, column in zip(days, columns, strict=True):
        path = tmp_path / "rows" / f"day={day}" / "part-0.parquet"
        table = pq.read_table(path, partitioning=None).drop_columns("late")
        pq.write_table(table.append_column("late", column), path)
    found = Source(amounts).read(days, columns=("a", "late"), before=None)["late"]
    assert found.type == pa.float64()
    assert found.to_pylist() == [0, 1, 0, 2, 0, -7, 1.5, None, 0.3, 1.5, *[None] * 5]


def test_labels_that_are_all_equal_teach_nothing(amounts):
    labels = labels_of(amounts)
    assert labels.lacking(np.array([3.0, 3.0])) == "of fewer than two values"
    assert labels.lacking(np.array([])) == "of fewer than two values"
    assert labels.lacking(np.array([3.0, 3.5])) == ""
    assert labels_of(spec()).lacking(np.array([1, 1])) == "of fewer than two classes"
