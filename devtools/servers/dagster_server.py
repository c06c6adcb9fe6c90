"""A real Dagster: webserver, daemon and code server on SQLite, driven by GraphQL.

    with DagsterServer(python=..., home=..., definitions=...) as dagster:
        dagster.backfill(["toy", "day"], ["2013-08-12", "2013-08-13"])

Every process runs in a session of its own and is ended by its process group, so that the runs
that the daemon started go with it.
"""

from __future__ import annotations

import json
import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devtools.servers.processes import (
    HEALTHY_WITHIN_S,
    PATIENCE_S,
    ServerError,
    environment_python,
    free_port,
    launch,
    stop_group,
    wait_until,
)

SETTINGS = """\
telemetry: {enabled: false}
concurrency:
  pools: {granularity: run, default_limit: 1}
"""
WORKSPACE = """\
load_from:
  - python_file: {{relative_path: {path}, location_name: retrain}}
"""
RUN_FINAL = ("SUCCESS", "FAILURE", "CANCELED")
BACKFILL_FINAL = ("COMPLETED_SUCCESS", "COMPLETED_FAILED", "FAILED", "CANCELED", "COMPLETED")
# The daemon looks at its backfills every 30 s, and has no setting for that.
DAEMON = """
from dagster._daemon import controller
controller.DEFAULT_DAEMON_INTERVAL_SECONDS = 2
from dagster._daemon.cli import main
main()
"""
LOCATIONS = """
query { workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError {
  __typename ... on PythonError { message } } } } } }
"""
RUNS = """
query { runsOrError(limit: 200) { ... on Runs { results {
  runId jobName status startTime endTime tags { key value } } } } }
"""
BACKFILL = """
mutation($p: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $p) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message }
  ... on PartitionKeysNotFoundError { message } ... on InvalidSubsetError { message } } }
"""
BACKFILL_STATUS = """
query($id: String!) { partitionBackfillOrError(backfillId: $id) {
  ... on PartitionBackfill { status } } }
"""
LAUNCH = """
mutation($p: ExecutionParams!) { launchRun(executionParams: $p) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
  ... on RunConfigValidationInvalid { errors { message } } } }
"""
TERMINATE = """
mutation($id: String!) { terminateRun(runId: $id, terminatePolicy: SAFE_TERMINATE) {
  __typename ... on TerminateRunFailure { message } ... on PythonError { message } } }
"""


def dagster_python(environment: str = "dagster-1.13") -> Path:
    """The Python of the Dagster environment: as named by a variable, or made by our script."""
    return environment_python(environment, "RETRAIN_OPS_DAGSTER_PYTHON")


@dataclass(slots=True)
class DagsterServer:
    """One webserver and one daemon; `environment` reaches every run that they start.

    :param python: the interpreter of a Dagster environment
    :param home: folder for the database, logs and the workspace file
    :param definitions: Python file whose definitions are served
    :param environment: variables for the runs, such as `MLFLOW_TRACKING_URI`
    """

    python: Path
    home: Path
    definitions: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int = 0
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    seconds_to_healthy: float = 0.0

    def __enter__(self) -> DagsterServer:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def variables(self) -> dict[str, str]:
        """The whole environment of a process; under load the first run is slow to begin."""
        return {
            **os.environ,
            "DAGSTER_HOME": str(self.home),
            "DAGSTER_GRPC_TIMEOUT_SECONDS": "300",
            "PATH": f"{self.python.parent}{os.pathsep}{os.environ.get('PATH', '')}",
            **self.environment,
        }

    def start(self) -> None:
        """Returns when the definitions are served."""
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / "dagster.yaml").write_text(SETTINGS)
        workspace = self.home / "workspace.yaml"
        workspace.write_text(WORKSPACE.format(path=self.definitions))
        self.port = free_port()
        served = ("-m", "dagster_webserver", "-h", "127.0.0.1", "-p", str(self.port))
        for name, command in {"webserver": served, "daemon": ("-c", DAEMON, "run")}.items():
            self.processes[name] = launch(
                [self.python, *command, "-w", workspace],
                log=self.home / f"{name}.log",
                variables=self.variables(),
                cwd=self.home,
            )
        self.seconds_to_healthy = wait_until("Dagster", HEALTHY_WITHIN_S, self._healthy)

    def stop(self) -> None:
        """Ends webserver, daemon, code servers and runs."""
        for name in sorted(self.processes):
            stop_group(self.processes.pop(name))

    def log_of(self, name: str) -> str:
        """What the webserver or the daemon printed."""
        return (self.home / f"{name}.log").read_text(errors="replace")

    def graphql(self, query: str, **variables: Any) -> Any:
        """Ask the webserver; the one member of `data`.

        Raises `ServerError` when it answers with errors.
        """
        body = json.dumps({"query": query, "variables": variables}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/graphql", body, headers)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=120) as response:
            answer = json.load(response)
        if answer.get("errors"):
            raise ServerError(json.dumps(answer["errors"])[:3000])
        (found,) = answer["data"].values()
        if "message" in found or "errors" in found:
            raise ServerError(json.dumps(found)[:3000])
        return found

    def runs(self) -> list[dict[str, Any]]:
        """All runs, oldest first, with their tags as a mapping."""
        found = self.graphql(RUNS)["results"]
        return [{**r, "tags": {t["key"]: t["value"] for t in r["tags"]}} for r in reversed(found)]

    def launch_day(self, job: str, day: str, tags: Mapping[str, str] | None = None) -> str:
        """Starts the job's run of a partition; the run's id."""
        all_tags = {"dagster/partition": day, **(tags or {})}
        given = {
            "selector": {
                "repositoryName": "__repository__",
                "repositoryLocationName": "retrain",
                "jobName": job,
            },
            "executionMetadata": {"tags": [{"key": k, "value": v} for k, v in all_tags.items()]},
            "runConfigData": {},
        }
        return str(self.graphql(LAUNCH, p=given)["run"]["runId"])

    def wait_for_run(self, run_id: str, *, within_s: float = PATIENCE_S) -> dict[str, Any]:
        """The run in a final state."""

        def over() -> bool:
            return self.run(run_id)["status"] in RUN_FINAL

        wait_until(f"run {run_id}", within_s, over)
        return self.run(run_id)

    def run(self, run_id: str) -> dict[str, Any]:
        """A run as GraphQL shows it."""
        (found,) = (run for run in self.runs() if run["runId"] == run_id)
        return found

    def terminate(self, run_id: str) -> None:
        """Asks a run to end, as the button of the UI does."""
        self.graphql(TERMINATE, id=run_id)

    def backfill(
        self, asset: Sequence[str], days: Sequence[str], *, within_s: float = PATIENCE_S
    ) -> str:
        """Materializes these partitions of an asset; how the backfill ended."""
        given = {"assetSelection": [{"path": list(asset)}], "partitionNames": list(days)}
        name = str(self.graphql(BACKFILL, p=given)["backfillId"])

        def status() -> str:
            return str(self.graphql(BACKFILL_STATUS, id=name)["status"])

        wait_until(f"backfill {name}", within_s, lambda: status() in BACKFILL_FINAL)
        return status()

    def _healthy(self) -> bool:
        for name, process in self.processes.items():
            if process.poll() is not None:
                tail = self.log_of(name)[-3000:]
                raise ServerError(f"the {name} ended with {process.returncode}:\n{tail}")
        try:
            entries = self.graphql(LOCATIONS)["locationEntries"]
        except (urllib.error.URLError, OSError):
            return False
        loaded = [entry["locationOrLoadError"] or {} for entry in entries]
        for problem in (found["message"] for found in loaded if "message" in found):
            raise ServerError(f"the definitions do not load:\n{problem[-3000:]}")
        return bool(loaded) and all("__typename" in found for found in loaded)
