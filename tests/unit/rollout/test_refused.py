"""What was said before it was done, and refused because the version took `@champion` meanwhile."""

from __future__ import annotations

from dataclasses import replace

import pytest

from devtools.doubles.registry_server import Client, Server
from devtools.synthetic import SPEC, toy_run
from retrain_ops.errors import ConflictError
from retrain_ops.registry.events import INTENT_TAG, utc_text
from retrain_ops.registry.registry import Registry
from retrain_ops.rollout import news
from retrain_ops.rollout.approval import Answer
from retrain_ops.rollout.looks import candidate_path, said_first
from retrain_ops.rollout.promotion import close_answered, promote_candidate
from retrain_ops.rollout.shadow import ShadowResult
from retrain_ops.steps.watch_canary import CanaryResult, _act
from tests.unit.registry.test_registry import A, B, C, instant, promote, registered, world_with

MODEL = SPEC.replace('"toy"', '"m"')


class Overtaken(Client):
    """Another workspace acts just before a version is written to be in `state`."""

    def __init__(self, server: Server, state: str, meanwhile) -> None:
        super().__init__(server)
        self.tag, self.meanwhile = f"{INTENT_TAG}0.{state}", meanwhile

    def set_model_version_tag(self, name, version, key, value):
        if key == self.tag:
            self.tag = ""
            self.meanwhile()
        super().set_model_version_tag(name, version, key, value)


@pytest.fixture
def waiting(tmp_path):
    """A run of the day B, whose version 2 waits beside the champion of A."""
    server, registry = world_with(A)
    registry.open_shadow(registered(registry, B), opened_at=instant(B))
    registry.set_state(registry.version("2"), "shadow_passed")
    run = toy_run(tmp_path, Client(server), B, spec=MODEL, workspace="w")
    news.begin(run)
    return run


def overtaken(run, state, meanwhile):
    client = Overtaken(run.registry.client.server, state, meanwhile)
    return replace(run, registry=replace(run.registry, client=client))


def promoted_elsewhere(run):
    return lambda: promote(elsewhere(run), version(run))


def elsewhere(run):
    return Registry(client=Client(run.registry.client.server), name="m")


def version(run):
    return run.registry.version("2")


@pytest.mark.parametrize("verdict", ["rejected", "expired"])
def test_a_refused_close_leaves_no_record_of_it(waiting, verdict):
    answer = Answer(verdict, "amy", instant(C))
    run = overtaken(waiting, verdict, promoted_elsewhere(waiting))
    with pytest.raises(ConflictError, match="took @champion by epoch 2"):
        close_answered(run, version(run), answer)
    record = run.workspace.read_json(candidate_path(run, version(run), instant(C)))
    assert "promotion" not in record
    assert version(run).state == "canary"


def test_a_step_whose_close_is_refused_says_the_promotion_when_it_runs_again(waiting):
    waiting.registry.set_tag(version(waiting), "retrain.approval", "rejected")
    run = overtaken(waiting, "rejected", promoted_elsewhere(waiting))
    with pytest.raises(ConflictError, match="took @champion by epoch 2"):
        promote_candidate(run)
    assert not run.workspace.exists(run.path("promote_champion.json"))
    assert promote_candidate(waiting).verdict == "promoted"


def test_a_step_that_died_in_the_refusal_leaves_no_rejection_once_it_says_the_promotion(waiting):
    at = instant(C)
    waiting.registry.set_tag(version(waiting), "retrain.rejected_at", utc_text(at))
    path = candidate_path(waiting, version(waiting), at)
    waiting.workspace.write_json(path, {"promotion": {"approval": {"verdict": "rejected"}}})
    promoted_elsewhere(waiting)()
    assert promote_candidate(waiting).verdict == "promoted"
    assert waiting.workspace.read_json(path) == {}


def test_a_failed_shadow_that_is_refused_is_not_said(waiting):
    run = overtaken(waiting, "failed", promoted_elsewhere(waiting))
    result = ShadowResult("fail", "2", ("flips",))
    with pytest.raises(ConflictError), said_first(run, "shadow_test", result):
        run.registry.close(version(run), "failed", closed_at=instant(C))
    assert not run.workspace.exists(run.path("shadow_test.json"))


def test_a_canary_that_was_rolled_back_meanwhile_is_not_said_to_be_kept(waiting):
    promoted_elsewhere(waiting)()

    def rolled_back():
        elsewhere(waiting).rollback("2", effective_from=instant(C), recorded_at=instant(C))

    run = overtaken(waiting, "promoted", rolled_back)
    with pytest.raises(ConflictError, match="version 2 was rolled back while it was judged"):
        _act(run, version(run), CanaryResult("kept", "2"), run.instant)


def test_a_canary_that_was_replaced_meanwhile_is_not_said_to_be_rolled_back(waiting):
    promoted_elsewhere(waiting)()
    canary = version(waiting)
    promote(elsewhere(waiting), registered(elsewhere(waiting), C))
    with pytest.raises(ConflictError, match="version 2 was replaced while it was judged"):
        _act(waiting, canary, CanaryResult("rolled_back", "2"), instant(C))
    assert waiting.registry.snapshot().aliases["champion"] == "3"
