"""Validation of tables: what fails is named, and nothing leaves the process."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from retrain_ops.data.expectations import ValidationRules, validate_table
from retrain_ops.errors import ConfigError

RULES = ValidationRules(
    columns={"id": "string", "when": "timestamp[us, tz=UTC]", "wind": "float", "label": "int8"},
    not_null=("id", "when"),
    ranges={"wind": (0.0, 60.0)},
    min_rows=4,
    max_rows=10,
    label="label",
    label_rate=(0.2, 0.8),
    max_null_share={"wind": 0.25, "label": 0.5},
)


def table(**changed: pa.Array) -> pa.Table:
    columns = {
        "id": pa.array(["a", "b", "c", "d"]),
        "when": pa.array([1, 2, 3, 4], pa.timestamp("us", tz="UTC")),
        "wind": pa.array([1.0, 60.0, 0.0, None], pa.float32()),
        "label": pa.array([0, 1, None, 1], pa.int8()),
        "more": pa.array([1, 2, 3, 4]),
    }
    return pa.table({**columns, **changed})


def failures(data: pa.Table, rules: ValidationRules = RULES) -> list[tuple[str, str]]:
    report = validate_table(data, rules)
    assert report.success == (not report.failures)
    return [(failure.column, failure.expectation) for failure in report.failures]


def test_a_table_that_meets_every_rule_passes() -> None:
    report = validate_table(table(), RULES)
    assert report.failures == ()
    assert report.success
    assert report.evaluated == 16


@pytest.mark.parametrize(
    ("column", "values", "expected", "detail"),
    [
        ("id", pa.array(["a", None, "c", "d"]), "values_to_not_be_null", "1 of 4 values"),
        ("wind", pa.array([1, 61.5, 0, 3], pa.float32()), "values_to_be_between", "61.5"),
        ("wind", pa.array([1, -1, 0, 3], pa.float32()), "values_to_be_between", "-1"),
        ("wind", pa.array([1, np.nan, None, 3], pa.float32()), "to_not_be_null", "2 of 4"),
        ("wind", pa.array([1.0, 2, 3, 4]), "distinct_values_to_be_in_set", "double"),
        ("label", pa.array([0, 0, 0, 0], pa.int8()), "mean_to_be_between", "observed 0"),
        ("label", pa.array([0, 2, 1, 0], pa.int8()), "values_to_be_in_set", "such as 2"),
        ("label", pa.array([None, None, None, 1], pa.int8()), "to_not_be_null", "3 of 4"),
    ],
)
def test_a_broken_rule_names_column_expectation_and_what_was_seen(
    column: str, values: pa.Array, expected: str, detail: str
) -> None:
    report = validate_table(table(**{column: values}), RULES)
    found = [f for f in report.failures if f.column == column and expected in f.expectation]
    assert found, report.failures
    assert detail in found[0].detail
    assert {f.column for f in report.failures} == {column}


def test_a_missing_column_is_named_whether_or_not_its_type_is_given() -> None:
    assert ("when", "expect_column_to_exist") in failures(table().drop_columns(["when"]))
    untyped = dataclasses.replace(RULES, columns={})
    assert failures(table().drop_columns(["wind"]), untyped) == [("wind", "expect_column_to_exist")]


def test_the_number_of_rows_has_a_lower_and_an_upper_bound() -> None:
    count = ("", "expect_table_row_count_to_be_between")
    assert count in failures(table().slice(0, 3))
    assert count in failures(pa.concat_tables([table()] * 3))
    assert count in failures(table().slice(0, 0))


def test_rows_are_counted_when_no_rule_looks_into_a_column() -> None:
    bare = ValidationRules(
        columns={}, not_null=(), ranges={}, min_rows=4, max_rows=4, label="", label_rate=(0, 1)
    )
    assert failures(table(), bare) == []
    assert failures(table().slice(1), bare) == [("", "expect_table_row_count_to_be_between")]


def test_labels_that_are_all_unknown_fail() -> None:
    unknown = table(label=pa.nulls(4, pa.int8()))
    assert "label" in {column for column, _ in failures(unknown)}


def test_a_range_on_text_is_a_failure_and_not_a_crash() -> None:
    rules = dataclasses.replace(RULES, ranges={"id": (0.0, 1.0)})
    assert ("id", "expect_column_values_to_be_between") in failures(table(), rules)


@pytest.mark.parametrize(
    "change",
    [
        {"min_rows": 5, "max_rows": 4},
        {"ranges": {"wind": (2.0, 1.0)}},
        {"ranges": {"wind": (None, None)}},
        {"label_rate": (0.9, 0.1)},
        {"max_null_share": {"wind": 25.0}},
    ],
)
def test_rules_that_cannot_be_meant_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="validation"):
        dataclasses.replace(RULES, **change)


def test_thirty_days_of_thirty_columns_take_seconds() -> None:
    rng = np.random.Generator(np.random.Philox(1))
    values = {f"x{i}": pa.array(rng.random(30_000, dtype=np.float32)) for i in range(30)}
    rules = dataclasses.replace(
        RULES,
        columns=dict.fromkeys(values, "float"),
        not_null=tuple(values),
        ranges=dict.fromkeys(values, (0.0, 1.0)),
        max_rows=None,
        label="",
        max_null_share={},
    )
    started = time.monotonic()
    assert validate_table(pa.table(values), rules).success
    assert time.monotonic() - started < 30


def test_no_socket_is_opened_no_file_written_and_nothing_said(tmp_path: Path) -> None:
    """In a process of its own: an audit hook cannot be taken out again."""
    script = """
        import logging, sys
        logging.basicConfig(level=logging.INFO)
        import pyarrow as pa
        from retrain_ops.data.expectations import ValidationRules, validate_table
        assert "great_expectations" not in sys.modules and "pandas" not in sys.modules
        def watch(event, detail):
            if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
                print("SOCKET", event, detail)
            writes = event == "open" and any(c in str(detail[1]) for c in "wax+")
            if writes and "__pycache__" not in str(detail[0]):
                print("WRITE", detail[0])
        sys.addaudithook(watch)
        rules = ValidationRules(columns={}, not_null=("a",), ranges={"a": (0, 1)}, min_rows=1,
                                max_rows=None, label="a", label_rate=(0, 1))
        report = validate_table(pa.table({"a": [0, 1, 3]}), rules)
        assert not report.success
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_a_share_of_gaps_that_is_met_exactly_is_met() -> None:
    """7 of 10 rows are 0.7 of them; 1.0 - 0.7 is more than 0.3."""
    gaps = pa.table({"wind": pa.array([1.0] * 3 + [None] * 7, pa.float32())})
    rules = dataclasses.replace(
        RULES, columns={}, not_null=(), label="", max_null_share={"wind": 0.7}
    )
    assert failures(gaps, rules) == []
    stricter = dataclasses.replace(rules, max_null_share={"wind": 0.69})
    assert failures(gaps, stricter) == [("wind", "expect_column_values_to_not_be_null")]
