"""Ten stories of what a kill, a hand or a disk once broke, each played to its end."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from devtools.doubles.registry_server import Client
from devtools.worlds import (
    AT,
    BOOTSTRAP,
    CHANGED,
    FIRST_DAY,
    KILLED,
    NEXT,
    PROMOTION,
    STORIES,
    Prepared,
    Story,
    World,
    _Faults,
    _later,
    day,
    differences,
    facts,
)
from retrain_ops.registry.events import APPROVAL_TAG, INTENT_TAG
from retrain_ops.rollout.artefacts import verify
from retrain_ops.run import open_run

KEY = f"window_end={CHANGED}"
WRITERS = (
    "set_model_version_tag",
    "create_experiment",
    "set_registered_model_alias",
    "create_run",
    "set_registered_model_tag",
)
Matches = Callable[[str, tuple[object, ...]], bool]


@pytest.fixture(scope="module")
def first(tmp_path_factory) -> World:
    """A champion that serves; the day that promotes its successor is still to come."""
    return Prepared(tmp_path_factory.mktemp("first")).world(STORIES[1])


@pytest.fixture(scope="module")
def second(first, tmp_path_factory) -> World:
    """The successor serves, in its canary: nothing was disturbed."""
    world = first.copy(tmp_path_factory.mktemp("second") / "world")
    assert world.do(PROMOTION)[0] == 0
    return world


def write_of(world: World, command, matches: Matches, folder: Path, monkeypatch) -> int:
    """The number of the first write of `command` that `matches` (name of the call, arguments)."""
    seen = folder / "writes.jsonl"
    before = _Faults.before

    def counted(self: _Faults) -> None:
        before(self)
        _Faults.now = self.count  # type: ignore[attr-defined]

    with monkeypatch.context() as patch:
        patch.setattr(_Faults, "before", counted)
        for name in WRITERS:
            patch.setattr(Client, name, _noting(name, seen, matches))
        world.copy(folder / "counted").do(command)
    shutil.rmtree(folder / "counted")
    return int(seen.read_text().split()[0])


def _noting(name: str, seen: Path, matches: Matches):
    method = getattr(Client, name)

    def noted(self, *args, **kwargs):
        answer = method(self, *args, **kwargs)
        if matches(name, args):
            with open(seen, "a") as file:
                file.write(f"{_Faults.now}\n")  # type: ignore[attr-defined]
        return answer

    return noted


def killed(world: World, command, matches: Matches, folder: Path, monkeypatch) -> World:
    """A copy of the world in which `command` died right after the write that `matches`."""
    at = write_of(world, command, matches, folder, monkeypatch)
    copied = world.copy(folder / "world")
    assert copied.do(command, (at, "after"))[0] == KILLED
    return copied


def opens(name, args) -> bool:
    return name == "set_model_version_tag" and args[2] == f"{INTENT_TAG}0.shadow"


def claims(name, args) -> bool:
    return name == "create_experiment" and "/epoch/000002" in args[0]


def serves(name, args) -> bool:
    return name == "set_registered_model_alias" and args[1:] == ("champion", "2")


@pytest.mark.parametrize("lost", [opens, claims, serves])
def test_1_2_9_a_lost_write_is_finished_and_reported_by_the_next_run(
    first, second, lost, tmp_path, monkeypatch
):
    world = killed(first, PROMOTION, lost, tmp_path, monkeypatch)
    assert world.do(PROMOTION)[0] == 0
    assert differences(facts(second), facts(world)) == {}
    line = (world.folder / "workspace" / "toy" / KEY / "summarise.json").read_text()
    assert "version 2 is @champion" in line


def test_3_the_champion_of_a_key_is_decided_once(second, tmp_path):
    command = day(_later(1), "--force")
    undisturbed, world = second.copy(tmp_path / "a"), second.copy(tmp_path / "b")
    assert undisturbed.do(command)[0] == 0
    for step in ("check_drift", "pull_data", "validate_data", "train"):
        assert world.do((*command, "--step", step))[0] == 0
    assert world.do(("rollback", *AT))[0] == 0
    for step in ("evaluate", "promote_challenger"):
        assert world.do((*command, "--step", step))[0] == 0
    name = f"workspace/toy/window_end={_later(1)}/decision.json"
    expected = json.loads((undisturbed.folder / name).read_text())
    found = json.loads((world.folder / name).read_text())
    assert found["champion"] == expected["champion"]
    assert found["holdout"] == expected["holdout"]


def test_4_damaged_rows_reach_no_model(second, tmp_path):
    world = second.copy(tmp_path / "world")
    rows = world.folder / "workspace" / "data" / "processed" / "toy" / KEY / "part-0.parquet"
    whole = rows.read_bytes()
    damaged = bytearray(whole)
    for place in range(100, len(whole), len(whole) // 5):
        damaged[place] ^= 4
    rows.write_bytes(damaged)
    assert world.do(PROMOTION)[0] == 0
    assert rows.read_bytes() == whole
    assert differences(facts(second), facts(world)) == {}


def test_5_rollback_finishes_a_promotion_and_never_promotes(first, tmp_path, monkeypatch):
    world = killed(first, PROMOTION, claims, tmp_path, monkeypatch)
    writes = world.server.writes
    assert world.do(("rollback", *AT, "--dry-run"))[0] == 0
    assert world.server.writes == writes
    for _ in range(2):
        assert world.do(("rollback", *AT))[0] == 0
        assert world.registry.snapshot().aliases == {"champion": "1"}
    assert world.registry.version("2").state == "rolled_back"


def test_6_two_workspaces_of_one_registry_meet_one_run_and_one_version(
    first, second, tmp_path, monkeypatch
):
    ours = killed(first, PROMOTION, lambda name, _: name == "create_run", tmp_path, monkeypatch)
    theirs = first.copy(tmp_path / "theirs")
    theirs.server = ours.server
    assert theirs.do(PROMOTION)[0] == 0
    ours.server = theirs.server
    assert ours.do(PROMOTION)[0] == 0
    same = ("aliases", "versions", "runs", "decisions", "verify", "events")
    expected, found = facts(second), facts(ours)
    assert {k: found[k] for k in same} == {k: expected[k] for k in same}


def test_7_a_canary_whose_predecessor_was_deleted_ends(second, tmp_path):
    world = second.copy(tmp_path / "world")
    world.server.delete_version("toy", "1")
    assert any("was deleted" in text for text in world.registry.verify().findings)
    assert world.do(NEXT[0])[0] == 0
    assert world.registry.version("2").state == "promoted"
    assert world.registry.verify().ok


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("pull_data", "{}"),
        ("run", '{"attempt": "x"}'),
        ("summarise", None),
        ("decision", '{"champion": '),
    ],
)
def test_8_damaged_records_are_made_anew(second, name, damage, tmp_path):
    world = second.copy(tmp_path / "world")
    file = world.folder / "workspace" / "toy" / KEY / f"{name}.json"
    (file.parent / "sha256" / f"{name}.json.sha256").unlink(missing_ok=True)
    file.unlink()
    file.mkdir() if damage is None else file.write_text(damage)
    assert world.do(("status",))[0] == 0
    assert world.do(PROMOTION)[0] == 0
    assert differences(facts(second), facts(world)) == {}


def test_8_a_model_that_mlflow_lost_is_named_and_uploaded_again(second, tmp_path, monkeypatch):
    world = second.copy(tmp_path / "world")
    monkeypatch.setattr("retrain_ops.run.MlflowClient", lambda uri: Client(world.server))
    where = {"date": CHANGED, "workspace": str(world.folder / "workspace"), "tracking_uri": "x"}
    whole = dict(world.server.artifacts)
    world.server.artifacts = {k: v for k, v in whole.items() if not k.endswith("model.rtm")}
    lost = verify(open_run(world.folder / "toy.toml", **where)).missing
    assert {(w.what, w.name, w.version) for w in lost} == {
        ("artefact", "model.rtm", "1"),
        ("artefact", "model.rtm", "2"),
    }
    for command in (day(BOOTSTRAP), PROMOTION):
        assert world.do(command)[0] == 0
    assert {k for k in whole if k.endswith("model.rtm")} <= set(world.server.artifacts)
    assert verify(open_run(world.folder / "toy.toml", **where)).ok


def test_10_a_killed_reject_is_repeated(tmp_path, monkeypatch):
    story: Story = next(s for s in STORIES if s.name == "reject")
    world = Prepared(tmp_path / "waiting").world(story)

    def answers(name, args) -> bool:
        return name == "set_model_version_tag" and args[2] == APPROVAL_TAG

    cut = killed(world, story.command, answers, tmp_path, monkeypatch)
    for _ in range(2):
        assert cut.do(story.command)[0] == 0
        assert cut.registry.snapshot().aliases == {"champion": "1"}
    assert cut.registry.version("2").state == "rejected"


def test_an_older_day_run_again_reports_nothing_of_a_later_candidate(second, tmp_path):
    world = second.copy(tmp_path / "world")
    assert world.do(FIRST_DAY)[0] in (0, 1, 2)
    assert world.do(day(BOOTSTRAP))[0] == 0
    assert differences(facts(second), facts(world)) == {}
