"""The past, played again: what a person did counts from when they did it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

import retrain_ops.rollout.approval
from devtools.doubles.registry_server import Client, Server
from devtools.synthetic import FIRST, SPEC, bootstrap, files_of, toy_run, write_days
from retrain_ops.cli.main import main, run_day
from retrain_ops.rollout.by_hand import roll_back

CHANGED = FIRST + timedelta(days=36)  # the day whose challenger takes over
NINE = datetime.combine(CHANGED + timedelta(days=1), datetime.min.time(), UTC) + timedelta(hours=9)
REQUIRED = SPEC + '\n[rollout]\napproval = "required"\n'


class Clock(datetime):
    """The clock of the morning on which somebody rolled back."""

    @classmethod
    def now(cls, tz=None):
        return NINE


@pytest.fixture
def command(monkeypatch, capsys, messages):
    """Runs a command on a world: its exit code and document."""
    monkeypatch.setattr(retrain_ops.rollout.approval, "send", lambda text, **_: True)

    def run(folder, server, *arguments):
        monkeypatch.setattr("retrain_ops.run.MlflowClient", lambda uri: Client(server))
        where = ["--spec", str(folder / "toy.toml"), "--workspace", str(folder / "workspace")]
        code = main([arguments[0], *where, "--tracking-uri", "http://x", *arguments[1:]])
        return code, json.loads(capsys.readouterr().out)

    return run


def begin(folder, spec=SPEC):
    """A world on the evening of the promotion (or of the question)."""
    server = Server()
    folder.mkdir()
    (folder / "toy.toml").write_text(spec)
    write_days(folder / "rows", 60, rule_changes=18, shift_from=18, shift=0.6)
    bootstrap(folder, Client(server), FIRST + timedelta(days=17), spec=spec)
    for days in (0, 1):
        run_day(toy_run(folder, Client(server), CHANGED + timedelta(days=days), spec=spec))
    return folder, server


def end(folder, server, spec=SPEC):
    """The three days after, and what they left: decisions, and who served from when."""
    for days in (2, 3, 4):
        run_day(toy_run(folder, Client(server), CHANGED + timedelta(days=days), spec=spec))
    events = toy_run(folder, Client(server), CHANGED, spec=spec).registry.snapshot().events
    served = [(e.kind, e.version, e.effective_from) for e in events]
    return files_of(folder / "workspace", ["decision.json"]), served


def test_a_replayed_week_with_its_rollback_is_the_live_week(tmp_path, command, monkeypatch):
    live = begin(tmp_path / "live")
    with monkeypatch.context() as clock:
        clock.setattr("retrain_ops.rollout.by_hand.datetime", Clock)
        assert roll_back(toy_run(live[0], Client(live[1]), CHANGED))["rolled_back"] == "2"
    replayed = begin(tmp_path / "replayed")
    code, said = command(*replayed, "rollback", "--as-of", NINE.isoformat())
    assert (code, said["rolled_back"], said["aliases"]) == (0, "2", {"champion": "1"})
    assert command(*replayed, "rollback", "--as-of", NINE.isoformat())[1] == said  # once is enough
    late = begin(tmp_path / "late")
    assert command(*late, "rollback")[0] == 0
    assert end(*replayed) == end(*live)
    assert end(*late) != end(*live)  # at the wall clock the week is judged against version 2


def test_an_answer_counts_from_when_it_was_given(tmp_path, command):
    asked = begin(tmp_path / "asked", REQUIRED)
    code, said = command(*asked, "approve", "--as-of", NINE.isoformat(), "--by", "amy")
    assert (code, said["promoted"]) == (0, True)
    assert said["answer"] == {"verdict": "approved", "by": "amy", "at": "2020-02-07T09:00:00Z"}
    assert end(*asked, REQUIRED)[1][-1] == ("promote", "2", "2020-02-07T09:00:00Z")


@pytest.mark.parametrize("name", ["approve", "reject", "promote", "rollback"])
@pytest.mark.parametrize(
    ("as_of", "message"),
    [
        ("2020-02-07T09:00", "has no time zone"),
        ("2999-01-01", "lies in the future"),
        ("yesterday", "is no instant"),
    ],
)
def test_a_time_that_says_nothing_is_refused(tmp_path, command, name, as_of, message):
    (tmp_path / "toy.toml").write_text(SPEC)
    code, said = command(tmp_path, Server(), name, "--as-of", as_of)
    assert (code, message in said["message"]) == (2, True), said


def test_a_date_is_the_end_of_that_day_and_leaves_no_room_for_another(tmp_path, command):
    world = begin(tmp_path / "world")
    code, said = command(*world, "rollback", "--as-of", "2020-02-07", "--date", "2020-02-07")
    assert (code, "leave --date out" in said["message"]) == (2, True)
    assert command(*world, "rollback", "--as-of", "2020-02-07")[0] == 0
    assert ("rollback", "1", "2020-02-07T23:59:59Z") in end(*world)[1]


def test_nobody_is_rolled_back_before_the_promotion(tmp_path, command):
    world = begin(tmp_path / "world")
    code, said = command(*world, "rollback", "--as-of", "2020-02-05")
    assert code == 2
    assert "version 2 took @champion at 2020-02-07T02:00:00Z" in said["message"]
    assert "cannot count from 2020-02-05T23:59:59Z" in said["message"]


def test_nobody_is_promoted_before_the_change_that_it_follows(tmp_path, command):
    world = begin(tmp_path / "world", REQUIRED)
    before = command(*world, "history")[1]["events"]
    code, said = command(*world, "promote", "--version", "2", "--force", "--as-of", "2019-12-31")
    assert code == 2
    assert "last moved at 2020-01-18T02:00:00Z" in said["message"]
    assert "cannot count from 2019-12-31T23:59:59Z" in said["message"]
    assert command(*world, "history")[1]["events"] == before
    for _ in range(2):  # repeated, it finds what it did
        code, said = command(
            *world, "promote", "--version", "2", "--force", "--as-of", "2020-02-08"
        )
        assert (code, said["promoted"], said["aliases"]["champion"]) == (0, True, "2"), said
