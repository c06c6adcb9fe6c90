"""Parsing a DAG file costs little and touches nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.airflow.conftest import REPO

# What an interpreter reads by itself: its libraries, time zones, and what Linux tells about itself.
_ALLOWED = ("/proc/", "/sys/", "/dev/", "/etc/", "/usr/", "/tmp/__none__")

_PARSE = """
    import json, sys, time
    import airflow.sdk  # Airflow's own imports are not what is measured

    opened, sockets = [], []

    def hook(event, arguments):
        if event.startswith("socket."):
            sockets.append(event)
        elif event == "open" and isinstance(arguments[0], (str, bytes)):
            opened.append(str(arguments[0]))

    before = set(sys.modules)
    sys.addaudithook(hook)
    start = time.perf_counter()
    import runpy
    namespace = runpy.run_path(sys.argv[1])
    seconds = time.perf_counter() - start
    modules = sorted(set(sys.modules) - before)
    print(json.dumps({
        "sockets": sockets, "opened": opened, "modules": modules, "seconds": seconds,
        "tasks": namespace["dag"].task_ids, "prefixes": [sys.prefix, sys.base_prefix],
    }))
"""


@pytest.fixture(scope="module")
def parsed(airflow_home: Path) -> dict[str, Any]:
    """The flights DAG file, executed in a fresh interpreter under an audit hook."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(_PARSE), str(REPO / "dags" / "flights_dag.py")],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def test_the_example_dag_imports_without_errors(airflow_home: Path) -> None:
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(dag_folder=str(REPO / "dags"), safe_mode=False)
    assert bag.import_errors == {}
    assert set(bag.dags) == {"flights_delay", "loans"}


def test_the_parse_opens_no_socket(parsed: dict[str, Any]) -> None:
    assert parsed["sockets"] == []


def test_the_parse_reads_only_code_of_the_package_and_the_dag_folder(
    parsed: dict[str, Any],
) -> None:
    allowed = (*_ALLOWED, *parsed["prefixes"], str(REPO / "retrain_ops"), str(REPO / "dags"))
    outside = [path for path in parsed["opened"] if not path.startswith(allowed)]
    assert outside == []
    data = [path for path in parsed["opened"] if path.endswith((".toml", ".parquet", ".csv"))]
    assert data == []


def test_the_parse_imports_no_numeric_library(parsed: dict[str, Any]) -> None:
    heavy = {"numpy", "pyarrow", "scipy", "pandas", "great_expectations", "sqlalchemy"}
    ours = {name for name in parsed["modules"] if name.startswith("retrain_ops.")}
    assert heavy.isdisjoint(name.partition(".")[0] for name in parsed["modules"])
    assert ours <= {
        "retrain_ops.airflow",
        *(
            f"retrain_ops.airflow.{m}"
            for m in ("callbacks", "compat", "context", "dag", "operators")
        ),
    }


def test_the_dag_has_the_ten_steps_and_a_watcher(parsed: dict[str, Any]) -> None:
    assert len(parsed["tasks"]) == 11


def test_importing_the_package_takes_milliseconds(airflow_home: Path) -> None:
    code = (
        "import time, sys; t = time.perf_counter(); import retrain_ops; "
        "print((time.perf_counter() - t) * 1000, int('airflow' in sys.modules))"
    )
    done = [
        subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
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
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    info = json.loads(done.stdout)
    assert info["package-name"] == "retrain-ops"

    import airflow
    import jsonschema

    schema = Path(airflow.__file__).with_name("provider_info.schema.json")
    jsonschema.validate(info, json.loads(schema.read_text()))
