"""The tag way through `dag.test()`, on every Airflow: approved, rejected, expired, nobody waits.

Real steps on synthetic rows, against a registry in this process.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from devtools.doubles.registry_server import Client, Server
from devtools.servers.slack_server import SlackServer
from devtools.synthetic import FIRST, SPEC, bootstrap, same_process_run, write_days

BOOTSTRAP, DAY = FIRST + timedelta(days=17), FIRST + timedelta(days=36)
TOY = SPEC + '\n[rollout]\napproval = "required"\n'
NUMBERS = itertools.count()
LONG_AGO = datetime.now(UTC) - timedelta(days=8)


@dataclass(frozen=True, slots=True)
class World:
    """A champion, and rows whose rule has changed since."""

    folder: Path
    server: Server
    slack: SlackServer

    def play(self, dag_folder: Path, day: date) -> dict[str, str]:
        """One day of the factory's DAG; the states of its tasks."""
        from retrain_ops.airflow import retraining_dag
        from retrain_ops.airflow.compat import AIRFLOW_3

        # A second run of one date would be cleared first, for which 2.11 needs its users' tables.
        spec, name = str(self.folder / "toy.toml"), f"toy_{next(NUMBERS)}"
        arguments: dict[str, Any] = {
            "dag_id": name,
            "model": "toy",
            "retries": 0,
            "approval": "tag",
            "default_args": {"poke_interval": 0.0},
        }
        text = f"dag = retraining_dag({spec!r}, **{arguments!r})\n"
        text = "from retrain_ops.airflow import retraining_dag\n" + text
        (dag_folder / f"{name}.py").write_text(text)
        dag = retraining_dag(spec, **arguments)
        key = "logical_date" if AIRFLOW_3 else "execution_date"
        instant = datetime(day.year, day.month, day.day, 2, tzinfo=UTC)
        finished = dag.test(**{key: instant})
        assert str(finished.state) == "success"
        return {ti.task_id: str(ti.state) for ti in finished.get_task_instances()}

    def tags(self) -> dict[str, str]:
        return dict(self.server.versions["toy", "2"].tags)


@pytest.fixture
def world(airflow_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    from retrain_ops.airflow import base

    monkeypatch.setattr(base, "_WAIT_AT_LEAST", timedelta(seconds=1))
    server = Server()
    write_days(tmp_path / "rows", 40, rule_changes=18, shift_from=18, shift=0.6)
    (tmp_path / "toy.toml").write_text(TOY)
    bootstrap(tmp_path, Client(server), BOOTSTRAP, spec=TOY)
    opened = same_process_run(Client(server), tmp_path)
    monkeypatch.setenv("RETRAIN_OPS_WORKSPACE", str(tmp_path / "workspace"))
    with SlackServer() as slack:
        monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.url)
        monkeypatch.setattr("retrain_ops.run.open_run", _opening(opened))
        yield World(tmp_path, server, slack)


def _opening(opened: Callable[..., Any]) -> Callable[..., Any]:
    """What the operators call, with the arguments that a run in this process needs."""

    def open_run(spec: str, **given: Any) -> Any:
        return opened(
            Path(spec), date=given["date"], model=given["model"], context=given["context"]
        )

    return open_run


@contextmanager
def when_asked(world: World, key: str, value: str) -> Iterator[None]:
    """Sets a tag of version 2 as soon as somebody was asked about it."""
    from retrain_ops.registry.events import ASKED_AT_TAG

    ended = threading.Event()

    def answer() -> None:
        while not ended.wait(0.05):
            known = world.server.versions.get(("toy", "2"))
            if known is not None and ASKED_AT_TAG in known.tags:
                Client(world.server).set_model_version_tag("toy", "2", key, value)
                return

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(10)


def test_an_approved_candidate_takes_over_and_the_next_day_asks_nobody(
    world: World, airflow_home: Path
) -> None:
    from retrain_ops.registry.events import APPROVAL_TAG

    with when_asked(world, APPROVAL_TAG, "approved"):
        states = world.play(airflow_home / "dags", DAY)
    assert states["approval"] == states["promote_champion"] == "success"
    assert world.server.models["toy"].aliases == {"champion": "2", "previous": "1"}
    assert world.tags()["retrain.approved_by"] == "unnamed"
    asked = [m["text"] for m in world.slack.messages if m["text"].startswith("[APPROVAL]")]
    assert len(asked) == 1
    assert f"toy {DAY}: version 2 passed its shadow" in asked[0]
    states = world.play(airflow_home / "dags", DAY + timedelta(days=1))
    assert states["approval"] == "skipped"
    assert states["promote_champion"] == states["watch_canary"] == "success"
    asked = [m["text"] for m in world.slack.messages if m["text"].startswith("[APPROVAL]")]
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("key", "value", "state"),
    [
        ("retrain.approval", "rejected", "rejected"),
        ("retrain.approval_asked_at", f"{LONG_AGO:%Y-%m-%dT%H:%M:%SZ}", "expired"),
    ],
)
def test_a_candidate_that_is_not_approved_is_closed_and_the_champion_stays(
    world: World, airflow_home: Path, key: str, value: str, state: str
) -> None:
    with when_asked(world, key, value):
        states = world.play(airflow_home / "dags", DAY)
    assert states["approval"] == states["promote_champion"] == "success"
    assert world.tags()["retrain.state"] == state
    assert world.server.models["toy"].aliases == {"champion": "1"}


def test_below_3_1_the_question_is_the_tag(airflow_home: Path) -> None:
    from retrain_ops.airflow import retraining_dag
    from retrain_ops.airflow.compat import HITL

    for approval, kind in (("tag", "ApprovalSensor"), ("hitl", "ApproveCandidateOperator")):
        dag = retraining_dag("s.toml", approval=approval)  # type: ignore[arg-type]
        task = dag.get_task("approval")
        assert type(task).__name__ == (kind if HITL else "ApprovalSensor")
        assert task.upstream_task_ids == {"shadow_test"}
        assert task.downstream_task_ids == {"promote_champion"}


def test_a_run_beside_the_one_that_asks_leaves_the_candidate_alone(airflow_home: Path) -> None:
    from retrain_ops.airflow.approval import PromoteAnsweredOperator
    from retrain_ops.airflow.compat import AirflowSkipException

    with pytest.raises(AirflowSkipException, match="waits for approval"):
        PromoteAnsweredOperator(spec="s")._wait(datetime.now(UTC))
