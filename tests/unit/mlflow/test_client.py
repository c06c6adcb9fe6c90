from __future__ import annotations

import math
import subprocess
import sys

import pytest

from retrain_ops import MlflowClient
from retrain_ops.errors import ConfigError, NetworkError
from retrain_ops.mlflow.requests import (
    BATCH_BYTES,
    artifact_path,
    batches,
    can_be_alias,
    create_once,
    metric,
    run_pairs,
    tag_filter,
)
from retrain_ops.mlflow.types import LONGEST_PARAM, LONGEST_TAG


def test_a_client_without_an_address_says_what_to_do(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(ConfigError, match="MLFLOW_TRACKING_URI"):
        MlflowClient()


def test_making_a_client_opens_no_socket():
    script = """
import sys
seen = []
sys.addaudithook(lambda name, args: seen.append(name) if name.startswith("socket.") else None)
from retrain_ops import MlflowClient
MlflowClient("https://mlflow.example.org", token="t")
print(seen, "slack_sdk" in sys.modules, "mlflow" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[] False False"


def test_another_deadline_is_another_client_of_the_same_server():
    client = MlflowClient("http://127.0.0.1:5000/", deadline=60.0)
    assert client.within(2.0).deadline == 2.0
    assert client.within(2.0).tracking_uri == "http://127.0.0.1:5000"
    assert client.deadline == 60.0


def test_metrics_keep_their_number():
    assert metric("a", 0.1, 5, 0) == {"key": "a", "value": 0.1, "timestamp": 5, "step": 0}
    assert metric("a", math.nan, 5, 0)["value"] == "NaN"
    for bad in (math.inf, -math.inf, "1", True, None):
        with pytest.raises(ConfigError, match="'a'"):
            metric("a", bad, 5, 0)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["a%20b.txt", "x%2Fy.txt", "%41.txt", "100%25.txt", "a/%2e%2e/b"])
def test_an_artefact_that_mlflow_would_store_under_another_name_is_refused(name):
    with pytest.raises(ConfigError, match="decodes twice"):
        artifact_path("mlflow-artifacts:/1/abc/artifacts", name)


def test_other_artefacts_lie_below_their_run():
    root = "mlflow-artifacts:/1/abc/artifacts/"
    for name in ("100%.txt", "%zz", "a b.txt", "model/model.rtm", "é.txt"):
        assert artifact_path(root, name) == f"1/abc/artifacts/{name}"
    assert artifact_path(root, "") == "1/abc/artifacts/"


@pytest.mark.parametrize(("kind", "longest"), [("param", LONGEST_PARAM), ("tag", LONGEST_TAG)])
def test_a_value_that_mlflow_would_cut_is_refused(kind, longest):
    assert run_pairs(kind, {"k": "é" * longest}) == [{"key": "k", "value": "é" * longest}]
    with pytest.raises(ConfigError, match=f"the {kind} 'k' has {longest + 1:,} characters"):
        run_pairs(kind, {"j": "", "k": "é" * (longest + 1)})
    assert run_pairs(kind, None) == []


def test_every_call_that_writes_a_tag_or_artefact_of_a_run_refuses_before_it_asks():
    client = MlflowClient("http://127.0.0.1:9", deadline=1.0)
    long, root = {"k": "x" * (LONGEST_TAG + 1)}, "mlflow-artifacts:/1/a"
    calls = [
        lambda: client.create_run("1", "day", 1, long),
        lambda: client.log_batch("1", tags=long),
        lambda: client.log_batch("1", params=long),
        lambda: client.set_tag("1", "k", long["k"]),
        lambda: client.upload_artifact(root, "%41", b""),
        lambda: client.download_artifact(root, "%41"),
        lambda: client.list_artifacts(root, "%41"),
    ]
    for call in calls:
        with pytest.raises(ConfigError):
            call()


def test_batches_keep_order_and_limits():
    items = [("params", {"key": f"p{i}", "value": "v"}) for i in range(250)]
    items += [("metrics", metric(f"m{i}", 1.0, 1, 0)) for i in range(2000)]
    cut = list(batches(items))
    assert [len(b.get("params", [])) for b in cut[:3]] == [100, 100, 50]
    assert all(sum(map(len, b.values())) <= 1000 for b in cut)
    again = [("params", x) for b in cut for x in b.get("params", [])]
    again += [("metrics", x) for b in cut for x in b.get("metrics", [])]
    assert again == items


def test_batches_stay_under_a_megabyte_even_when_escaped():
    tags = [("tags", {"key": str(i), "value": "\n" * 8000}) for i in range(100)]
    cut = list(batches(tags))
    assert len(cut) > 1
    for batch in cut:
        assert sum(2 * len(t["value"]) for t in batch["tags"]) <= BATCH_BYTES


def test_one_item_above_all_limits_is_still_sent_for_the_server_to_judge():
    big = [("tags", {"key": "k", "value": "x" * 2_000_000})]
    assert list(batches(big)) == [{"tags": [big[0][1]]}]


def test_filters_quote_what_they_can():
    assert tag_filter("retrain_key", "m/2013-08-14") == "tags.`retrain_key` = 'm/2013-08-14'"
    assert tag_filter("k", "it's") == 'tags.`k` = "it\'s"'
    with pytest.raises(ConfigError, match="both kinds"):
        tag_filter("k", "'\"")


@pytest.mark.parametrize(("alias", "can"), [("champion", True), ("a-b_1", True), ("-", True)])
def test_aliases_that_can_be(alias, can):
    assert can_be_alias(alias) is can


@pytest.mark.parametrize("alias", ["", "a b", "a.b", "é", "a" * 256])
def test_aliases_that_cannot_be(alias):
    assert can_be_alias(alias) is False


class Registry:
    """Creates that commit at once, late or never, and whose answers may be lost."""

    def __init__(self, fates):
        self.fates = list(fates)
        self.there: list[int] = []
        self.late: list[int] = []
        self.made = 0

    def mine(self, left):
        found = min(self.there, default=None)
        self.there += self.late
        self.late.clear()
        return found

    def create(self, left):
        self.made += 1
        fate = self.fates.pop(0)
        if fate in ("answered", "lost"):
            self.there.append(self.made)
        if fate == "late":
            self.late.append(self.made)
        if fate == "answered":
            return self.made
        problem = NetworkError(fate)
        problem.ambiguous = fate != "refused"
        raise problem


@pytest.mark.parametrize(
    ("fates", "gives", "creates"),
    [
        (["answered"], 1, 1),
        (["lost"], 1, 1),
        (["late"], 1, 1),
        (["never", "answered"], 2, 2),
        (["never", "lost"], 2, 2),
        (["never", "never", "answered"], 3, 3),
    ],
)
def test_a_create_happens_once_whatever_becomes_of_its_answer(monkeypatch, fates, gives, creates):
    monkeypatch.setattr("retrain_ops.mlflow.requests.LOOK_AGAIN_S", 0.0)
    registry = Registry(fates)
    made = create_once(registry.mine, registry.create, deadline=5.0, look_first=True)
    assert (made, registry.made, len(registry.there)) == (gives, creates, 1)
    again = create_once(registry.mine, registry.create, deadline=5.0, look_first=True)
    assert (again, registry.made) == (gives, creates)


def test_a_create_that_was_refused_is_not_looked_for():
    registry = Registry(["refused"])
    with pytest.raises(NetworkError):
        create_once(registry.mine, registry.create, deadline=5.0, look_first=True)


def test_creating_once_ends_at_its_deadline():
    def never(left):
        problem = NetworkError("lost")
        problem.ambiguous = True
        raise problem

    with pytest.raises(TimeoutError, match=r"within 0\.3 s"):
        create_once(lambda left: None, never, deadline=0.3, look_first=False)
