"""The demo's week with models of other libraries: real rows, a real registry, other processes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from devtools.flights_week.places import SPEC, Places, chosen_week
from devtools.servers.mlflow_server import MlflowServer, mlflow_python
from devtools.trainers import predicted_alone, trained_again, with_train_table
from proofs.airflow_week import bootstrap_day, contents_of
from proofs.problem_weeks import by_command_line, counts
from retrain_ops.comparison.scoring import load_version
from retrain_ops.models.mlflow_flavor import MODEL_FILE
from retrain_ops.problems import BINARY
from retrain_ops.registry.events import Version
from retrain_ops.run import Run, open_run

TRAINERS = {
    "xgboost": ("xgboost", "n_estimators = 60\nmax_depth = 5\nlearning_rate = 0.12"),
    "lightgbm": ("lightgbm", "n_estimators = 60\nnum_leaves = 31\nlearning_rate = 0.12"),
    "forest": ("sklearn:RandomForestClassifier", "n_estimators = 60\nmax_depth = 12"),
    "pipeline": ("devtools.trainers:train_pipeline", "C = 0.5"),
}


def prove(folder: Path) -> dict[str, Any]:
    """Every day decided and decided again; every version read and trained by a new process."""
    found = {}
    with MlflowServer(folder / "mlflow", mlflow_python()) as mlflow:
        for name in TRAINERS:
            found[name] = _week(folder / name, name, mlflow.url)
            print(name, *found[name]["lines"], sep="\n  ", flush=True)
    return found


def _week(folder: Path, name: str, url: str) -> dict[str, Any]:
    spec, workspace, days = _spec(folder, name), folder / "workspace", chosen_week()
    ends = (bootstrap_day(days), *days)
    lines = by_command_line(url, workspace, spec, ends)
    before, contents = counts(url, f"week_{name}"), contents_of(workspace)
    by_command_line(url, workspace, spec, ends)
    run = open_run(spec, date=ends[0], workspace=str(workspace), tracking_uri=url)
    versions = {
        version.number: _version(run, version, spec, workspace)
        for version in run.registry.versions()
    }
    return {
        "lines": lines,
        "registry": before,
        "all_days_again": {
            "registry_equal": counts(url, f"week_{name}") == before,
            "files": len(contents),
            "equal_bytes": contents_of(workspace) == contents,
        },
        "versions": versions,
    }


def _spec(folder: Path, name: str) -> Path:
    """The example's, with another name, trainer and `[train]`."""
    trainer, train = TRAINERS[name]
    text = SPEC.read_text().replace('name = "flights_delay"', f'name = "week_{name}"')
    text = text.replace('trainer = "gbdt"', f'trainer = "{trainer}"')
    text = with_train_table(text, train)
    folder.mkdir(parents=True)
    path = folder / f"week_{name}.toml"
    path.write_text(text[: text.index("[publish]")])
    return path


def _version(run: Run, version: Version, spec: Path, workspace: Path) -> dict[str, Any]:
    """Scores of its window end's rows here and in a bare process; its bytes by a second one."""
    day, registered = version.window_end, workspace.parent / f"version_{version.number}"
    registered.mkdir()
    for name in (MODEL_FILE, "MLmodel"):
        data = run.client.download_artifact(version.source, name)
        (registered / name).write_bytes(data)
    loader = re.search(r"loader_module: (\S+)", (registered / "MLmodel").read_text())
    assert loader is not None
    rows = Places.default().source / f"day={day}" / "part-0.parquet"
    model = load_version(run, version)
    here = BINARY.scored(model, pq.read_table(rows), n_threads=1).scores.tolist()
    alone = predicted_alone(loader[1], registered / MODEL_FILE, rows)
    trained = trained_again(spec, workspace, day.isoformat())
    return {
        "window_end": day.isoformat(),
        "rows": len(here),
        "scores_equal_in_a_bare_process": alone == [score.hex() for score in here],
        "bytes_equal_in_a_second_process": trained == version.model_sha256,
    }
