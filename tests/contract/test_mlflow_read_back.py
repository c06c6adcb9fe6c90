"""MLflow's own Python client, in its own environment, reads what the C client wrote."""

from __future__ import annotations

import hashlib
import json
import subprocess

import pytest

pytestmark = pytest.mark.mlflow

READ = """
import hashlib, json, sys
import mlflow
from mlflow import MlflowClient
uri, run_id, model, alias, folder = sys.argv[1:]
mlflow.set_tracking_uri(uri)
client = MlflowClient()
run = client.get_run(run_id)
version = client.get_model_version_by_alias(model, alias)
local = mlflow.artifacts.download_artifacts(f"models:/{model}@{alias}", dst_path=folder)
names = sorted(f.path for f in client.list_artifacts(run_id, "model"))
print(json.dumps({
    "status": run.info.status, "end": run.info.end_time, "name": run.info.run_name,
    "metrics": run.data.metrics, "params": run.data.params, "tags": dict(run.data.tags),
    "history": [(m.step, m.value, m.timestamp) for m in client.get_metric_history(run_id, "f1")],
    "version": version.version, "version_tags": dict(version.tags),
    "aliases": list(version.aliases),
    "source": version.source, "version_run": version.run_id,
    "model_aliases": dict(client.get_registered_model(model).aliases),
    "files": names,
    "sha256": hashlib.sha256(open(local + "/model.rtm", "rb").read()).hexdigest(),
}))
"""


def test_mlflows_own_client_reads_what_ours_wrote(client, run, model, contract_server, tmp_path):
    data = bytes(range(256)) * 300
    client.log_batch(
        run.run_id,
        metrics=[("f1", 0.1, 5, 0), ("f1", 1 / 3, 6, 1)],
        params={"trees": "60"},
        tags={"dag_run_id": "scheduled__2013-08-14"},
    )
    client.upload_artifact(run, "model/MLmodel", b"flavors: {}\n")
    client.upload_artifact(run, "model/model.rtm", data)
    client.update_run(run.run_id, "FINISHED", 1_700_000_009_000)
    source = f"{run.artifact_uri}/model"
    client.create_model_version(model, source, run.run_id, {"k": "é"}, key_tag=("key", "1"))
    client.set_alias(model, "champion", "1")

    arguments = [contract_server.url, run.run_id, model, "champion", str(tmp_path)]
    done = subprocess.run(
        [str(contract_server.python), "-c", READ, *arguments],
        env=contract_server.variables(),
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    read = json.loads(done.stdout.splitlines()[-1])
    assert (read["status"], read["end"], read["name"]) == ("FINISHED", 1_700_000_009_000, "day")
    assert read["metrics"] == {"f1": 1 / 3}
    assert read["history"] == [[0, 0.1, 5], [1, 1 / 3, 6]]
    assert read["params"] == {"trees": "60"}
    assert read["tags"]["dag_run_id"] == "scheduled__2013-08-14"
    assert read["tags"]["retrain_key"] == "m/2013-08-14"
    assert (read["version"], read["version_tags"]) == ("1", {"k": "é", "key": "1"})
    assert (read["aliases"], read["model_aliases"]) == (["champion"], {"champion": "1"})
    assert (read["source"], read["version_run"]) == (source, run.run_id)
    assert read["files"] == ["model/MLmodel", "model/model.rtm"]
    assert read["sha256"] == hashlib.sha256(data).hexdigest()
