"""Registered models, versions and aliases on a real MLflow server."""

from __future__ import annotations

import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from retrain_ops.errors import RemoteError

pytestmark = pytest.mark.mlflow


@pytest.fixture
def source(run):
    return f"{run.artifact_uri}/model"


def test_a_missing_model_is_none(client):
    assert client.get_registered_model("nobody registered this") is None


def test_registering_twice_is_refused_and_ensuring_is_not(client, model):
    client.ensure_registered_model(model)
    with pytest.raises(RemoteError) as caught:
        client.create_registered_model(model)
    assert caught.value.error_code == "RESOURCE_ALREADY_EXISTS"


def test_model_tags_are_written_and_removed(client, model):
    client.set_registered_model_tag(model, "retrain.event.000001", '{"epoch":1}')
    client.set_registered_model_tag(model, "gone", "x")
    client.delete_registered_model_tag(model, "gone")
    client.delete_registered_model_tag(model, "gone")
    assert client.get_registered_model(model).tags == {"retrain.event.000001": '{"epoch":1}'}


def test_versions_count_up_as_strings(client, model, run, source):
    made = [client.create_model_version(model, source, run.run_id) for _ in range(3)]
    assert [v.version for v in made] == ["1", "2", "3"]
    assert made[0].source == source
    assert made[0].run_id == run.run_id
    assert made[0].creation_timestamp > 1_700_000_000_000


def test_a_version_keeps_its_tags(client, model, run, source):
    made = client.create_model_version(model, source, run.run_id, {"a": "1"}, "what it is")
    client.set_model_version_tag(model, made.version, "retrain.canary_share", "0.1")
    client.delete_model_version_tag(model, made.version, "a")
    client.delete_model_version_tag(model, made.version, "a")
    assert client.get_model_version(model, "1").tags == {"retrain.canary_share": "0.1"}


def test_a_version_of_a_key_is_created_once_per_run(client, model, run, source, experiment):
    def create(run_id):
        return client.create_model_version(model, source, run_id, key_tag=("model_sha256", "abc"))

    assert create(run.run_id).version == "1"
    assert create(run.run_id).version == "1"
    other = client.create_run(experiment, "another day", 6)
    where = f"{other.artifact_uri}/model"
    again = client.create_model_version(model, where, other.run_id, key_tag=("model_sha256", "abc"))
    assert again.version == "2"


def test_a_missing_version_is_none(client, model):
    assert client.get_model_version(model, "77") is None
    assert client.get_model_version("nobody registered this", "1") is None


def test_versions_are_found_by_name_and_tag(client, model, run, source):
    for key in ("k1", "k2", "k1"):
        client.create_model_version(model, source, run.run_id, {"retrain_key": key})
    found = client.search_model_versions(
        f"name = '{model}' and tags.retrain_key = 'k1'", order_by=["version_number DESC"]
    )
    assert [v.version for v in found] == ["3", "1"]


def test_a_missing_alias_or_model_is_none(client, model):
    assert client.get_model_version_by_alias(model, "champion") is None
    assert client.get_model_version_by_alias("nobody registered this", "champion") is None


def test_a_name_that_cannot_be_an_alias_is_an_error_not_none(client, model):
    with pytest.raises(RemoteError, match="alias"):
        client.get_model_version_by_alias(model, "two words")


def test_an_alias_moves_and_goes(client, model, run, source):
    for _ in range(2):
        client.create_model_version(model, source, run.run_id)
    client.set_registered_model_alias(model, "champion", "1")
    client.set_registered_model_alias(model, "champion", "2")
    client.set_registered_model_alias(model, "previous", "1")
    found = client.get_model_version_by_alias(model, "champion")
    assert (found.version, found.aliases) == ("2", ("champion",))
    assert client.get_registered_model(model).aliases == {"champion": "2", "previous": "1"}
    client.delete_registered_model_alias(model, "previous")
    client.delete_registered_model_alias(model, "previous")
    assert client.get_registered_model(model).aliases == {"champion": "2"}


def test_an_alias_of_a_missing_version_is_refused(client, model):
    with pytest.raises(RemoteError) as caught:
        client.set_registered_model_alias(model, "champion", "9")
    assert caught.value.error_code == "RESOURCE_DOES_NOT_EXIST"


@pytest.mark.parametrize("version", [1, "x", "", "-1", None])
def test_a_version_that_is_no_string_of_digits_never_leaves(client, model, version):
    with pytest.raises((ValueError, TypeError)):
        client.set_registered_model_alias(model, "champion", version)


@pytest.mark.parametrize("name", ["a/b", "a:b", "..", "a%2eb", "", "a\r\nX: y", "x" * 251])
def test_a_name_that_is_dangerous_in_a_uri_never_leaves(client, name):
    with pytest.raises(ValueError, match="name must be"):
        client.get_registered_model(name)


def test_threads_share_one_client(client, model, run, source):
    client.create_model_version(model, source, run.run_id)

    def one(i):
        client.set_model_version_tag(model, "1", f"t{i}", str(i))
        return client.get_model_version(model, "1").tags[f"t{i}"]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one, range(40))) == [str(i) for i in range(40)]


def test_concurrent_creates_of_one_name_have_one_winner(connect, fresh):
    name = fresh("epoch")

    def claim(i):
        own = connect()
        try:
            own.create_experiment(name, tags={"claim": str(i)})
        except RemoteError as problem:
            return problem.error_code
        return "won"

    with ThreadPoolExecutor(8) as pool:
        ends = sorted(pool.map(claim, range(8)))
    assert ends == ["RESOURCE_ALREADY_EXISTS"] * 7 + ["won"]


def test_a_kept_connection_is_not_slower_than_a_new_one(connect, model, run, source):
    """MLflow 3 sends an answer in two pieces; acknowledged late, the second takes 40 ms more."""
    kept = connect()
    kept.create_model_version(model, source, run.run_id)
    kept.set_registered_model_alias(model, "champion", "1")
    times: dict[str, list[float]] = {"kept": [], "new": []}
    for _ in range(40):
        for name, client in (("kept", kept), ("new", connect())):
            start = time.perf_counter()
            client.get_model_version_by_alias(model, "champion")
            times[name].append(time.perf_counter() - start)
    assert statistics.median(times["kept"]) < statistics.median(times["new"]) + 0.015
