"""A day through the steps against a real server, read back by MLflow's own client.

The reading process never trained: it loads `models:/toy@champion` through the
python_function flavour and must predict the same bits.
"""

from __future__ import annotations

import json
import os
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from devtools.servers.mlflow_server import MlflowServer, mlflow_python
from devtools.synthetic import FIRST, SPEC, bootstrap, toy_run, write_days
from devtools.trainers import with_train_table
from retrain_ops import MlflowClient
from retrain_ops.cli.main import run_day
from retrain_ops.models import load_model

ROOT = Path(__file__).resolve().parents[2]
NAME = "served_toy"
BOOTSTRAP, CHANGED = FIRST + timedelta(days=17), FIRST + timedelta(days=36)

READER = """
import json, sys
import mlflow, pandas
frame = pandas.read_parquet(sys.argv[1])
model = mlflow.pyfunc.load_model(f"models:/{sys.argv[2]}@champion")
client = mlflow.MlflowClient()
version = client.get_model_version_by_alias(sys.argv[2], "champion")
run = client.get_run(version.run_id)
artifacts = [f.path for f in client.list_artifacts(run.info.run_id)]
folder = version.source.partition("/artifacts/")[2]
inside = [f.path.removeprefix(folder + "/")
          for f in client.list_artifacts(run.info.run_id, folder)]
print(json.dumps({
    "scores": [s.hex() for s in model.predict(frame).tolist()],
    "version": version.version,
    "version_tags": version.tags,
    "run_tags": run.data.tags,
    "metrics": run.data.metrics,
    "status": run.info.status,
    "artifacts": sorted(artifacts + inside),
    "inputs": model.metadata.signature.inputs.to_dict(),
    "outputs": model.metadata.signature.outputs.to_dict(),
    "requirements": open(
        mlflow.artifacts.download_artifacts(f"models:/{sys.argv[2]}@champion/requirements.txt")
    ).read().split(),
    "aliases": client.get_registered_model(sys.argv[2]).aliases,
}))
"""


@pytest.fixture(scope="module")
def day(mlflow_server: MlflowServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bootstrap and a promotion."""
    folder = tmp_path_factory.mktemp("served")
    write_days(folder / "rows", 40, rule_changes=18, shift_from=18, shift=0.6)
    spec = SPEC.replace('name = "toy"', f'name = "{NAME}"')
    client = MlflowClient(mlflow_server.url)
    bootstrap(folder, client, BOOTSTRAP, spec=spec)
    output = run_day(toy_run(folder, client, CHANGED, spec=spec))
    assert output["outcome"] == "challenger", output
    return folder


@pytest.fixture(scope="module")
def read(day: Path, mlflow_server: MlflowServer) -> dict[str, Any]:
    """What MLflow's own client says, from its own environment."""
    return read_by_mlflow(mlflow_server, day, NAME)


def read_by_mlflow(mlflow_server: MlflowServer, folder: Path, name: str) -> dict[str, Any]:
    done = subprocess.run(
        [str(mlflow_python()), "-c", READER, str(rows_file(folder)), name],
        env={**os.environ, "MLFLOW_TRACKING_URI": mlflow_server.url, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def rows_file(folder: Path) -> Path:
    return folder / "rows" / f"day={CHANGED}" / "part-0.parquet"


def test_a_process_that_never_trained_predicts_the_same_bits(day, read):
    run = toy_run(day, None, CHANGED, spec=SPEC.replace('"toy"', f'"{NAME}"'))
    model = load_model(run.workspace.read(run.path("model.rtm")) or b"")
    expected = model.scores(pq.read_table(rows_file(day)), n_threads=7)
    assert len(np.unique(expected)) > 10
    assert read["scores"] == [s.hex() for s in expected.tolist()]


def test_mlflow_reads_a_forest_of_scikit_learn_too(mlflow_server, tmp_path):
    write_days(tmp_path / "rows", 40)
    named = 'name = "served_forest"\ntrainer = "sklearn:RandomForestClassifier"'
    spec = SPEC.replace('name = "toy"', named)
    spec = with_train_table(spec, "n_estimators = 10\nmax_depth = 5")
    run = bootstrap(tmp_path, MlflowClient(mlflow_server.url), CHANGED, spec=spec)
    model = load_model(run.workspace.read(run.path("model.rtm")) or b"")
    scores = model.scores(pq.read_table(rows_file(tmp_path)))
    found = read_by_mlflow(mlflow_server, tmp_path, "served_forest")
    assert found["scores"] == [s.hex() for s in scores.tolist()]


def test_the_run_says_which_day_it_is(read):
    tags = read["run_tags"]
    assert tags["retrain_key"] == f"{NAME}/{CHANGED}"
    assert tags["execution_date"] == CHANGED.isoformat()
    assert tags["logical_date"]
    assert tags["dag_run_id"]
    for name in ("data_sha256", "spec_sha256", "model_sha256"):
        assert len(tags[name]) == 64
    assert read["status"] == "FINISHED"
    assert read["metrics"]["f1_challenger"] > read["metrics"]["f1_champion"]


def test_version_aliases_and_artefacts_are_where_mlflow_looks(read):
    assert read["aliases"] == {"champion": "2", "previous": "1"}
    assert read["version"] == "2"
    assert read["version_tags"]["retrain.canary_share"] == "0.1"
    assert {"decision.json", "MLmodel", "model.rtm", "reference.json"} <= set(read["artifacts"])


def test_mlflow_knows_the_columns_and_what_a_server_needs(read):
    assert read["inputs"] == [
        {"name": "a", "required": True, "type": "double"},
        {"name": "b", "required": True, "type": "double"},
        {"name": "c", "required": True, "type": "string"},
    ]
    assert read["outputs"] == [
        {"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1]}}
    ]
    assert [line.partition("==")[0] for line in read["requirements"]] == [
        "retrain-ops", "numpy", "pyarrow", "scipy",
    ]  # fmt: skip
    assert {"requirements.txt", "python_env.yaml"} <= set(read["artifacts"])
