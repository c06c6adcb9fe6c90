"""Rows sent in any form are answered as the model scores their table; noise is refused, quietly."""

from __future__ import annotations

import io
import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain_ops.models import GBDTClassifier
from retrain_ops.models.requests import RequestError, answer_request, core_arms

NUMBERS = st.none() | st.floats(width=64) | st.integers(-(2**63), 2**63 - 1)
LEVELS = st.none() | st.sampled_from(["x", "y", "other", "", 'q"uote', "a,b", "Zürich \U0001f686"])
ROWS = st.lists(
    st.fixed_dictionaries({"a": NUMBERS, "b": NUMBERS, "c": LEVELS}), min_size=1, max_size=40
)


@pytest.fixture(scope="module")
def model():
    rng = np.random.default_rng(1)
    levels = ["x", "y", 'q"uote', "a,b", "Zürich \U0001f686", None]
    table = pa.table(
        {
            "a": rng.normal(size=600),
            "b": rng.normal(size=600) * 1e6,
            "c": rng.choice(np.array(levels, dtype=object), 600),
        }
    )
    y = (table["a"].to_numpy() > 0) ^ np.array([c == "x" for c in table["c"].to_pylist()])
    return GBDTClassifier(n_estimators=20, categorical_features=["c"]).fit(table, y).model_


def expected(model, rows):
    columns = {name: [row[name] for row in rows] for name in "abc"}
    table = {
        "a": pa.array([None if v is None else float(v) for v in columns["a"]], pa.float64()),
        "b": pa.array([None if v is None else float(v) for v in columns["b"]], pa.float64()),
        "c": pa.array(columns["c"], pa.string()),
    }
    return model.scores(pa.table(table)).tolist()


def forms(rows):
    """The rows in every form of JSON."""
    columns = {name: [row[name] for row in rows] for name in "cab"}
    cells = [[row[name] for name in columns] for row in rows]
    yield {"dataframe_split": {"data": cells, "columns": list(columns)}}
    yield {"dataframe_records": rows}
    yield {"instances": [dict(reversed(row.items())) for row in rows]}
    yield {"inputs": columns}


@given(rows=ROWS)
def test_every_form_is_answered_as_the_model_scores_the_table(model, rows):
    wanted = expected(model, rows)
    for form in forms(rows):
        for text in (json.dumps(form), json.dumps(form, ensure_ascii=False, indent=1)):
            answer, count, _ = answer_request(
                core_arms(model), text.encode(), csv=False, max_rows=40
            )
            assert json.loads(answer)["predictions"] == wanted
            assert count == len(rows)


@given(rows=ROWS)
def test_csv_is_answered_alike(model, rows):
    pandas = pytest.importorskip("pandas")
    rows = [{**row, "c": row["c"] or None} for row in rows]  # an empty cell is a missing value
    frame = pandas.DataFrame({n: pandas.Series([r[n] for r in rows], dtype=object) for n in "abc"})
    text = io.StringIO()
    frame.to_csv(text, index=False)
    answer, _, _ = answer_request(core_arms(model), text.getvalue().encode(), csv=True, max_rows=40)
    assert json.loads(answer)["predictions"] == expected(model, rows)


@given(
    rows=ROWS, at=st.integers(0, 400), noise=st.binary(max_size=4), cut=st.integers(0, 4),
    csv=st.booleans(),
)  # fmt: skip
def test_a_spoilt_body_is_answered_or_refused_without_its_text(model, rows, at, noise, cut, csv):
    body = json.dumps({"dataframe_records": rows}).encode()
    body = body[:at] + noise + body[at + cut :]
    answer, said = outcome(model, body, csv=csv)
    assert len(said) < 300
    assert "other" not in said
    assert (answer == b"") == (said != "")


def outcome(model, body, *, csv):
    """The answer, or what was said instead."""
    try:
        answer, count, _ = answer_request(core_arms(model), body, csv=csv, max_rows=40)
    except RequestError as problem:
        return b"", str(problem)
    assert len(json.loads(answer)["predictions"]) == count > 0
    return answer, ""
