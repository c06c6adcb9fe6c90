"""A router and its application: who answers, what is refused, what is counted."""

from __future__ import annotations

import json
import random
import re
from contextlib import ExitStack, closing

import pyarrow as pa
import pytest

from devtools.doubles.registry_server import Client, Server
from devtools.serving import ask, promoted, small_model
from retrain_ops.models import GBDTClassifier, load_model
from retrain_ops.models.requests import RequestError, answer_request, core_arms
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


@pytest.fixture
def spec_of(tmp_path):
    return lambda text=SPEC: parse_spec(text, where="spec", folder=tmp_path)


@pytest.fixture
def client():
    client = Client(Server())
    promoted(client, "served", small_model(3))
    return client


@pytest.fixture
def router_of(client, spec_of):
    """Makes routers, closed in the end."""
    with ExitStack() as closing_all:
        yield lambda text=SPEC: closing_all.enter_context(
            closing(Router(spec_of(text), client=client))
        )


@pytest.fixture
def app_of(client, spec_of):
    """Makes applications, shut down in the end."""
    with ExitStack() as closing_all:

        def make(text=SPEC):
            app = create_app(spec_of(text), client=client)
            closing_all.callback(lambda: app.ready_router and app.ready_router.close())
            return app

        yield make


def test_the_champion_answers_and_says_who_it_is(router_of):
    router = router_of()
    answer = router.answer(BODY)
    expected = small_model(3).scores(
        pa.table({k: pa.array([v], pa.float64()) for k, v in ROW.items()})
    )
    assert (answer.status, answer.version) == (200, "1")
    assert json.loads(answer.body) == {"predictions": expected.tolist()}
    assert router.health() == {
        "model": "served",
        "ready": True,
        "champion": "1",
        "previous": None,
        "shadow": None,
        "share": 1.0,
        "problem": None,
        "changes": [{"at": "2020-01-01T02:00:00Z", "what": "version 1 became champion"}],
    }


def test_the_newest_champion_is_the_one(client, router_of):
    promoted(client, "served", small_model(3, seed=2))
    assert router_of().answer(BODY).version == "2"


def test_requests_without_a_unit_meet_both_arms_whoever_seeds_random(client, router_of):
    promoted(client, "served", small_model(3, seed=2), share=0.5)
    router = router_of()
    versions = []
    for _ in range(60):
        random.seed(0)
        versions.append(router.answer(BODY).version)
    assert set(versions) == {"1", "2"}


def test_limits_are_those_of_the_spec(router_of):
    router = router_of(f"{SPEC}[serving]\nmax_body = 100\nmax_rows = 1\n")
    assert router.answer(BODY).status == 200
    two = b'{"inputs":{"x0":[1,2],"x1":[1,2],"x2":[1,2]}}'
    assert b"at most 1 rows" in router.answer(two).body
    assert router.answer(b" " * 101).status == 413
    assert router.answer(None).status == 413


def test_a_long_body_is_not_read_to_its_end(app_of):
    app = app_of(f"{SPEC}[serving]\nmax_body = 100\n")
    status, _, body = ask(app, "/invocations", b" " * 101, content_type="application/json")
    assert status == 413
    assert b"more than 100 bytes" in body


def test_pages_say_how_it_goes(app_of):
    app = app_of()
    assert ask(app, "/invocations", BODY, content_type="application/json")[0] == 200
    assert ask(app, "/invocations", b"{}", content_type="application/json")[0] == 400
    assert json.loads(ask(app, "/health")[2])["champion"] == "1"
    assert ask(app, "/ready")[0] == 200
    metrics = ask(app, "/metrics")[2].decode()
    assert 'retrain_ops_serving_requests_total{status="200"} 1\n' in metrics
    assert 'retrain_ops_serving_requests_total{status="400"} 1\n' in metrics
    assert 'retrain_ops_serving_rows_total{arm="champion"} 1\n' in metrics
    assert "retrain_ops_serving_problem 0\n" in metrics
    assert "retrain_ops_serving_epoch 1\n" in metrics
    assert "retrain_ops_serving_seconds_count 2\n" in metrics


def test_a_model_that_cannot_be_trusted_does_not_serve(client, spec_of):
    name = next(name for name in client.server.artifacts if name.endswith("model.rtm"))
    whole = client.server.artifacts[name]

    def problem_of(spec):
        with closing(Router(spec, client=client)) as router:
            assert router.answer(BODY).status == 503
            return router.health()["problem"]

    client.server.artifacts[name] = small_model(3, seed=9).to_bytes()
    assert "not what was registered" in problem_of(spec_of())
    client.server.artifacts[name] = whole
    assert "the spec" in problem_of(spec_of(SPEC.replace(', "x2"', "")))
    client.set_model_version_tag("served", "1", "trainer", "mine.module:train")
    assert "mine.module:train" in problem_of(spec_of())


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
    answer, count, _ = answer_request(core_arms(model), body, csv=False, max_rows=4)
    assert count == 4
    assert json.loads(answer)["predictions"] == model.scores(rows).tolist()
    with pytest.raises(RequestError, match="column 'c' of row 1"):
        answer_request(core_arms(model), b'{"inputs": {"a": 1, "c": 1.5}}', csv=False, max_rows=1)


def test_the_page_asks_nobody_else_and_for_metrics_that_are_there(app_of):
    app = app_of()
    status, headers, page = ask(app, "/live")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    text = page.decode()
    assert set(re.findall(r"https?://[^\s\"']+", text)) == {"http://www.w3.org/2000/svg"}
    metrics = ask(app, "/metrics")[2].decode()
    named = set(re.findall(r"\b\w+(?:_total|_bucket)\b", text))
    assert len(named) > 5
    assert {name for name in named if f"retrain_ops_serving_{name}" not in metrics} == set()
    health = json.loads(ask(app, "/health")[2])
    assert set(re.findall(r"\bhealth\.(\w+)", text)) <= set(health)
