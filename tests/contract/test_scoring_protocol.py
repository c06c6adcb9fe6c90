"""Requests that were sent to `mlflow models serve`, sent to ours: the same status, but for a list.

`tests/data/mlflow_protocol.json` holds what MLflow answered, by request. The list is that of
docs/serving.md.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from devtools.doubles.registry_server import Client, Server
from devtools.serving import ask, promoted, small_model
from retrain_ops.serving import create_app
from retrain_ops.spec.spec import parse_spec

RECORDED = json.loads((Path(__file__).parents[1] / "data" / "mlflow_protocol.json").read_text())
MODELS = ("lgbm", "ours")
"""Models of thirty numbers, with a signature and without one; the others have other columns."""
PAIRS = [
    pair
    for pair in RECORDED["pairs"]
    if pair["model"] in MODELS and not (pair["body"] or "").startswith("<")
]

STRICTER = {
    "csv ragged row": 400,
    "csv short row": 400,
    "data ragged": 400,
    "ours instances lists": 400,
    "content-type 'application/vnd.apache.parquet'": 415,
    "no content-type": 415,
    "GET /metrics": 200,
    "GET /ping/": 404,
}
"""Where we answer otherwise than MLflow."""

COLUMNS = [f"x{i}" for i in range(30)]
SPEC = f"""
[model]
name = "served"
[source]
path = "rows"
label = "y"
[features]
numeric = {json.dumps(COLUMNS)}
"""


@pytest.fixture(scope="module")
def model():
    return small_model(30)


@pytest.fixture(scope="module")
def app(model, tmp_path_factory):
    client = Client(Server())
    promoted(client, "served", model)
    spec = parse_spec(SPEC, where="spec", folder=tmp_path_factory.mktemp("served"))
    app = create_app(spec, client=client)
    yield app
    app.ready_router.close()


def replay(app, pair):
    body = pair["body"]
    encoded = None if body is None else body.encode("latin-1" if pair.get("latin1") else "utf-8")
    method = pair.get("method", "POST")
    headers = {k.lower().replace("-", "_"): v for k, v in pair["headers"].items()}
    return ask(app, pair.get("path", "/invocations"), encoded, method=method, **headers)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair["name"])
def test_the_status_is_mlflows_but_for_the_list(app, pair):
    status, _, _ = replay(app, pair)
    assert status == STRICTER.get(pair["name"], pair["status"])


def test_the_list_holds_nothing_that_is_alike():
    recorded = {pair["name"]: pair["status"] for pair in PAIRS}
    assert {n for n, status in STRICTER.items() if recorded[n] == status} == set()


SPLIT = [p for p in PAIRS if p["status"] == 200 and (p["body"] or "").startswith('{"dataframe_sp')]


@pytest.mark.parametrize(
    "pair", [p for p in SPLIT if p["name"] not in STRICTER], ids=lambda pair: pair["name"]
)
def test_an_answer_holds_the_bits_that_the_model_predicts(app, model, pair):
    status, headers, body = replay(app, pair)
    assert status == 200
    split = json.loads(pair["body"])["dataframe_split"]
    cells = dict(zip(split["columns"], zip(*split["data"], strict=True), strict=True))
    table = pa.table({c: np.array(cells[c], dtype=np.float64) for c in COLUMNS})
    assert json.loads(body)["predictions"] == model.scores(table).tolist()
    assert headers["x-model-version"] == "1"
    assert headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "pair",
    [p for p in PAIRS if p["status"] == 400 and p["body"] and p["name"] not in STRICTER],
    ids=lambda pair: pair["name"],
)
def test_a_refusal_is_mlflows_error_object_and_echoes_no_value(app, pair):
    status, _, body = replay(app, pair)
    assert status == 400
    error = json.loads(body)
    assert set(error) == {"error_code", "message"}
    assert not {"abc", "-1.375", "oops", "trace"} & set(error["message"].replace("'", " ").split())
