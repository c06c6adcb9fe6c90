"""The OpenAPI page: its paths are those that are answered, its schema says what is taken."""

from __future__ import annotations

import json
from contextlib import closing

import jsonschema
import numpy as np
import pyarrow as pa
import pytest

from devtools.doubles.registry_server import Client, Server
from devtools.planted_models import sound
from devtools.serving import ask, promoted
from retrain_ops.serving import Router, create_app
from retrain_ops.serving.app import PAGES, SCORING
from retrain_ops.serving.openapi import body, document
from retrain_ops.spec.spec import parse_spec

SPEC = """
[model]
name = "served"
[source]
path = "rows"
label = "y"
[features]
numeric = ["a"]
categorical = ["c"]
[serving]
max_rows = 3
unit = "who"
"""
ROW = {"a": 1.5, "c": "x", "who": 7}


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    return parse_spec(SPEC, where="spec", folder=tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def client():
    rng = np.random.default_rng(1)
    table = pa.table({"a": rng.normal(size=200), "c": rng.choice(["x", "y"], 200).tolist()})
    client = Client(Server())
    promoted(client, "served", sound(table, (table["a"].to_numpy() > 0).astype(np.int8)))
    return client


@pytest.fixture(scope="module")
def router(spec, client):
    with closing(Router(spec, client=client)) as router:
        yield router


def test_every_path_is_there_and_no_other(spec, client):
    app = create_app(spec, client=client)
    status, headers, page = ask(app, "/openapi.json")
    assert (status, headers["content-type"]) == (200, "application/json")
    found = json.loads(page)
    assert set(found["paths"]) == {*PAGES, SCORING, "/v2/models/served/infer"}
    for path, methods in found["paths"].items():
        (method,) = methods
        others = {"get": "POST", "post": "GET"}
        assert ask(app, path, b"{}" if method == "get" else None, method=others[method])[0] == 405
    app.ready_router.close()


def test_its_schemas_are_json_schema(spec):
    jsonschema.Draft202012Validator.check_schema(body(spec))
    example = document(spec)["paths"][SCORING]["post"]["requestBody"]["content"]
    example = example["application/json"]["example"]
    jsonschema.validate(example, body(spec), jsonschema.Draft202012Validator)


TAKEN = [
    {"dataframe_records": [ROW]},
    {"dataframe_records": [ROW, {**ROW, "further": []}]},
    {"instances": [ROW]},
    {"inputs": ROW},
    {"inputs": {name: [value] for name, value in ROW.items()}},
    {"dataframe_split": {"columns": list(ROW), "data": [list(ROW.values())]}},
    {"dataframe_records": [{**ROW, "a": "2.5"}], "params": {}},
    {"dataframe_records": [{**ROW, "a": None, "c": None}]},
    {"dataframe_records": [{**ROW, "a": True, "c": 3}]},
]
REFUSED = [
    {},
    [],
    {"dataframe_records": []},
    {"dataframe_records": [ROW] * 4},
    {"dataframe_records": [{"a": 1, "c": "x"}]},
    {"dataframe_records": [{"a": 1, "who": 7}]},
    {"dataframe_records": [{**ROW, "a": [1]}]},
    {"dataframe_records": [{**ROW, "c": 1.5}]},
    {"dataframe_records": [{**ROW, "who": 1.5}]},
    {"dataframe_records": [ROW], "instances": [ROW]},
    {"inputs": {"a": [1], "c": ["x"]}},
]


@pytest.mark.parametrize("asked", TAKEN)
def test_what_it_allows_is_answered(spec, router, asked):
    jsonschema.validate(asked, body(spec), jsonschema.Draft202012Validator)
    assert router.answer(json.dumps(asked).encode()).status == 200


@pytest.mark.parametrize("asked", REFUSED)
def test_what_it_forbids_is_refused(spec, router, asked):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(asked, body(spec), jsonschema.Draft202012Validator)
    assert router.answer(json.dumps(asked).encode()).status == 400
