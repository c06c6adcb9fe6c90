"""Whole days of a spec that asks a person: what waits, what an answer leaves, what re-runs do."""

from datetime import timedelta

import pytest

import retrain_ops.rollout.approval
from devtools.synthetic import FIRST, SPEC, bootstrap, files_of, toy_run, write_day, write_days
from retrain_ops.cli.command import EXIT_NOT_YET
from retrain_ops.cli.main import run_day
from retrain_ops.registry.events import APPROVAL_TAG, ASKED_AT_TAG
from retrain_ops.rollout.approval import awaiting_answer, give_answer

REQUIRED = SPEC + '\n[rollout]\napproval = "required"\n'
CHANGED = FIRST + timedelta(days=36)
CONTENT = ("decision.json", "model.rtm", "reference.json", "evaluate.json")


@pytest.fixture
def answers(monkeypatch):
    """What Slack hears of an answer."""
    sent = []
    monkeypatch.setattr(
        retrain_ops.rollout.approval, "send", lambda text, **_: sent.append(text) or True
    )
    return sent


@pytest.fixture
def waiting_world(tmp_path, client, messages):
    """The challenger of `CHANGED` has passed its shadow and waits."""
    write_days(tmp_path / "rows", 60, rule_changes=18, shift_from=18, shift=0.6)
    bootstrap(tmp_path, client, FIRST + timedelta(days=17), spec=REQUIRED)
    assert play(tmp_path, client)["exit_code"] == EXIT_NOT_YET
    return tmp_path


def play(folder, client, days=0, spec=REQUIRED):
    return run_day(toy_run(folder, client, CHANGED + timedelta(days=days), spec=spec))


def answer(folder, client, approved):
    run = toy_run(folder, client, CHANGED, spec=REQUIRED)
    give_answer(run, awaiting_answer(run), approved=approved, by="amy", at=run.instant)


def test_the_daily_line_says_every_day_that_somebody_has_to_answer(
    waiting_world, client, messages, server
):
    output = play(waiting_world, client, days=1)
    assert output["exit_code"] == EXIT_NOT_YET
    assert output["outcome"] == "queued"
    for line in (m for m in messages[-2:]):
        assert "version 2 (toy/2020-02-06) waits for approval until" in line
    assert server.models["toy"].aliases == {"champion": "1", "challenger": "2"}


def test_the_day_after_the_approval_promotes_before_it_judges(waiting_world, client, server):
    answer(waiting_world, client, approved=True)
    assert "exit_code" not in play(waiting_world, client, days=1)
    assert server.models["toy"].aliases == {"champion": "2", "previous": "1"}
    decision = toy_run(waiting_world, client, CHANGED + timedelta(days=1)).read("decision.json")
    assert decision["champion"]["retrain_key"] == f"toy/{CHANGED}"


@pytest.mark.parametrize(
    ("tag", "text", "word"),
    [(APPROVAL_TAG, "rejected", "rejected"), (ASKED_AT_TAG, "2020-02-08T02:00:00Z", "expired")],
)
def test_the_day_that_closes_a_candidate_says_so_however_often_it_is_run(
    waiting_world, client, messages, tag, text, word
):
    client.set_model_version_tag("toy", "2", tag, text)
    before = len(messages)
    for _ in range(2):
        assert play(waiting_world, client, days=1)["summary"].endswith(f"| version 2: {word}")
    assert len(messages) == before + 1
    assert "version 2:" not in play(waiting_world, client, days=2)["summary"]


def test_running_a_rejected_day_again_writes_the_same_bytes_and_opens_nothing(
    waiting_world, client, server
):
    before = files_of(waiting_world / "workspace", CONTENT)
    answer(waiting_world, client, approved=False)
    for _ in range(2):
        output = play(waiting_world, client)
        assert "exit_code" not in output
        assert output["summary"].startswith("[closed] toy 2020-02-06: its candidate was rejected")
        assert server.versions["toy", "2"].tags["retrain.state"] == "rejected"
        assert server.models["toy"].aliases == {"champion": "1"}
    assert files_of(waiting_world / "workspace", CONTENT) == before
    assert len(server.versions) == 2


def test_other_bytes_for_a_rejected_day_ask_nobody_again(waiting_world, client, server):
    answer(waiting_world, client, approved=False)
    play(waiting_world, client)
    fixed = REQUIRED.replace("_leaf = 20", "_leaf = 25")
    output = play(waiting_world, client, spec=fixed)
    assert output["outcome"] == "challenger"  # it is better, and that is recorded
    assert server.versions["toy", "3"].tags["retrain.state"] == "registered"
    assert server.models["toy"].aliases == {"champion": "1"}


@pytest.mark.parametrize(("approved", "word"), [(True, "approved"), (False, "rejected")])
def test_an_answer_is_reported_once_however_often_it_is_given(
    waiting_world, client, answers, approved, word
):
    run = toy_run(waiting_world, client, CHANGED, spec=REQUIRED)
    candidate = awaiting_answer(run)
    for _ in range(2):
        give_answer(run, candidate, approved=approved, by="amy", at=run.instant)
    assert answers == [f"[{word}] toy 2020-02-06: version 2, by amy"]


def test_good_rows_after_spoilt_ones_open_the_first_candidate_again(waiting_world, client, server):
    """Good rows, a re-run on spoilt ones, then the good rows again: somebody waits."""
    run = toy_run(waiting_world, client, CHANGED, spec=REQUIRED)
    first = run.read("decision.json")
    spoilt = waiting_world / "rows" / f"day={CHANGED - timedelta(days=12)}" / "part-0.parquet"
    good = spoilt.read_bytes()
    write_day(waiting_world / "rows", CHANGED - timedelta(days=12), shift=3.0)
    play(waiting_world, client)
    assert server.versions["toy", "2"].tags["retrain.state"] == "superseded"
    assert run.read("decision.json") != first
    spoilt.write_bytes(good)
    output = play(waiting_world, client)
    assert (output["outcome"], output["exit_code"]) == ("challenger", EXIT_NOT_YET)
    assert output["summary"].startswith("[OK] toy")
    assert run.read("decision.json") == first
    assert awaiting_answer(run).number == "2"
    assert server.models["toy"].aliases == {"champion": "1", "challenger": "2"}
    assert server.versions["toy", "3"].tags["retrain.state"] == "superseded"
    assert len(server.versions) == 3
