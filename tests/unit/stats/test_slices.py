import math
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest

from retrain_ops.errors import DataError
from retrain_ops.stats import roc_auc, slice_report, to_significant
from retrain_ops.stats.rounding import to_json_value
from retrain_ops.stats.slices import encode_levels, wilson_interval


def test_a_slice_report_counts_every_row_once_per_slice():
    table = slice_report(
        [1, 0, 1, 1], [1, 1, 0, 1], slices={"s": ["b", "a", None, "b"], "n": pa.array([1, 2, 2, 1])}
    )
    rows = {(r["slice"], r["level"]): r for r in table.to_pylist()}
    assert list(rows) == [
        ("", ""),
        ("s", "a"),
        ("s", "b"),
        ("s", "(missing)"),
        ("n", "1"),
        ("n", "2"),
    ]
    assert (rows["", ""]["tp"], rows["", ""]["fp"], rows["", ""]["fn"]) == (2, 1, 1)
    assert rows["s", "b"]["f1"] == 1.0
    assert rows["s", "a"]["tpr"] is None
    assert rows["s", "(missing)"]["rows"] == 1


@pytest.mark.parametrize(
    "values",
    [
        ["b", "a", None, "b", "\u00e9", "\U0001f600", "\uffff"],
        [2, 10, 2, 1],
        np.array([1.5, np.nan, -1.0]),
        [None, None],
        [],
        pa.chunked_array([["b"], [None, "a"], []], type=pa.string()),
        pa.chunked_array([], type=pa.string()),
        pa.array(["x", None, "y", "x"]).dictionary_encode(),
    ],
)
def test_levels_are_coded_as_one_value_after_the_other_would_be(values):
    codes, levels = encode_levels(values, "s", len(values))
    array = values if isinstance(values, pa.ChunkedArray) else pa.array(values, from_pandas=True)
    texts = array.cast(pa.string()).to_pylist()
    assert codes.dtype == np.int32
    assert [levels[code] for code in codes] == [t or "(missing)" for t in texts]
    assert levels == sorted({t for t in texts if t}) + ["(missing)"] * (None in texts)


def test_a_rate_without_a_denominator_is_null_not_zero():
    row = slice_report([0, 0], [0, 0], slices={}).to_pylist()[0]
    assert row["f1"] is None
    assert row["tpr_low"] is None
    assert row["selection_rate"] == 0.0


def test_slices_refuse_other_labels_and_lengths():
    with pytest.raises(DataError, match="y_pred"):
        slice_report([0, 1], [0, 0.5], slices={})
    with pytest.raises(DataError, match="'s'"):
        slice_report([0, 1], [0, 1], slices={"s": ["a"]})


def test_wilson_intervals_contain_their_share():
    assert wilson_interval(0, 10) == pytest.approx((0, 0.2775328), abs=1e-6)
    low, high = wilson_interval(90, 100)
    assert (low, high) == pytest.approx((0.8256343, 0.9447709), abs=1e-6)
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_auc_of_one_class_is_undefined():
    assert math.isnan(roc_auc([1, 1], [0.1, 0.2]))
    assert roc_auc([True, False], [2, 1]) == 1.0
    with pytest.raises(DataError, match="y_true"):
        roc_auc([0, 3], [0.1, 0.2])
    with pytest.raises(DataError, match="NaN"):
        roc_auc([0, 1], [0.1, math.nan])


@pytest.mark.parametrize(
    ("x", "rounded"),
    [
        (1 / 3, 0.333333333),
        (123456789.6, 123456790.0),
        (-1.23456789049e-30, -1.23456789e-30),
        (Fraction(2, 3), 0.666666667),
        (math.nan, None),
        (-math.inf, None),
        (None, None),
        (0, 0.0),
    ],
)
def test_numbers_keep_nine_digits(x, rounded):
    assert to_significant(x) == rounded


def test_minus_zero_is_zero():
    assert str(to_significant(-0.0)) == "0.0"


def test_records_are_plain():
    assert to_json_value({"a": (Fraction(1, 3), 0.1 + 0.2, None, True, [1])}) == {
        "a": ["1/3", 0.3, None, True, [1]]
    }
    with pytest.raises(TypeError, match=r"float64|ndarray"):
        to_json_value(np.zeros(2))


def test_reading_rules_needs_neither_scipy_nor_pyarrow():
    code = (
        "import sys, retrain_ops.stats as s; s.GateRules(); s.CanaryRules(); s.ShadowRules()\n"
        "print([m for m in sys.modules if m in ('scipy', 'pyarrow')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
