"""What the statistics take as labels, scores, groups and days, and what they refuse."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from retrain_ops.errors import DataError
from retrain_ops.stats import (
    compare_models,
    delong_test,
    fairness_report,
    ks_test,
    psi,
    roc_auc,
    score_metrics,
    slice_report,
    wasserstein_distance,
)
from retrain_ops.stats.labels import as_binary

Y = [0, 1, 1, 0]


@pytest.mark.parametrize(
    "labels",
    [
        np.array(Y, dtype=object),
        pd.Series(Y, dtype="Int64"),
        pd.Series(Y, dtype="boolean"),
        pa.chunked_array([Y]),
        [Decimal(y) for y in Y],
        [bool(y) for y in Y],
        np.ma.array(Y, mask=False),
    ],
)
def test_labels_of_every_type_are_zeros_and_ones(labels: object) -> None:
    assert as_binary(labels, "y_true").tolist() == Y


@pytest.mark.parametrize(
    "labels",
    [
        [0, None, 1],
        [0.0, np.nan, 1.0],
        pd.Series([0, None, 1], dtype="Int64"),
        pd.Series([False, None, True], dtype="boolean"),
        np.ma.array([0, 1, 1], mask=[False, True, False]),
    ],
)
def test_a_missing_label_is_refused_by_its_place(labels: object) -> None:
    with pytest.raises(DataError, match=r"y_true\[1\] is missing"):
        as_binary(labels, "y_true")


def test_scores_are_numbers_or_refused() -> None:
    scores = np.array([0.1, 0.9, 0.8, 0.3])
    decimals = [Decimal(str(s)) for s in scores]
    assert roc_auc(Y, decimals) == roc_auc(Y, scores) == 1.0
    assert delong_test(Y, decimals, scores).p_value == 1.0
    assert ks_test(decimals, scores).statistic == 0.0
    assert wasserstein_distance(decimals, scores) == 0.0
    assert score_metrics(Y, decimals) == score_metrics(Y, scores)
    for bad in (["a"] * 4, np.array(["2024-01-01"] * 4, "M8[D]"), [0.1, None, 0.8, 0.3]):
        with pytest.raises(DataError):
            roc_auc(Y, bad)
        with pytest.raises(DataError):
            score_metrics(Y, bad)
    with pytest.raises(DataError, match="weights"):
        wasserstein_distance([1.0], [2.0], ["heavy"], [1.0])


def samples() -> dict[str, tuple[object, object]]:
    a, b = np.random.default_rng(5).normal(50, 9, (2, 500)).round(3)
    moments = [pd.Timestamp("2024-01-01") + pd.to_timedelta(v, unit="h") for v in (a, b)]
    gaps = [np.where(np.arange(500) % 50 == 0, None, v) for v in (a, b)]
    return {
        "decimals": tuple(np.array([Decimal(str(x)) for x in v], dtype=object) for v in (a, b)),
        "objects with gaps": tuple(gaps),
        "nullable": tuple(pd.Series(v, dtype="Float64") for v in gaps),
        "moments": tuple(moments),
        "moments with a zone": tuple(m.tz_localize("UTC") for m in moments),
        "durations": tuple(pd.to_timedelta(v, unit="s") for v in (a, b)),
        "dates": tuple((np.datetime64("2024-01-01") + v.astype("m8[D]")) for v in (a, b)),
    }


@pytest.mark.parametrize("form", list(samples()))
def test_psi_bins_what_is_a_number_or_a_time(form: str) -> None:
    reference, current = samples()[form]
    result = psi(reference, current)
    assert result.verdict == "no_drift"
    assert result.counts.shape[1] <= 13
    assert result.edges.dtype == np.float64


TEXT = np.array((["x"] * 3 + ["y"] * 5 + [None] * 2) * 20, dtype=object)
MISSING = {
    "None": TEXT,
    "NaN": pd.Series(TEXT).astype("str"),
    "NA": pd.Series(TEXT).astype("string"),
    "category": pd.Series(TEXT).astype("category"),
}


@pytest.mark.parametrize("before", MISSING)
@pytest.mark.parametrize("now", MISSING)
def test_psi_knows_one_missing_text(before: str, now: str) -> None:
    result = psi(MISSING[before], MISSING[now])
    assert result.edges.tolist() == ["x", "y"]
    assert result.counts.tolist() == [[60, 100, 0, 40]] * 2


def test_psi_reads_booleans_as_numbers_with_or_without_gaps() -> None:
    result = psi([True, False] * 200, pd.Series([True, None, False, True] * 100, dtype="boolean"))
    assert result.counts[1, -1] == 100


@pytest.mark.parametrize(
    ("reference", "current"),
    [
        ([1.0, 2.0], ["a", "b"]),
        (["a", "b"], [0.5, 1.5]),
        (pd.to_datetime(["2024-01-01"]), [1.0]),
        (pd.to_datetime(["2024-01-01"]), pd.to_datetime(["2024-01-01"]).tz_localize("UTC")),
        (pd.to_datetime(["2024-01-01"]), pd.to_timedelta(["1s"])),
        (np.array(["a", 1], dtype=object), ["a"]),
        (np.zeros((2, 2)), [1.0]),
    ],
)
def test_psi_refuses_samples_of_two_kinds(reference: object, current: object) -> None:
    with pytest.raises(DataError):
        psi(reference, current)


def test_groups_are_one_column_of_categories() -> None:
    ages = pd.cut(pd.Series([20, 30, 40, None]), [0, 25, 50])
    levels = slice_report(Y, Y, slices={"age": ages})["level"].to_pylist()
    assert levels == ["", "(0, 25]", "(25, 50]", "(missing)"]
    for bad in ([("a", 1)] * 4, [("a", "b")] * 4, pd.DataFrame({"a": Y, "b": Y}), [1j] * 4):
        with pytest.raises(DataError):
            slice_report(Y, Y, slices={"g": bad})
        with pytest.raises(DataError):
            fairness_report(Y, Y, bad)


def test_the_text_missing_beside_gaps_loses_no_row() -> None:
    group = ["(missing)"] * 2 + [None] * 2
    report = fairness_report(Y, Y, group)
    assert [(g.level, g.rows) for g in report.groups] == [('"(missing)"', 2), ("(missing)", 2)]
    table = slice_report(Y, Y, slices={"g": group}).to_pylist()
    assert [row["rows"] for row in table] == [4, 2, 2]


@pytest.mark.parametrize(
    "days", [[1, 1, 2, None], [dt.date(2024, 1, 1)] * 3 + [None], pd.Series([1, 1, 2, pd.NA])]
)
def test_every_row_needs_its_day(days: object) -> None:
    with pytest.raises(DataError, match="missing"):
        compare_models(Y, Y, Y, days=days)


@pytest.mark.parametrize("days", [[0, 1, 1, -1], [0, 1, 1, np.nan], [0, 1, 1, 0.5]])
def test_days_of_a_fairness_report_are_numbered_from_zero(days: object) -> None:
    with pytest.raises(DataError, match="whole numbers from 0"):
        fairness_report(Y, Y, ["a", "b", "a", "b"], day=days)
