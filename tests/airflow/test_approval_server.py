"""A person answers in Airflow 3.3: real scheduler and triggerer, MLflow, Slack's protocol, REST."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from devtools.servers.airflow_server import AirflowServer, wait_until
from devtools.servers.mlflow_server import MlflowServer, mlflow_python
from devtools.servers.slack_server import SlackServer
from devtools.synthetic import FIRST, SPEC, write_days
from devtools.traces import open_toy
from tests.airflow.conftest import REPO

BOOTSTRAP, DAY = FIRST + timedelta(days=17), FIRST + timedelta(days=36)
WITHIN_S = 180.0
MODELS = ("approved", "rejected", "expired", "by_tag")

# The rollout half of the factory's DAG. Looks around come every 15 seconds instead of minutes: more
# of them, of four questions, would keep both workers of a loaded machine busy.
DAG_FILE = """\
from datetime import UTC, datetime, timedelta
from retrain_ops.airflow import ShadowTestOperator, approval
from retrain_ops.airflow.compat import DAG

approval._LOOK_EVERY = timedelta(seconds=15)
for name in {models!r}:
    with DAG(name, schedule=None, start_date=datetime(2020, 1, 1, tzinfo=UTC)) as dag:
        asks, promotes = approval.ApproveCandidateOperator, approval.PromoteAnsweredOperator
        first, second, third = (
            # 3.3 fails a task that is answered before its scheduler has seen it lie down.
            operator(spec={spec!r}, model=name, n_threads=1, retries=1, retry_delay=timedelta())
            for operator in (ShadowTestOperator, asks, promotes)
        )
        first >> second >> third
    globals()[name] = dag
"""
SETTINGS = {
    "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "120",
    "AIRFLOW__TRIGGERER__DEFAULT_CAPACITY": "10",
    "AIRFLOW__SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL": "1",
}


@dataclass(frozen=True, slots=True)
class World:
    """Models whose candidates wait, and a run of each DAG that asks about one."""

    folder: Path
    airflow: AirflowServer
    mlflow: MlflowServer
    slack: SlackServer
    runs: dict[str, str]

    def registry(self, model: str) -> Any:
        return open_toy(self.folder, model, DAY, self.mlflow.url).registry

    def state_of(self, model: str, task: str) -> str:
        return str(self.airflow.tasks(model, self.runs[model])[task]["state"])

    def wait_for(self, model: str, task: str, state: str) -> None:
        wait_until(f"{task} of {model}", WITHIN_S, lambda: self.state_of(model, task) == state)

    def answer(self, model: str, option: str) -> None:
        """As often as it is asked, until the answer has had its effect."""

        def done() -> bool:
            self.airflow.answer(model, self.runs[model], "approval", option)
            return self.state_of(model, "promote_champion") == "success"

        wait_until(f"the effect of {option} on {model}", WITHIN_S, done)

    def asked(self, model: str) -> list[str]:
        texts = [str(message["text"]) for message in self.slack.messages]
        return [text for text in texts if text.startswith(f"[APPROVAL] {model} ")]

    def trigger(self, model: str) -> str:
        body = {"logical_date": None, "conf": {"window_end": DAY.isoformat()}}
        return str(self.airflow.api("POST", f"/dags/{model}/dagRuns", body)["dag_run_id"])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("approval")
    write_days(folder / "rows", 60, rule_changes=18, shift_from=18, shift=0.6)
    (folder / "toy.toml").write_text(SPEC + '\n[rollout]\napproval = "required"\n')
    (folder / "dags").mkdir()
    text = DAG_FILE.format(models=MODELS, spec=str(folder / "toy.toml"))
    (folder / "dags" / "approval_dags.py").write_text(text)
    with ExitStack() as servers:
        mlflow = servers.enter_context(MlflowServer(folder / "mlflow", mlflow_python()))
        slack = servers.enter_context(SlackServer())
        for model in MODELS:
            _candidate_waits(folder, model, mlflow.url)
        environment = {
            **SETTINGS,
            "PYTHONPATH": str(REPO),
            "MLFLOW_TRACKING_URI": mlflow.url,
            "RETRAIN_OPS_WORKSPACE": str(folder / "workspace"),
            "SLACK_WEBHOOK_URL": slack.url,
        }
        airflow = servers.enter_context(
            AirflowServer(Path(sys.executable), folder / "airflow", folder / "dags", environment)
        )
        yield _asking(World(folder, airflow, mlflow, slack, {}))
    shutil.rmtree(folder / "airflow", ignore_errors=True)


def _candidate_waits(folder: Path, model: str, tracking_uri: str) -> None:
    from retrain_ops.cli.command import EXIT_NOT_YET
    from retrain_ops.cli.main import run_day

    run_day(open_toy(folder, model, BOOTSTRAP, tracking_uri, bootstrap=True))
    output = run_day(open_toy(folder, model, DAY, tracking_uri))
    assert output["exit_code"] == EXIT_NOT_YET, output


def _asking(world: World) -> World:
    """All four questions at once; silence about one of them is over soon."""
    from retrain_ops.registry.events import ASKED_AT_TAG, utc_text

    for model in MODELS:
        world.airflow.wait_for_dag(model)
        world.airflow.unpause(model)
    registry = world.registry("expired")
    asked = datetime.now(UTC) - timedelta(days=7) + timedelta(seconds=40)
    registry.set_tag(registry.version("2"), ASKED_AT_TAG, utc_text(asked))
    world.runs.update({model: world.trigger(model) for model in MODELS})
    for model in MODELS:
        world.wait_for(model, "approval", "awaiting_input")
    return world


def test_approving_promotes_and_says_who_did(world: World) -> None:
    world.answer("approved", "Approve")
    registry = world.registry("approved")
    assert registry.snapshot().aliases == {"champion": "2", "previous": "1"}
    tags = registry.version("2").tags
    assert tags["retrain.approval"] == "approved"
    assert tags["retrain.approved_by"] == "Anonymous"  # the name of the simple auth manager's user
    assert tags["retrain.approved_at"] > f"{datetime.now(UTC) - timedelta(minutes=10):%Y-%m-%dT}"


def test_rejecting_closes_the_candidate(world: World) -> None:
    world.answer("rejected", "Reject")
    registry = world.registry("rejected")
    assert registry.version("2").state == "rejected"
    assert registry.version("2").tags["retrain.rejected_by"] == "Anonymous"
    assert registry.snapshot().aliases == {"champion": "1"}


def test_a_tag_set_while_the_question_is_open_ends_the_wait(world: World) -> None:
    registry = world.registry("by_tag")
    registry.set_tag(registry.version("2"), "retrain.approval", "approved")
    world.wait_for("by_tag", "promote_champion", "success")
    assert registry.snapshot().aliases["champion"] == "2"


def test_silence_expires(world: World) -> None:
    world.wait_for("expired", "promote_champion", "success")
    registry = world.registry("expired")
    assert registry.version("2").state == "expired"
    assert "retrain.approval" not in registry.version("2").tags
    assert registry.snapshot().aliases == {"champion": "1"}


def test_slack_was_told_once_per_candidate_with_the_page_of_the_question(world: World) -> None:
    for model in MODELS:
        (text,) = world.asked(model)
        page = f"{world.airflow.url}/dags/{model}/runs/"
        assert f"Answer: {page}" in text
        assert "/tasks/approval/required_actions" in text
        assert f"all rows: F1 {0:.0f}." in text


def test_when_nobody_waits_the_task_is_skipped(world: World) -> None:
    world.runs["approved"] = world.trigger("approved")
    world.wait_for("approved", "promote_champion", "success")
    assert world.state_of("approved", "approval") == "skipped"
    assert len(world.asked("approved")) == 1
