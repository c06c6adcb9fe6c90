"""MLflow's own Python client, in its own environment, reads what the C client wrote."""

from __future__ import annotations

import hashlib
import json
import subprocess
from datetime import date

import pytest

from devtools.synthetic import SPEC, toy_run
from retrain_ops.errors import ConfigError
from retrain_ops.mlflow.tracking import log_run
from retrain_ops.mlflow.types import LONGEST_PARAM, LONGEST_TAG

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

METRICS = """
import json, sys
import mlflow
from mlflow import MlflowClient
uri, run_id = sys.argv[1:]
mlflow.set_tracking_uri(uri)
client = MlflowClient()
run = client.get_run(run_id)
print(json.dumps({"metrics": run.data.metrics, "model_sha256": run.data.tags["model_sha256"]}))
"""


def read_by_mlflow(contract_server, script, *arguments):
    done = subprocess.run(
        [str(contract_server.python), "-c", script, contract_server.url, *arguments],
        env=contract_server.variables(),
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_mlflows_own_client_shows_the_newest_attempt(client, fresh, contract_server, tmp_path):
    """After a fix the value is the new one, smaller or larger, and the first one after another."""
    spec = SPEC.replace('name = "toy"', f'name = "{fresh("toy")}"')
    day = toy_run(tmp_path, client, date(2020, 2, 6), spec=spec)
    attempts = (("a", 0.9, 5), ("b", 0.4, 3), ("b", 0.4, 3), ("a", 0.9, 5), ("c", 0.95, 1))
    ids = set()
    for digest, f1, rounds in attempts:
        logged = log_run(
            day,
            hashes={"model_sha256": digest},
            params={"seed": "1"},
            metrics={"f1_challenger": f1},
            history={"oof_log_loss": [f1 / step for step in range(1, rounds + 1)]},
            files={"model/model.rtm": digest.encode()},
        )
        ids.add(logged.run_id)
        read = read_by_mlflow(contract_server, METRICS, logged.run_id)
        assert read["model_sha256"] == digest
        assert read["metrics"] == {"f1_challenger": f1, "oof_log_loss": f1 / rounds}
    assert len(ids) == 1


@pytest.mark.parametrize("name", ["a%20b.txt", "x%2Fy.txt", "%41.txt"])
def test_no_upload_lands_under_another_name(client, run, name):
    client.upload_artifact(run, "a b.txt", b"first")
    with pytest.raises(ConfigError):
        client.upload_artifact(run, name, b"second")
    assert [a.path for a in client.list_artifacts(run)] == ["a b.txt"]
    assert client.download_artifact(run, "a b.txt") == b"first"


def test_the_longest_values_are_kept_whole_and_longer_ones_refused(client, run):
    longest = {"params": {"p": "é" * LONGEST_PARAM}, "tags": {"t": "é" * LONGEST_TAG}}
    client.log_batch(run.run_id, **longest)
    kept = client.get_run(run.run_id)
    assert kept.params["p"] == longest["params"]["p"]
    assert kept.tags["t"] == longest["tags"]["t"]
    for what, pairs in longest.items():
        with pytest.raises(ConfigError):
            client.log_batch(run.run_id, **{what: {k: v + "x" for k, v in pairs.items()}})


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
    client.set_registered_model_alias(model, "champion", "1")

    arguments = [run.run_id, model, "champion", str(tmp_path)]
    read = read_by_mlflow(contract_server, READ, *arguments)
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
