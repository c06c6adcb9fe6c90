"""Connections: to the client as arguments, masked, tested; links and alerts from what they give."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest

from devtools.servers.slack_server import SECRET_PATH, SlackServer


class _Tracking(BaseHTTPRequestHandler):
    """The part of an MLflow server that the test button asks."""

    def do_GET(self) -> None:
        allowed = self.headers["Authorization"] in ("Basic YW5uOnMzY3JldA==", "Bearer t0ken")
        body = b"3.17.2" if allowed else b"no"
        self.send_response(200 if allowed else 401)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture
def tracking() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Tracking)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def _connection(monkeypatch: pytest.MonkeyPatch, name: str, **fields: Any) -> None:
    monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(fields))


@pytest.mark.parametrize(
    "rights", [{"login": "ann", "password": "s3cret"}, {"password": "t0ken"}], ids=["name", "token"]
)
def test_the_button_says_the_version_with_login_or_token(
    tracking: int, monkeypatch: pytest.MonkeyPatch, rights: dict[str, str]
) -> None:
    from retrain_ops.airflow import MlflowHook

    _connection(monkeypatch, "mine", conn_type="mlflow", host="127.0.0.1", port=tracking, **rights)
    before = dict(os.environ)
    ok, told = MlflowHook("mine").test_connection()
    assert (ok, told) == (True, f"MLflow 3.17.2 at http://127.0.0.1:{tracking}")
    assert dict(os.environ) == before
    assert rights["password"] not in repr(MlflowHook("mine").get_conn())


def test_the_button_says_what_is_wrong_and_no_secret(
    tracking: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from retrain_ops.airflow import MlflowHook

    _connection(
        monkeypatch, "mine", conn_type="mlflow", host=f"http://127.0.0.1:{tracking}", password="bad"
    )
    ok, told = MlflowHook("mine").test_connection()
    assert not ok
    assert "401" in told
    assert "bad" not in told


def test_a_task_uses_the_connections_it_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    from retrain_ops.airflow import TrainOperator

    spec = tmp_path / "toy.toml"
    spec.write_text(
        '[model]\nname = "toy"\n[source]\npath = "rows"\nlabel = "y"\n[features]\nnumeric = ["a"]\n'
    )
    _connection(monkeypatch, "mine", conn_type="mlflow", host="https://mlflow.example", port=5000)
    _connection(monkeypatch, "slack", conn_type="slackwebhook", password="T0/B0/key")
    task = TrainOperator(
        spec=str(spec), workspace=str(tmp_path), mlflow_conn_id="mine", slack_conn_id="slack"
    )
    dag_run = SimpleNamespace(conf={"window_end": "2020-02-06"}, run_type="manual", run_id="r")
    run = task.open_run({"dag_run": dag_run})
    assert run.client.tracking_uri == "https://mlflow.example:5000"
    assert run.webhook_url == "https://hooks.slack.com/services/T0/B0/key"
    assert "key" not in repr(run)


def test_the_notifier_posts_to_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    from retrain_ops.airflow import SlackNotifier

    with SlackServer() as slack:
        host = slack.url.removesuffix(SECRET_PATH)
        _connection(monkeypatch, "slack", conn_type="slackwebhook", host=host, password=SECRET_PATH)
        SlackNotifier(text="it failed", slack_conn_id="slack").notify({})
        assert [m["text"] for m in slack.messages] == ["it failed"]


def test_links_name_run_report_and_version_where_there_are_any() -> None:
    from retrain_ops.registry.links import links_of
    from retrain_ops.registry.registry import Registry

    record: dict[str, Any] = {"attempt": 1}
    client: Any = SimpleNamespace(tracking_uri="http://mlflow:5000")
    registry = Registry(client=client, name="toy")
    run: Any = SimpleNamespace(
        client=client, registry=registry, read=lambda name: record, path=lambda name: name
    )
    assert links_of(run, {}) == {}
    record |= {"mlflow_run_id": "r1", "mlflow_experiment_id": "7", "version": "3"}
    page = "http://mlflow:5000/#/experiments/7/runs/r1"
    assert links_of(run, {"candidate": "2"}) == {
        "mlflow_run": page,
        "report": f"{page}/artifacts/report.html",
        "model_version": "http://mlflow:5000/#/models/toy/versions/2",
    }
    assert links_of(run, {})["model_version"].endswith("/versions/3")


def test_airflow_lists_what_the_package_provides() -> None:
    from airflow.providers_manager import ProvidersManager

    manager = ProvidersManager()
    if "retrain-ops" not in manager.providers:
        pytest.fail("the environment has no retrain-ops: its entry point was not found")
    assert manager.hooks["mlflow"].hook_name == "MLflow"
    ours = {name for name in manager.extra_links_class_names if name.startswith("retrain_ops.")}
    assert {name.rpartition(".")[2] for name in ours} == {
        "MlflowRunLink",
        "ModelVersionLink",
        "ReportLink",
    }
    assert "retrain_ops.airflow.notifier.SlackNotifier" in manager.notification


def test_the_form_of_a_connection_has_our_labels_and_the_field_of_the_ca() -> None:
    from airflow.providers_manager import ProvidersManager

    manager = ProvidersManager()
    form = manager.field_behaviours["mlflow"]
    assert form["relabeling"]["host"] == "Tracking server"
    assert form["hidden_fields"] == ["extra"]
    assert form["placeholders"]["extra__mlflow__ca_path"] == "/etc/ssl/private-ca.pem"
    assert manager.connection_form_widgets["extra__mlflow__ca_path"].field_name == "ca_path"
