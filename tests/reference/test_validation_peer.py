"""Verdicts on counted facts against Great Expectations' own engine; see `proofs validation`."""

import numpy as np
import pyarrow as pa
import pytest

from devtools.validation_peer import compare, random_case
from retrain_ops.data.expectations import ValidationRules, validate_table

BARE = ValidationRules(
    columns={}, not_null=(), ranges={}, min_rows=0, max_rows=None, label="", label_rate=(0, 1)
)


def test_verdicts_are_those_of_the_pandas_engine():
    rng = np.random.default_rng(3)
    failed = [compare(*random_case(rng)) for _ in range(25)]
    assert sum(failed) > 50
    assert min(failed) <= 1


@pytest.mark.parametrize(
    ("values", "low", "high", "outside"),
    [
        (pa.array([2**64 - 1, 3], pa.uint64()), 3.5, 1e300, [3]),
        (pa.array([-128, 127, 5], pa.int8()), -128.5, 127.5, []),
        (pa.array([-128, 127], pa.int8()), 128.0, None, [-128, 127]),
        (pa.array([1, 2], pa.int32()), -np.inf, np.inf, []),
        (pa.array([1, 2], pa.int32()), np.inf, None, [1, 2]),
        (pa.array([np.inf, np.nan, None, 1.0]), 0.0, 1.0, [np.inf]),
        (pa.array([0.1, 0.2], pa.float32()), None, 0.1, [np.float32(0.1), np.float32(0.2)]),
        (pa.array([True, None, False]), 1.0, 1.0, [False]),
    ],
)
def test_ends_of_a_range_are_met_exactly(values, low, high, outside):
    rules = ValidationRules(**{**_fields(BARE), "ranges": {"x": (low, high)}})
    report = validate_table(pa.table({"x": values}), rules)
    assert report.success == (not outside)
    for failure in report.failures:
        assert failure.detail.startswith(f"{len(outside)} of {len(values)} values, such as ")
    compare(pa.table({"x": values}), rules)


def _fields(rules):
    return {name: getattr(rules, name) for name in rules.__dataclass_fields__}


def test_batches_are_counted_as_one_table():
    values = pa.array(np.where(np.arange(200_000) % 1000 == 0, 9.0, np.nan))
    rules = ValidationRules(
        **{**_fields(BARE), "ranges": {"x": (0.0, 1.0)}, "max_null_share": {"x": 0.5}}
    )
    whole = validate_table(pa.table({"x": values}), rules)
    pieces = pa.table({"x": pa.chunked_array([values[:7], values[7:7], values[7:150_001],
                                              values[150_001:]])})  # fmt: skip
    assert validate_table(pieces, rules) == whole
    assert [str(failure) for failure in whole.failures] == [
        "x: expect_column_values_to_be_between: 200 of 200000 values, such as 9 "
        "(wanted min_value 0, max_value 1)",
        "x: expect_column_values_to_not_be_null: 199800 of 200000 values (wanted mostly 0.5)",
    ]
