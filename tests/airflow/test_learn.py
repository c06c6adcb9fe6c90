"""A model that learns day by day under Airflow: the command line's bytes, and each day once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from devtools.doubles.registry_server import Client, Server
from devtools.synthetic import FIRST, SPEC, files_of, toy_run, write_days
from devtools.worlds import LEARN
from tests.airflow.conftest import play

BOOTSTRAP = FIRST + timedelta(days=17)
DAY = BOOTSTRAP + timedelta(days=3)
TOY = LEARN.replace('name = "toy"', 'name = "learner"')
FILES = ("decision.json", "model.rtm", "reference.json", "check_drift.json")


@pytest.fixture
def learnt(
    airflow_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Path, Server, Any]]:
    """Two days through the DAG: the folder, the registry, and how to run a day."""
    import retrain_ops.run
    from retrain_ops.airflow import learning_dag

    server = Server()
    monkeypatch.setattr(retrain_ops.run, "MlflowClient", lambda *_: Client(server))
    write_days(tmp_path / "rows", 25)
    (tmp_path / "toy.toml").write_text(TOY)
    text = "from retrain_ops.airflow import learning_dag\ndag = learning_dag({!r}, **{!r})\n"
    options = {"workspace": str(tmp_path / "airflow"), "dag_id": "learner", "retries": 0}
    dag_file = airflow_home / "dags" / "learner_dag.py"
    dag_file.write_text(text.format(str(tmp_path / "toy.toml"), options))

    def run(day: date, **conf: Any) -> str:
        dag = learning_dag(str(tmp_path / "toy.toml"), **options)
        return str(play(dag, datetime(day.year, day.month, day.day, 2, tzinfo=UTC), conf).state)

    assert run(BOOTSTRAP, bootstrap=True) == "success"
    assert run(DAY) == "success"
    yield tmp_path, server, run
    dag_file.unlink()


def test_its_days_are_the_command_lines_and_again_change_nothing(
    learnt: tuple[Path, Server, Any],
) -> None:
    from retrain_ops.cli.main import run_day
    from retrain_ops.run import RunContext

    folder, server, run = learnt
    client = Client(Server())
    for day in (BOOTSTRAP, DAY):
        context = RunContext(forced=True, bootstrap=day == BOOTSTRAP)
        run_day(toy_run(folder, client, day, spec=TOY, workspace="cli", context=context))

    def content(workspace: str) -> dict[str, bytes]:
        found = files_of(folder / workspace, FILES)
        states = (folder / workspace / "learner" / "online").rglob("*.rtm")
        return found | {path.name: path.read_bytes() for path in states}

    known = content("airflow")
    assert known == content("cli")
    decision = json.loads(known[f"learner/window_end={DAY}/decision.json"])
    assert decision["drift"]["reason"] == "forced"
    assert len([name for name in known if name[:2] == "20"]) == 4  # the first batch, three days
    counts = len(server.versions), len(server.runs)
    assert run(DAY) == "success"
    assert content("airflow") == known
    assert (len(server.versions), len(server.runs)) == counts


def test_a_spec_that_does_not_learn_is_refused(tmp_path: Path) -> None:
    from retrain_ops.airflow import LearnOperator
    from retrain_ops.errors import ConfigError

    run = toy_run(tmp_path, Client(Server()), DAY, spec=SPEC)
    with pytest.raises(ConfigError, match=r"\[learn\]: is missing: only a spec with it learns"):
        LearnOperator(spec="toy.toml").act(run, {})
