"""KServe's words: the same answers as /invocations, and what is refused."""

from __future__ import annotations

import json
from contextlib import closing

import pytest

from devtools.doubles.registry_server import Client, Server
from devtools.serving import ask, promoted, small_model
from retrain_ops.serving import create_app
from retrain_ops.spec.spec import parse_spec

SPEC = """
[model]
name = "served"
[source]
path = "rows"
label = "y"
[features]
numeric = ["x0", "x1"]
categorical = ["kind"]
"""
NUMERIC = SPEC.replace('categorical = ["kind"]', "").replace('"x1"', '"x1", "x2"')
INFER = "/v2/models/served/infer"


def tensor(name, data, datatype="FP64", shape=None):
    shape = [len(data)] if shape is None else shape
    return {"name": name, "shape": shape, "datatype": datatype, "data": data}


GOOD = [tensor("x0", [1.5, 2]), tensor("x1", [[1], [None]], shape=[2, 1]), tensor("x2", [0, 7])]


@pytest.fixture
def app(tmp_path):
    client = Client(Server())
    promoted(client, "served", small_model(3))
    app = create_app(parse_spec(NUMERIC, where="spec", folder=tmp_path), client=client)
    ask(app, "/ready")
    with closing(app.ready_router):
        yield app


def infer(app, inputs, **more):
    body = inputs if isinstance(inputs, bytes) else json.dumps({"inputs": inputs, **more}).encode()
    status, headers, said = ask(app, INFER, body)
    return status, headers, json.loads(said)


def test_it_says_what_invocations_says(app):
    same = {"inputs": {"x0": [1.5, 2], "x1": [1, None], "x2": [0, 7]}}
    plain = ask(app, "/invocations", json.dumps(same).encode(), content_type="application/json")
    status, headers, found = infer(app, GOOD, id="mine")
    assert (status, headers["x-model-version"]) == (200, "1")
    [output] = found.pop("outputs")
    assert found == {"model_name": "served", "model_version": "1", "id": "mine"}
    assert output["data"] == json.loads(plain[2])["predictions"]
    assert (output["shape"], output["datatype"]) == ([2], "FP64")


@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        (b"[" * 100_000, "not JSON"),
        (b"\xff", "not JSON"),
        (b"[]", "a list of inputs"),
        (b'{"inputs": {}}', "a list of inputs"),
        ([3], "inputs[0] has no name"),
        ([GOOD[0], GOOD[0]], "input 'x0' is there twice"),
        ([tensor("x0", [1], "FP128")], "input 'x0': datatype"),
        ([tensor("x0", {}, shape=[0])], "no list of data"),
        ([tensor("x0", [[1, 2]])], "a list of cells"),
        ([tensor("x0", [1, 2], shape=[3])], "shape must be [2] or [2, 1]"),
        ([tensor("x0", [1, 2], shape=True)], "shape must be"),
        (GOOD[:2], "x2"),
        ([*GOOD[:2], tensor("x2", [1])], "x2"),
        ([*GOOD[:2], tensor("x2", ["SECRET", 1], "BYTES")], "x2"),
    ],
)
def test_what_cannot_be_scored_is_refused(app, inputs, problem):
    status, _, found = infer(app, inputs)
    assert status == 400
    assert problem in found["error"]
    assert "SECRET" not in found["error"]
    metrics = ask(app, "/metrics")[2].decode()
    assert 'retrain_ops_serving_requests_total{status="400"} 1\n' in metrics


def test_other_paths_are_404_and_other_methods_405(app):
    assert ask(app, "/v2/models/other/infer", b"{}")[0] == 404
    assert ask(app, INFER)[0] == 405
    assert ask(app, "/v2", b"{}")[0] == 405


def test_metadata_name_what_a_request_needs(tmp_path):
    app = create_app(parse_spec(SPEC, where="spec", folder=tmp_path), client=Client(Server()))
    assert ask(app, "/v2/health/live")[0] == 200
    assert ask(app, "/v2/health/ready")[0] == ask(app, "/v2/models/served/ready")[0] == 503
    assert json.loads(ask(app, "/v2")[2])["extensions"] == []
    found = json.loads(ask(app, "/v2/models/served")[2])
    assert found["inputs"] == [
        {"shape": [-1], "name": "x0", "datatype": "FP64"},
        {"shape": [-1], "name": "x1", "datatype": "FP64"},
        {"shape": [-1], "name": "kind", "datatype": "BYTES"},
    ]
    app._router.close()
