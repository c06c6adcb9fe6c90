"""One value means one thing, whatever library or type brings it."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from retrain_ops.data.categories import (
    MISSING_LEVEL,
    as_column,
    codes_of,
    kind_of,
    levels_of,
    numbers,
    seconds,
    slice_codes,
    texts,
)
from retrain_ops.errors import DataError

IDS = [uuid.UUID(int=1 << 100), None, uuid.UUID(int=7)]
STORED = pa.array([i and i.bytes for i in IDS], pa.binary(16))
NAMES = ["b", None, "a", "b"]
FORMS = {
    "list": NAMES,
    "objects": np.array(NAMES, dtype=object),
    "NaN": np.array(["b", np.nan, "a", "b"], dtype=object),
    "NA": pd.Series(NAMES, dtype="string"),
    "str": pd.Series(NAMES, dtype="str"),
    "category": pd.Series(NAMES, dtype="category"),
    "dictionary": pa.array(NAMES).dictionary_encode(),
    "dictionary of views": pa.DictionaryArray.from_arrays(
        pa.array([1, None, 0, 1], pa.uint32()), pa.array(["a", "b"], pa.string_view())
    ),
    "two dictionaries": pa.chunked_array(
        [pa.array(NAMES[:2]).dictionary_encode(), pa.array(NAMES[2:]).dictionary_encode()]
    ),
    "large": pa.array(NAMES, pa.large_string()),
    "view": pa.array(NAMES, pa.string_view()),
    "binary": pa.array([n and n.encode() for n in NAMES], pa.binary()),
    "column": np.array(NAMES, dtype=object)[:, None],
}


@pytest.mark.parametrize("form", FORMS)
def test_a_text_is_a_text_in_every_form(form: str) -> None:
    column = as_column(FORMS[form], "c")
    assert texts(column, "c").to_pylist() == NAMES
    assert kind_of(column) == "category"
    levels = levels_of(column)
    assert levels == ["a", "b"]
    assert codes_of(column, levels).tolist() == [1, -1, 0, 1]
    assert codes_of(column, ["b"]).tolist() == [0, -1, -2, 0]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([3, 1]), ["3", "1"]),
        ([3.0, None, 1.0], ["3", None, "1"]),  # what pandas makes of integers beside a gap
        (np.float32([3, np.nan]), ["3", None]),
        (pd.Series([3, None], dtype="Int64"), ["3", None]),
        (pd.Series([3, 4]).astype("category"), ["3", "4"]),
        (pa.array([3, None], pa.uint64()), ["3", None]),
        (np.array([2**62 + 1, 2**62]), [str(2**62 + 1), str(2**62)]),
        ([Decimal("3.00"), Decimal("NaN"), Decimal("1E+2")], ["3", None, "100"]),
        (np.ma.array([3, 4], mask=[False, True]), ["3", None]),
        ([True, None], ["true", None]),
        (pd.Series([True, pd.NA], dtype="boolean"), ["true", None]),
        ([dt.date(2024, 2, 1), None], ["2024-02-01", None]),
        (IDS, [i and str(i) for i in IDS]),
        (pa.ExtensionArray.from_storage(pa.uuid(), STORED), [i and str(i) for i in IDS]),
        (pd.cut(pd.Series([1.0, None, 5.0]), [0, 2, 6]), ["(0, 2]", None, "(2, 6]"]),
        (pd.arrays.IntervalArray.from_tuples([(0, 1), None]), ["(0, 1]", None]),
        ([None, None], [None, None]),
        (pd.Series([pd.NaT, pd.NaT]).astype(object), [None, None]),
    ],
)
def test_categories_have_one_text(values: object, expected: list[str | None]) -> None:
    assert texts(as_column(values, "c"), "c").to_pylist() == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([Decimal("1.5"), None], [1.5, np.nan]),
        ([Decimal("0.3"), Decimal("1E+30"), Decimal("-1E-30")], [0.3, 1e30, -1e-30]),
        (np.array([None, 2.5, 1], dtype=object), [np.nan, 2.5, 1]),
        (pd.Series([True, None], dtype="boolean"), [1, np.nan]),
        (pd.Series([1.5, 2.0, 1.5]).astype("category"), [1.5, 2, 1.5]),
        (pa.array([Decimal("1234.5678")], pa.decimal128(38, 4)), [1234.5678]),
        ([2**53 + 1], [2.0**53]),
        (pa.nulls(2), [np.nan, np.nan]),
        (np.float16([0.5]), [0.5]),
    ],
)
def test_numbers_are_read_from_every_type(values: object, expected: list[float]) -> None:
    found = numbers(as_column(values, "x"), "x")
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_are_seconds_in_every_unit(unit: str) -> None:
    moments = pa.array([dt.datetime(1970, 1, 2), None], pa.timestamp(unit))
    np.testing.assert_array_equal(seconds(as_column(moments, "t"), "t"), [86400.0, np.nan])
    waits = pa.array([dt.timedelta(minutes=1), None], pa.duration(unit))
    np.testing.assert_array_equal(seconds(as_column(waits, "t"), "t"), [60.0, np.nan])
    days = as_column([dt.date(1970, 1, 3)], "t")
    assert seconds(days, "t").tolist() == [2 * 86400.0]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (pd.DataFrame({"a": [1]}), "is a table"),
        (pa.table({"a": [1]}), "is a table"),
        (np.zeros((2, 3)), r"shape \(2, 3\)"),
        ("text", "single text"),
        (np.array(["a", 1], dtype=object), "no column"),
        (np.array([1 + 2j]), "no column"),
        (pa.array([b"\xff"]), "UTF-8"),
    ],
)
def test_what_is_no_column_is_refused(values: object, words: str) -> None:
    with pytest.raises(DataError, match=words):
        as_column(values, "the groups")


@pytest.mark.parametrize(
    "values",
    [
        [0.5, 1.0],
        [float(2**53)],
        [float("inf")],
        [Decimal("1.5")],
        [("a", "b"), ("c", "d")],
        [{"a": 1}],
        pd.Series(pd.period_range("2024-01", periods=2, freq="M")),
        np.array(["2024-01-01T10"], dtype="M8[s]"),
        np.array([5], dtype="m8[s]"),
    ],
)
def test_what_is_no_category_is_refused(values: object) -> None:
    with pytest.raises(DataError, match="'c'"):
        texts(as_column(values, "c"), "c")


@pytest.mark.parametrize(
    "values", [["1"], np.array(["2024-01-01"], "M8[s]"), [dt.date(2024, 1, 1)]]
)
def test_what_is_no_number_is_refused(values: object) -> None:
    with pytest.raises(DataError, match="'x' must hold numbers"):
        numbers(as_column(values, "x"), "x")


def test_groups_may_be_fractions() -> None:
    decimals = [Decimal("0.50"), None, Decimal(1)]
    for halves in ([0.5, None, 1.0], decimals, np.float32([0.5, np.nan, 1])):
        levels, codes = slice_codes(as_column(halves, "g"), "g")
        assert levels == ["0.5", "1", MISSING_LEVEL]
        assert codes.tolist() == [0, 2, 1]


def test_the_text_missing_is_never_a_missing_value() -> None:
    quoted = f'"{MISSING_LEVEL}"'
    column = pa.chunked_array([[MISSING_LEVEL, None, "a", quoted]])
    levels, codes = slice_codes(column, "g")
    assert [levels[code] for code in codes] == [quoted, MISSING_LEVEL, "a", f'"{quoted}"']
    assert len(set(levels)) == 4
    alone, _ = slice_codes(pa.chunked_array([[MISSING_LEVEL]]), "g")
    assert alone == [quoted]  # one name in every table, whether it has gaps or not
