"""A Dagster instance in memory, and steps whose outcome the test decides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from devtools.doubles.steps import SPEC, Recorder

# This folder is run by the Dagster environment's own pytest; the others cannot import it.
if find_spec("dagster") is None:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Any]:
    """An instance in memory: every event on a disk is a sync. `test_backfill` has a real home."""
    import dagster as dg

    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path / "dagster")) as found:
        yield found


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    import retrain_ops.dagster.sensors
    import retrain_ops.dagster.steps

    recorder = Recorder()
    monkeypatch.setattr(retrain_ops.dagster.steps, "run_step", recorder.run_step)
    for module in (retrain_ops.dagster.steps, retrain_ops.dagster.sensors):
        monkeypatch.setattr(module, "alert_failure", recorder.alert_failure)
    return recorder


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    """Arguments of the factory for a world that only the recorder sees."""
    (tmp_path / "toy.toml").write_text(SPEC)
    return {
        "spec": tmp_path / "toy.toml",
        "workspace": str(tmp_path / "workspace"),
        "tracking_uri": "http://127.0.0.1:9",
        "retries": 0,
        "retry_delay_seconds": 0,
    }


@pytest.fixture
def run_day(instance: Any) -> Callable[..., Any]:
    """Runs the day's job of some definitions in this process; its result."""

    def run(options: dict[str, Any], day: object, job: str = "retrain_toy", **given: Any) -> Any:
        from retrain_ops.dagster import retraining_assets

        defined = retraining_assets(**options).resolve_job_def(job)
        partition = {"partition_key": str(day)} if day else {}
        return defined.execute_in_process(
            instance=instance, raise_on_error=False, **partition, **given
        )

    return run
