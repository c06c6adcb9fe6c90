"""A router and its application: who answers, what is refused, what is counted."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from devtools.doubles.registry_server import Client, Server
from devtools.serving import ask, promoted, small_model
from retrain_ops.errors import ConfigError, ConflictError, CorruptError
from retrain_ops.models import GBDTClassifier, load_model
from retrain_ops.models.requests import RequestError, answer_request
from retrain_ops.serving import Router, create_app
from retrain_ops.spec.spec import parse_spec

ROW = {"x0": 1.5, "x1": -0.25, "x2": None}
BODY = json.dumps({"dataframe_records": [ROW]}).encode()
SPEC = """
[model]
name = "served"
[source]
path = "rows"
label = "y"
[features]
numeric = ["x0", "x1", "x2"]
"""


def spec_of(text=SPEC):
    return parse_spec(text, where="spec", folder=Path.cwd())


@pytest.fixture
def client():
    client = Client(Server())
    promoted(client, "served", small_model(3))
    return client


def test_the_champion_answers_and_says_who_it_is(client):
    router = Router(spec_of(), client=client)
    answer = router.answer(BODY)
    expected = small_model(3).scores(
        pa.table({k: pa.array([v], pa.float64()) for k, v in ROW.items()})
    )
    assert (answer.status, answer.version) == (200, "1")
    assert json.loads(answer.body) == {"predictions": expected.tolist()}
    assert router.health() == {"model": "served", "champion": "1", "ready": True}


def test_the_newest_champion_is_the_one(client):
    promoted(client, "served", small_model(3, seed=2))
    assert Router(spec_of(), client=client).answer(BODY).version == "2"


def test_limits_are_those_of_the_spec(client):
    router = Router(spec_of(f"{SPEC}[serving]\nmax_body = 100\nmax_rows = 1\n"), client=client)
    assert router.answer(BODY).status == 200
    two = b'{"inputs":{"x0":[1,2],"x1":[1,2],"x2":[1,2]}}'
    assert b"at most 1 rows" in router.answer(two).body
    assert router.answer(b" " * 101).status == 413
    assert router.answer(None).status == 413


def test_a_long_body_is_not_read_to_its_end(client):
    app = create_app(spec_of(f"{SPEC}[serving]\nmax_body = 100\n"), client=client)
    status, _, body = ask(app, "/invocations", b" " * 101, content_type="application/json")
    assert status == 413
    assert b"more than 100 bytes" in body


def test_pages_say_how_it_goes(client):
    app = create_app(spec_of(), client=client)
    assert ask(app, "/invocations", BODY, content_type="application/json")[0] == 200
    assert ask(app, "/invocations", b"{}", content_type="application/json")[0] == 400
    assert json.loads(ask(app, "/health")[2])["champion"] == "1"
    assert ask(app, "/ready")[0] == 200
    metrics = ask(app, "/metrics")[2].decode()
    assert 'retrain_ops_serving_requests_total{status="200"} 1\n' in metrics
    assert 'retrain_ops_serving_requests_total{status="400"} 1\n' in metrics
    assert "retrain_ops_serving_rows_total 1\n" in metrics
    assert "retrain_ops_serving_seconds_count 2\n" in metrics


def test_a_model_that_cannot_be_trusted_is_refused(client):
    name = next(name for name in client.server.artifacts if name.endswith("model.rtm"))
    whole = client.server.artifacts[name]
    client.server.artifacts[name] = small_model(3, seed=9).to_bytes()
    with pytest.raises(CorruptError, match="not what was registered"):
        Router(spec_of(), client=client)
    client.server.artifacts[name] = whole
    with pytest.raises(CorruptError, match="the spec"):
        Router(spec_of(SPEC.replace(', "x2"', "")), client=client)
    client.set_version_tag("served", "1", "trainer", "mine.module:train")
    with pytest.raises(ConfigError, match=r"mine\.module:train"):
        Router(spec_of(), client=client)


def test_without_a_champion_nobody_answers():
    with pytest.raises(ConflictError, match="no champion yet"):
        Router(spec_of(), client=Client(Server()))


def test_categories_answer_as_in_training():
    table = pa.table({"a": [1.0, 2.0, 3.0, 4.0] * 50, "c": ["x", "y", "z", None] * 50})
    model = (
        GBDTClassifier(n_estimators=5, min_samples_leaf=1, categorical_features=["c"])
        .fit(table, [0, 1, 1, 0] * 50)
        .model_
    )
    model = load_model(model.to_bytes())
    rows = table.slice(0, 4)
    body = json.dumps({"dataframe_records": rows.to_pylist()}).encode()
    answer, count = answer_request(model, body, csv=False, max_rows=4)
    assert count == 4
    assert json.loads(answer)["predictions"] == model.scores(rows).tolist()
    with pytest.raises(RequestError, match="column 'c' of row 1"):
        answer_request(model, b'{"inputs": {"a": 1, "c": 1.5}}', csv=False, max_rows=1)
