"""A person answers in Airflow 3.3: real scheduler and triggerer, MLflow, Slack's protocol, REST."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from devtools.servers.processes import PATIENCE_S, wait_until
from devtools.synthetic import FIRST, SPEC, write_days
from devtools.traces import open_toy
from tests.airflow.servers import Servers

BOOTSTRAP, DAY = FIRST + timedelta(days=17), FIRST + timedelta(days=36)
MODELS = ("approved", "rejected", "expired", "by_tag")

# The rollout half of the factory's DAG. Looks around come every 15 seconds instead of minutes: more
# of them, of four questions, would keep a loaded machine busy.
DAG_FILE = """\
from datetime import UTC, datetime, timedelta
from retrain_ops.airflow import ShadowTestOperator, approval
from retrain_ops.airflow.compat import DAG

approval._LOOK_EVERY = timedelta(seconds=15)
for name in {models!r}:
    with DAG(name, schedule=None, start_date=datetime(2020, 1, 1, tzinfo=UTC)) as dag:
        asks, promotes = approval.ApproveCandidateOperator, approval.PromoteAnsweredOperator
        first, second, third = (
            # 3.3 fails a task that is answered before its scheduler has seen it lie down, and
            # these are answered at once, each time they ask.
            operator(
                spec={folder!r} + "/toy.toml", workspace={folder!r} + "/workspace", model=name,
                n_threads=1, retries=20, retry_delay=timedelta(),
            )
            for operator in (ShadowTestOperator, asks, promotes)
        )
        first >> second >> third
    globals()[name] = dag
"""


@dataclass(frozen=True, slots=True)
class World:
    """Models whose candidates wait, and a run of each DAG that asks about one."""

    folder: Path
    servers: Servers
    runs: dict[str, str]

    def registry(self, model: str) -> Any:
        return open_toy(self.folder, model, DAY, self.servers.mlflow.url).registry

    def state_of(self, model: str, task: str) -> str:
        tasks = self.servers.airflow.tasks(model, self.runs[model])
        return str(tasks[task]["state"])

    def wait_for(self, model: str, task: str, state: str) -> None:
        wait_until(f"{task} of {model}", PATIENCE_S, lambda: self.state_of(model, task) == state)

    def answer(self, model: str, option: str) -> None:
        """As often as it is asked, until the answer has had its effect."""

        def done() -> bool:
            self.servers.airflow.answer(model, self.runs[model], "approval", option)
            state = self.state_of(model, "promote_champion")
            assert state not in ("failed", "upstream_failed"), self.state_of(model, "approval")
            return state == "success"

        wait_until(f"the effect of {option} on {model}", PATIENCE_S, done)

    def asked(self, model: str) -> list[str]:
        return self.servers.said("APPROVAL", model)


@pytest.fixture(scope="module")
def world(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> World:
    """All four questions at once; silence about one of them is over soon."""
    folder = tmp_path_factory.mktemp("approval")
    write_days(folder / "rows", 60, rule_changes=18, shift_from=18, shift=0.6)
    (folder / "toy.toml").write_text(SPEC + '\n[rollout]\napproval = "required"\n')
    for model in MODELS:
        _candidate_waits(folder, model, servers.mlflow.url)
    text = DAG_FILE.format(models=MODELS, folder=str(folder))
    servers.add_dags("approval", text, MODELS)
    world = World(folder, servers, {model: servers.trigger(model, DAY) for model in MODELS})
    for model in MODELS:
        world.wait_for(model, "approval", "awaiting_input")
    _asked_long_ago(world, "expired")
    return world


def _candidate_waits(folder: Path, model: str, tracking_uri: str) -> None:
    from retrain_ops.cli.command import EXIT_NOT_YET
    from retrain_ops.cli.main import run_day

    run_day(open_toy(folder, model, BOOTSTRAP, tracking_uri, bootstrap=True))
    output = run_day(open_toy(folder, model, DAY, tracking_uri))
    assert output["exit_code"] == EXIT_NOT_YET, output


def _asked_long_ago(world: World, model: str) -> None:
    """Its week of silence is over at the next look around."""
    from retrain_ops.registry.events import ASKED_AT_TAG, utc_text

    registry = world.registry(model)
    asked = datetime.now(UTC) - timedelta(days=7)
    registry.set_tag(registry.version("2"), ASKED_AT_TAG, utc_text(asked))


@pytest.fixture(scope="module")
def approved(world: World) -> datetime:
    """A person approves of one of them; when that began."""
    begun = datetime.now(UTC)
    world.answer("approved", "Approve")
    return begun


def test_approving_promotes_and_says_who_did(world: World, approved: datetime) -> None:
    registry = world.registry("approved")
    assert registry.snapshot().aliases == {"champion": "2", "previous": "1"}
    tags = registry.version("2").tags
    assert tags["retrain.approval"] == "approved"
    assert tags["retrain.approved_by"] == "Anonymous"  # the name of the simple auth manager's user
    assert tags["retrain.approved_at"] > f"{approved - timedelta(minutes=10):%Y-%m-%dT}"


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
        page = f"{world.servers.airflow.url}/dags/{model}/runs/"
        assert f"Answer: {page}" in text
        assert "/tasks/approval/required_actions" in text
        assert f"all rows: F1 {0:.0f}." in text


def test_when_nobody_waits_the_task_is_skipped(world: World, approved: datetime) -> None:
    run_id = world.servers.trigger("approved", DAY)
    assert world.servers.ended("approved", run_id) == "success"
    tasks = world.servers.airflow.tasks("approved", run_id)
    assert tasks["approval"]["state"] == "skipped"
    assert tasks["promote_champion"]["state"] == "success"
    assert len(world.asked("approved")) == 1
