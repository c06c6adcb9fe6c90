"""Parsing a DAG file costs little and touches nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from devtools.pages import blocks
from tests.airflow.conftest import AIRFLOW_3
from tests.airflow.servers import REPO

# What an interpreter reads by itself: its libraries, time zones, and what Linux tells about itself.
_ALLOWED = ("/proc/", "/sys/", "/dev/", "/etc/", "/usr/", "/tmp/__none__")

_DAG_FILE = """\
from retrain_ops.airflow import (
    SlackNotifier, drift_monitor_dag, learning_dag, performance_monitor_dag, retraining_dag,
    rollout_dag
)

SPEC = "/nowhere/flights.toml"
told = {"on_failure_callback": SlackNotifier(slack_conn_id="slack")}
nightly = retraining_dag(SPEC, mlflow_conn_id="mlflow", slack_conn_id="slack", default_args=told)
weekly = retraining_dag(SPEC, dag_id="weekly", schedule="0 2 * * 1", segments=("eu", "us"))
learning = learning_dag(SPEC)
rollout = rollout_dag(SPEC)
drift = drift_monitor_dag(SPEC)
performance = performance_monitor_dag(SPEC, segments=("eu", "us"))
"""


@pytest.fixture(scope="module")
def parsed(airflow_home: Path) -> dict[str, Any]:
    """A DAG file with every factory, executed in a fresh interpreter under an audit hook."""
    dag_file = airflow_home / "dags" / "all_dags.py"
    dag_file.write_text(_DAG_FILE)
    done = subprocess.run(
        [sys.executable, str(REPO / "devtools" / "parse_cost.py"), str(dag_file)],
        cwd=airflow_home,
        check=True,
        capture_output=True,
        text=True,
        timeout=600,
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def test_the_example_dag_imports_without_errors(airflow_home: Path) -> None:
    if AIRFLOW_3:
        from airflow.dag_processing.dagbag import DagBag
    else:
        from airflow.models.dagbag import DagBag

    bag = DagBag(dag_folder=str(REPO / "dags"), safe_mode=False)
    assert bag.import_errors == {}
    assert set(bag.dags) == {"flights_delay", "flights_learn", "loans"}


def test_the_parse_opens_no_socket(parsed: dict[str, Any]) -> None:
    assert parsed["sockets"] == []


def test_the_parse_reads_only_code_of_the_package_and_the_dag_folder(
    parsed: dict[str, Any], airflow_home: Path
) -> None:
    # Airflow 2 looks for plugins of its own accord when a DAG has a timetable.
    home = [str(airflow_home / name) for name in ("dags", "plugins", "config")]
    # A warning of Airflow's shows the line that it blames, which may be the measuring script's.
    home.append(str(REPO / "devtools" / "parse_cost.py"))
    allowed = (*_ALLOWED, *parsed["prefixes"], str(REPO / "retrain_ops"), *home)
    outside = [path for path in parsed["opened"] if not path.startswith(allowed)]
    assert outside == []
    data = [path for path in parsed["opened"] if path.endswith((".toml", ".parquet", ".csv"))]
    assert data == []


def test_the_parse_imports_no_numeric_library(parsed: dict[str, Any]) -> None:
    heavy = {"numpy", "pyarrow", "scipy", "pandas", "great_expectations", "slack_sdk"}
    heavy |= {"sqlalchemy"} if AIRFLOW_3 else set()  # 2.x has loaded it already
    ours = {name for name in parsed["modules"] if name.startswith("retrain_ops.")}
    assert heavy.isdisjoint(name.partition(".")[0] for name in parsed["modules"])
    assert ours <= {
        "retrain_ops.airflow",
        *(
            f"retrain_ops.airflow.{m}"
            for m in (
                *("base", "callbacks", "compat", "context", "dag_options", "dags"),
                *("links", "monitor_operators", "notifier", "operators", "provider"),
            )
        ),
    }


def test_every_factory_builds_its_tasks(parsed: dict[str, Any]) -> None:
    found = {name: len(tasks) for name, tasks in parsed["dags"].items()}
    assert found == {
        "flights": 11,
        "weekly": 11,
        "flights_learn": 11,
        "flights_rollout": 3,
        "flights_drift": 1,
        "flights_performance": 1,
    }


def test_importing_the_package_takes_milliseconds(airflow_home: Path) -> None:
    code = (  # of the processor: a busy machine lets everybody wait
        "import time, sys; t = time.process_time(); import retrain_ops; "
        "print((time.process_time() - t) * 1000, int('airflow' in sys.modules))"
    )
    done = [
        subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=600
        ).stdout.split()
        for _ in range(3)
    ]
    milliseconds = min(float(ms) for ms, _ in done)
    print(f"import retrain_ops: {milliseconds:.1f} ms")
    assert milliseconds < 100
    assert {flag for _, flag in done} == {"0"}


def test_the_provider_metadata_fits_airflows_schema_and_imports_no_airflow(
    airflow_home: Path,
) -> None:
    code = (
        "import sys, json; from retrain_ops.airflow.provider import get_provider_info; "
        "assert 'airflow' not in sys.modules; print(json.dumps(get_provider_info()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=600
    )
    info = json.loads(done.stdout)
    assert info["package-name"] == "retrain-ops"

    import airflow
    import jsonschema

    schema = Path(airflow.__file__).with_name("provider_info.schema.json")
    jsonschema.validate(info, json.loads(schema.read_text()))


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial.md"])
def test_the_dag_of_a_page_has_all_steps(page: str, airflow_home: Path) -> None:
    texts = [b.text for b in blocks(REPO / page) if b.language == "python"]
    (text,) = [text for text in texts if "retraining_dag(\n" in text]
    names: dict[str, Any] = {}
    exec(compile(text, page, "exec"), names)
    assert {"check_drift", "promote_champion", "summarise"} <= set(names["dag"].task_ids)
