"""What parsing a DAG file costs in a fresh interpreter, as JSON: run by an Airflow environment.

    python devtools/parse_cost.py DAG_FILE

Sockets and opened files are those of an audit hook; modules are those that Airflow had not loaded.
"""

from __future__ import annotations

import json
import runpy
import sys
import time
from typing import Any

try:  # Airflow's own imports are not what is measured
    import airflow.sdk
except ImportError:
    import airflow.decorators
    import airflow.models.dag
    import airflow.notifications.basenotifier
    import airflow.operators.empty
    import airflow.timetables.datasets  # noqa: F401


def measure(dag_file: str) -> dict[str, Any]:
    """Runs the file once."""
    opened: list[str] = []
    sockets: list[str] = []

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith("socket."):
            sockets.append(event)
        elif event == "open" and isinstance(arguments[0], str | bytes):
            opened.append(str(arguments[0]))

    before = set(sys.modules)
    sys.addaudithook(hook)
    start = time.perf_counter()
    namespace = runpy.run_path(dag_file)
    seconds = time.perf_counter() - start
    dags = [v for v in namespace.values() if hasattr(v, "task_ids") and not isinstance(v, type)]
    return {
        "sockets": list(sockets),
        "opened": list(opened),
        "modules": sorted(set(sys.modules) - before),
        "seconds": seconds,
        "dags": {dag.dag_id: dag.task_ids for dag in dags},
        "prefixes": [sys.prefix, sys.base_prefix],
    }


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1])))
