"""Experiments, runs and artefacts on a real MLflow server."""

from __future__ import annotations

import math

import pytest

from retrain_ops import MlflowClient
from retrain_ops.errors import ConfigError, ConflictError, RemoteError

pytestmark = pytest.mark.mlflow


def test_the_server_tells_its_version_and_health(client, contract_server):
    assert client.server_version().startswith(contract_server.version)
    assert client.health() is True


def test_a_missing_experiment_is_none(client):
    assert client.get_experiment_by_name("nobody made this") is None


def test_an_experiment_keeps_its_name_and_tags(client, fresh):
    name = fresh("a name with spaces / and é")
    made = client.create_experiment(name, tags={"owner": "tests", "empty": ""})
    found = client.get_experiment_by_name(name)
    assert (found.experiment_id, found.name, found.lifecycle_stage) == (made, name, "active")
    assert found.tags == {"owner": "tests", "empty": ""}


def test_a_taken_name_is_refused_with_the_servers_code(client, fresh):
    name = fresh("twice")
    client.create_experiment(name, tags={"claim": "first"})
    with pytest.raises(RemoteError) as caught:
        client.create_experiment(name, tags={"claim": "second"})
    assert caught.value.error_code == "RESOURCE_ALREADY_EXISTS"
    assert caught.value.status == 400
    assert caught.value.ambiguous is False
    assert client.get_experiment_by_name(name).tags == {"claim": "first"}


def test_get_or_create_gives_the_same_id_twice(client, fresh):
    name = fresh("same")
    assert client.get_or_create_experiment(name) == client.get_or_create_experiment(name)


def test_a_deleted_experiment_says_how_to_mend_it(client, fresh):
    name = fresh("deleted")
    client.delete_experiment(client.create_experiment(name))
    assert client.get_experiment_by_name(name).lifecycle_stage == "deleted"
    with pytest.raises(ConflictError, match="restore it"):
        client.get_or_create_experiment(name)


def test_deleting_an_experiment_twice_is_fine(client, fresh):
    made = client.create_experiment(fresh("gone"))
    client.delete_experiment(made)
    client.delete_experiment(made)


def test_a_run_reads_back_what_was_logged(client, run):
    client.log_batch(
        run.run_id,
        metrics=[("f1", 0.1 + 0.2, 7, 0), ("nothing", math.nan, 7, 0), ("rows", 3, 7, 2)],
        params={"trees": "60", "text": "é\n'\""},
        tags={"later": "ü"},
    )
    client.update_run(run.run_id, "FINISHED", 1_700_000_001_000)
    found = client.get_run(run.run_id)
    assert found.metrics["f1"] == 0.1 + 0.2
    assert math.isnan(found.metrics["nothing"])
    assert found.metrics["rows"] == 3.0
    assert found.params == {"trees": "60", "text": "é\n'\""}
    assert found.tags["later"] == "ü"
    assert found.tags["retrain_key"] == "m/2013-08-14"
    assert (found.status, found.start_time) == ("FINISHED", 1_700_000_000_000)


def test_a_missing_run_is_a_typed_error(client):
    with pytest.raises(RemoteError, match="GET runs/get") as caught:
        client.get_run("0" * 32)
    assert (caught.value.status, caught.value.error_code) == (404, "RESOURCE_DOES_NOT_EXIST")


def test_a_batch_beyond_the_servers_limits_is_cut(client, run):
    metrics = [(f"m{i}", float(i), 1, 0) for i in range(2100)]
    params = {f"p{i}": str(i) for i in range(150)}
    tags = {f"t{i}": "x" * 5000 for i in range(250)}
    client.log_batch(run.run_id, metrics=metrics, params=params, tags=tags)
    found = client.get_run(run.run_id)
    assert len(found.metrics) == 2100
    assert found.params == params
    assert {k: v for k, v in found.tags.items() if k in tags} == tags


@pytest.mark.parametrize("value", ["abc", math.inf, -math.inf, True, None])
def test_a_metric_the_server_would_corrupt_never_leaves(client, run, value):
    with pytest.raises(ConfigError):
        client.log_batch(run.run_id, metrics=[("f1", value, 1, 0)])
    assert client.get_run(run.run_id).metrics == {}


def test_a_status_the_server_would_ignore_never_leaves(client, run):
    with pytest.raises(ValueError, match="status must be RUNNING"):
        client.update_run(run.run_id, "DONE")


def test_a_changed_param_is_the_servers_error(client, run):
    client.log_batch(run.run_id, params={"depth": "3"})
    client.log_batch(run.run_id, params={"depth": "3"})
    with pytest.raises(RemoteError) as caught:
        client.log_batch(run.run_id, params={"depth": "4"})
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"


def test_run_tags_are_overwritten_and_removed(client, run):
    client.set_tag(run.run_id, "state", "one")
    client.set_tag(run.run_id, "state", "two")
    assert client.get_run(run.run_id).tags["state"] == "two"
    client.delete_tag(run.run_id, "state")
    client.delete_tag(run.run_id, "state")
    assert "state" not in client.get_run(run.run_id).tags


def test_a_run_of_a_key_is_created_once(client, experiment):
    def create():
        return client.create_run(experiment, "day", 5, {"a": "b"}, key_tag=("retrain.key", "it's"))

    first = create()
    assert create().run_id == first.run_id
    assert first.tags["retrain.key"] == "it's"
    assert len(client.search_runs([experiment])) == 1


def test_a_search_follows_its_pages_in_order(client, experiment, monkeypatch):
    made = [client.create_run(experiment, "r", i, {"n": str(i)}).run_id for i in range(5)]
    asked = {"order_by": ["attributes.start_time DESC"]}
    monkeypatch.setattr("retrain_ops.mlflow.client.PAGE_ROWS", 2)
    assert [r.run_id for r in client.search_runs([experiment], **asked)] == made[::-1]
    assert [r.run_id for r in client.search_runs([experiment], max_results=3, **asked)] == made[
        :1:-1
    ]
    assert [r.run_id for r in client.search_runs([experiment], "tags.n = '3'")] == [made[3]]


def test_artefacts_come_back_byte_for_byte(client, run, tmp_path):
    every_byte = bytes(range(256)) * 1000
    on_disk = tmp_path / "model.rtm"
    on_disk.write_bytes(every_byte[::-1])
    client.upload_artifact(run, "model/é x+&=.bin", every_byte)
    client.upload_artifact(run, "model/model.rtm", on_disk)
    client.upload_artifact(run, "empty", b"")
    assert client.download_artifact(run, "model/é x+&=.bin") == every_byte
    assert client.download_artifact(run.artifact_uri + "/model", "model.rtm") == every_byte[::-1]
    assert client.download_artifact(f"runs:/{run.run_id}/model", "model.rtm") == every_byte[::-1]
    assert client.download_artifact(run, "empty") == b""


def test_where_a_runs_artefacts_lie_is_asked_once(client, run, monkeypatch):
    asked = []
    get_run = MlflowClient.get_run
    monkeypatch.setattr(MlflowClient, "get_run", lambda c, r: asked.append(r) or get_run(c, r))
    for text in (b"one", b"two"):
        client.within(30.0).upload_artifact(f"runs:/{run.run_id}", "a.txt", text)
    assert client.download_artifact(f"runs:/{run.run_id}", "a.txt") == b"two"
    assert asked == [run.run_id]


def test_an_artefact_is_overwritten_in_place(client, run):
    client.upload_artifact(run, "a.txt", b"long first text")
    client.upload_artifact(run, "a.txt", b"second")
    assert client.download_artifact(run, "a.txt") == b"second"
    assert len(client.list_artifacts(run)) == 1


def test_a_listing_gives_paths_below_the_run(client, run):
    client.upload_artifact(run, "model/data/weights", b"12345")
    client.upload_artifact(run, "top", b"1")
    assert sorted(client.list_artifacts(run)) == [("model", True, 0), ("top", False, 1)]
    assert client.list_artifacts(run, "model/data") == [("model/data/weights", False, 5)]
    assert client.list_artifacts(run, "nothing here") == []


def test_a_missing_artefact_is_a_typed_error(client, run, contract_server):
    with pytest.raises(RemoteError) as caught:
        client.download_artifact(run, "no such file")
    assert caught.value.status == (500 if contract_server.version.startswith("2.") else 404)


@pytest.mark.parametrize("path", ["../escape", "a//b", "", "a/./b", "a\nb", "/a"])
def test_a_path_that_could_climb_never_leaves(client, run, path):
    with pytest.raises(ValueError, match=r"path|control"):
        client.upload_artifact(run, path, b"x")


def test_an_artefact_store_that_is_not_served_is_named(client):
    with pytest.raises(ConfigError, match="--serve-artifacts"):
        client.download_artifact("s3://bucket/model", "a")


def test_a_run_that_the_environment_names_is_left_alone(client, fresh, monkeypatch):
    experiment = client.create_experiment(fresh("named outside"))
    outer = client.create_run(experiment, "outer", 1)
    monkeypatch.setenv("MLFLOW_RUN_ID", outer.run_id)  # as Kubeflow Pipelines does
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "0")
    ours = client.create_run(experiment, "day", 1)
    client.log_batch(ours.run_id, metrics=[("f1", 0.5, 1, 0)], params={}, tags={"day": "1"})
    assert ours.run_id != outer.run_id
    found = client.get_run(outer.run_id)
    assert (found.status, dict(found.metrics), "day" in found.tags) == ("RUNNING", {}, False)
    assert client.get_run(ours.run_id).experiment_id == experiment
