from __future__ import annotations

import math
import subprocess
import sys

import pytest

from retrain_ops import MlflowClient
from retrain_ops.errors import ConfigError, NetworkError
from retrain_ops.mlflow.requests import (
    BATCH_BYTES,
    batches,
    can_be_alias,
    create_once,
    metric,
    tag_filter,
)


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
