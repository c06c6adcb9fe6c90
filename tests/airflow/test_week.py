"""The same days through Airflow and through the command line: the same decisions, byte by byte.

Airflow runs the real steps here, in its own environment; the command line runs under the
development environment, whose numpy, pyarrow and pandas are other versions, with another
workspace, another tracking server and another team size.
"""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from devtools.servers.mlflow_server import MlflowServer, mlflow_python
from devtools.synthetic import FIRST, SPEC, write_days
from retrain_ops import MlflowClient
from tests.airflow.conftest import play
from tests.airflow.servers import REPO

BOOTSTRAP = FIRST + timedelta(days=17)
# Without drift, with drift and a challenger that takes over, and the day after it.
DAYS = tuple(FIRST + timedelta(days=d) for d in (18, 36, 37))
FILES = ("decision.json", "model.rtm", "reference.json", "evaluate.json", "check_drift.json")

DAG_FILE = """\
from retrain_ops.airflow import retraining_dag

dag = retraining_dag({spec!r}, dag_id="toy", retries=0, n_threads=1)
"""
BY_HAND = """\
from airflow import DAG
from retrain_ops.airflow import RollbackOperator, SetAliasOperator

with DAG("by_hand", schedule=None, start_date=None) as dag:
    (
        RollbackOperator(task_id="back", spec={spec!r})
        >> RollbackOperator(task_id="again", spec={spec!r})
        >> SetAliasOperator(task_id="name", spec={spec!r}, alias="audited", version="2")
        >> SetAliasOperator(task_id="champion", spec={spec!r}, alias="champion", version="2")
    )
"""


@dataclass(frozen=True, slots=True)
class Both:
    """Two workspaces over the same rows, and the server that Airflow wrote to."""

    spec: Path
    tracking_uri: str
    airflow: Path
    cli: Path
    states: dict[date, str]
    outcomes: dict[date, str]


def _cli(folder: Path, day: date, uri: str, *options: str) -> dict[str, Any]:
    done = subprocess.run(
        [
            *(str(_dev_python()), "-m", "retrain_ops.cli", "run", *options),
            *("--spec", str(folder / "toy.toml"), "--date", day.isoformat()),
            *("--threads", "7"),
        ],
        cwd=REPO,
        env={**os.environ, "MLFLOW_TRACKING_URI": uri, "RETRAIN_OPS_WORKSPACE": str(folder / "c")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _dev_python() -> Path:
    named = os.environ.get("RETRAIN_OPS_DEV_PYTHON")
    if named:
        return Path(named)
    command = [sys.executable, str(REPO / "tools" / "environments.py"), "dev"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Path(done.stdout.strip())


@pytest.fixture(scope="module")
def both(
    airflow_home: Path, mlflow_server: MlflowServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Both]:
    folder = tmp_path_factory.mktemp("both")
    write_days(folder / "rows", 60, rule_changes=18, shift_from=20, shift=0.6)
    (folder / "toy.toml").write_text(SPEC)
    dag_file = airflow_home / "dags" / "toy_dag.py"
    dag_file.write_text(DAG_FILE.format(spec=str(folder / "toy.toml")))
    with ExitStack() as stack:
        one = mlflow_server
        two = stack.enter_context(MlflowServer(folder / "mlflow", mlflow_python()))
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("MLFLOW_TRACKING_URI", one.url)
        patch.setenv("RETRAIN_OPS_WORKSPACE", str(folder / "a"))
        states = _through_airflow(dag_file)
        _cli(folder, BOOTSTRAP, two.url, "--bootstrap")
        outcomes = {day: _cli(folder, day, two.url)["outcome"] for day in DAYS}
        files = (folder / "a" / "toy", folder / "c" / "toy")
        yield Both(folder / "toy.toml", one.url, *files, states, outcomes)


def _through_airflow(dag_file: Path) -> dict[date, str]:
    dag = runpy.run_path(str(dag_file))["dag"]
    states = {}
    for day in (BOOTSTRAP, *DAYS):
        conf = {"bootstrap": True} if day == BOOTSTRAP else None
        instant = datetime(day.year, day.month, day.day, 2, tzinfo=UTC)
        states[day] = str(play(dag, instant, conf).state)
    return states


def test_every_run_is_green_and_a_challenger_took_over(both: Both) -> None:
    assert set(both.states.values()) == {"success"}
    assert list(both.outcomes.values())[:2] == ["no_train", "challenger"]


def test_the_decisions_are_the_same_bytes(both: Both) -> None:
    for day in (BOOTSTRAP, *DAYS):
        for name in FILES:
            one = both.airflow / f"window_end={day}" / name
            two = both.cli / f"window_end={day}" / name
            assert one.exists() == two.exists(), f"{day} {name}"
            if one.exists():
                assert one.read_bytes() == two.read_bytes(), f"{day} {name}"


def test_the_circumstances_are_kept_apart_from_the_content(both: Both) -> None:
    name = f"window_end={DAYS[1]}/run.json"
    one = json.loads((both.airflow / name).read_text())
    two = json.loads((both.cli / name).read_text())
    assert (one["orchestrator"], two["orchestrator"]) == ("airflow", "cli")
    assert one["logical_date"] == f"{DAYS[1]}T02:00:00+00:00"
    assert one["dag_run_id"]


def test_operators_give_champion_back_once_and_name_a_version_but_no_champion(
    both: Both, airflow_home: Path
) -> None:
    client = MlflowClient(both.tracking_uri)
    assert client.get_registered_model("toy").aliases == {"champion": "2", "previous": "1"}
    dag_file = airflow_home / "dags" / "by_hand.py"
    dag_file.write_text(BY_HAND.format(spec=str(both.spec)))
    day = DAYS[-1] + timedelta(days=1)
    run = play(
        runpy.run_path(str(dag_file))["dag"], datetime(day.year, day.month, day.day, 2, tzinfo=UTC)
    )
    states = {ti.task_id: str(ti.state) for ti in run.get_task_instances()}
    assert states.pop("champion") == "failed"
    assert states == {"back": "success", "again": "success", "name": "success"}
    aliases = client.get_registered_model("toy").aliases
    assert aliases["champion"] == "1"
    assert aliases["audited"] == "2"
