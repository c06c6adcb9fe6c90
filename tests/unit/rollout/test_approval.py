"""Approval: asked once, answered once, expired; on the wall clock, and in tags alone."""

from __future__ import annotations

import html
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from devtools.doubles.registry_server import Client, Server
from devtools.servers.slack_server import SlackServer
from devtools.synthetic import SPEC, toy_run
from retrain_ops.decisions.record import DECISION_FILE
from retrain_ops.errors import NotYet
from retrain_ops.registry.events import APPROVAL_TAG, ASKED_AT_TAG, utc_text
from retrain_ops.rollout.approval import ask, awaiting_answer, give_answer
from retrain_ops.rollout.looks import candidate_path
from retrain_ops.rollout.promotion import promote_candidate
from retrain_ops.steps.promote_challenger import _ended_as
from retrain_ops.steps.promote_champion import promote_champion
from tests.unit.registry.test_registry import A, B, instant, promote, registered

REQUIRED = SPEC.replace('"toy"', '"m"') + '\n[rollout]\napproval = "required"\n'
LONG_AGO = datetime.now(UTC) - timedelta(days=8)


@pytest.fixture
def open_run(tmp_path):
    """Opens runs of the day B, whose version 2 waits beside the champion of A."""
    client = Client(Server())

    def opened(spec=REQUIRED, slack=None):
        run = toy_run(tmp_path, client, B, spec=spec, workspace="w")
        return replace(run, slack_webhook=slack.url if slack else None)

    registry = opened().registry
    for day in (A, B):
        version = registered(registry, day)
        registry.open_shadow(version, opened_at=instant(day))
        if day == A:
            promote(registry, registry.version(version.number))
    registry.set_state(registry.version("2"), "shadow_passed")
    return opened


def tag(run, key, value):
    run.registry.set_tag(run.registry.version("2"), key, value)


def record(run, as_of):
    return run.workspace.read_json(candidate_path(run, run.registry.version("2"), as_of))


def test_without_an_answer_it_waits_and_begins_to_count(open_run):
    run = open_run()
    with pytest.raises(NotYet, match="waits for approval until"):
        promote_champion(run)
    asked = run.registry.version("2").tags[ASKED_AT_TAG]
    with pytest.raises(NotYet):
        promote_champion(run)
    assert run.registry.version("2").tags[ASKED_AT_TAG] == asked
    assert run.registry.snapshot().aliases["champion"] == "1"


def test_an_approved_candidate_is_promoted_from_the_moment_of_the_answer(open_run):
    run = open_run()
    late = instant(B) + timedelta(days=3)
    give_answer(run, awaiting_answer(run), approved=True, by="amy", at=late)
    assert awaiting_answer(run) is None
    look = promote_candidate(run)
    assert (look.verdict, look.effective_from) == ("promoted", utc_text(late))
    told = record(run, late)["promotion"]["approval"]
    assert told == {"verdict": "approved", "by": "amy", "at": utc_text(late)}
    assert promote_candidate(run) == look  # said again by the key that said it
    assert len(run.registry.snapshot().events) == 2


def test_an_early_answer_does_not_shorten_the_shadow(open_run):
    run = open_run()
    early = instant(B) + timedelta(hours=1)
    give_answer(run, awaiting_answer(run), approved=True, by="amy", at=early)
    assert promote_candidate(run).effective_from == utc_text(instant(B) + timedelta(days=1))


def test_a_rejected_candidate_is_closed_with_the_name_of_who_did(open_run):
    run = open_run()
    give_answer(run, awaiting_answer(run), approved=False, by="amy", at=instant(B))
    assert promote_champion(run).verdict == "rejected"
    version = run.registry.version("2")
    assert (version.state, version.closed_at) == ("rejected", instant(B))
    assert version.tags["retrain.rejected_by"] == "amy"
    assert "retrain.approved_by" not in version.tags
    assert record(run, instant(B))["promotion"]["approval"]["verdict"] == "rejected"
    assert run.registry.snapshot().aliases == {"champion": "1"}
    assert promote_champion(run).verdict == "idle"


def test_the_first_answer_stands(open_run):
    run = open_run()
    candidate = awaiting_answer(run)
    give_answer(run, candidate, approved=False, by="amy")
    second = give_answer(run, candidate, approved=True, by="bob")
    assert (second.verdict, second.by) == ("rejected", "amy")


class Crossed(Client):
    """Another answer is written just before each last tag of one: both had found none."""

    other = ""

    def set_model_version_tag(self, name, version, key, value):
        if key == APPROVAL_TAG and value != self.other:
            super().set_model_version_tag(name, version, f"retrain.{self.other}_by", "bob")
        super().set_model_version_tag(name, version, key, value)
        if key == APPROVAL_TAG:
            super().set_model_version_tag(name, version, key, self.other)


def test_of_two_answers_at_once_the_one_that_is_read_back_is_returned(open_run):
    run = open_run()
    crossed = Crossed(run.client.server)
    crossed.other = "rejected"
    crossing = replace(run, registry=replace(run.registry, client=crossed))
    answer = give_answer(crossing, awaiting_answer(run), approved=True, by="amy")
    assert (answer.verdict, answer.by) == ("rejected", "bob")
    assert promote_candidate(run).verdict == "rejected"


def test_a_rejection_that_came_after_the_promotion_is_not_what_promoted_it(open_run):
    run = open_run()
    late = instant(B) + timedelta(days=3)
    give_answer(run, awaiting_answer(run), approved=True, by="amy", at=late)
    promote_candidate(run)
    approved = record(run, late)["promotion"]["approval"]
    tag(run, APPROVAL_TAG, "rejected")
    promote_candidate(run)  # said again
    assert record(run, late)["promotion"]["approval"] == approved


@pytest.mark.parametrize("text", ["approved", " Approved\n"])
def test_a_tag_set_by_hand_counts_from_when_it_is_seen(open_run, text):
    run = open_run()
    tag(run, APPROVAL_TAG, text)
    begun = datetime.now(UTC).replace(microsecond=0)
    assert promote_champion(run).verdict == "promoted"
    tags = run.registry.version("2").tags
    assert tags["retrain.approved_by"] == "unnamed"
    assert tags["retrain.approved_at"] >= utc_text(begun)


def test_a_word_that_is_no_answer_is_none(open_run):
    run = open_run()
    tag(run, APPROVAL_TAG, "yes")
    with pytest.raises(NotYet, match="approved or rejected"):
        promote_champion(run)


def test_silence_closes_the_candidate_by_default(open_run):
    run = open_run()
    tag(run, ASKED_AT_TAG, utc_text(LONG_AGO))
    assert awaiting_answer(run) is None
    assert promote_champion(run).verdict == "expired"
    version = run.registry.version("2")
    assert version.state == "expired"
    assert version.closed_at == (LONG_AGO + timedelta(days=7)).replace(microsecond=0)
    assert APPROVAL_TAG not in version.tags
    late = give_answer(run, version, approved=True, by="amy")
    assert late.verdict == "expired"
    assert promote_champion(run).verdict == "idle"


def test_silence_promotes_where_the_spec_says_so(open_run):
    run = open_run(REQUIRED + 'on_expiry = "approve"\napproval_days = 3\n')
    tag(run, ASKED_AT_TAG, utc_text(LONG_AGO))
    result = promote_champion(run)
    assert result.verdict == "promoted"
    assert result.effective_from == utc_text(LONG_AGO + timedelta(days=3))
    assert run.registry.version("2").tags["retrain.approved_by"] == "on_expiry"


def test_within_the_days_of_the_spec_silence_is_no_answer(open_run):
    run = open_run(REQUIRED + "approval_days = 9\n")
    tag(run, ASKED_AT_TAG, utc_text(LONG_AGO))
    with pytest.raises(NotYet):
        promote_champion(run)


def test_the_first_champion_asks_nobody(tmp_path):
    run = toy_run(tmp_path, Client(Server()), A, spec=REQUIRED)
    version = registered(run.registry, A)
    run.registry.open_shadow(version, opened_at=instant(A))
    run.registry.set_state(run.registry.version("1"), "shadow_passed")
    assert awaiting_answer(run) is None
    assert promote_champion(run).verdict == "promoted"


DECISION = {
    "schema": 1,
    "champion": {"retrain_key": "m/2013-08-01", "model_sha256": "a" * 64},
    "gate": {
        "rules": {},
        **{"f1_champion": 0.4615, "f1_challenger": 0.5161, "rows": 439, "lower_bound": 0.0257},
        "slices": [
            {
                **{"role": "protected", "column": "race", "level": "black", "rows": 44},
                **{"verdict": "undecided", "reason": "too_few_rows"},
                **{"f1_champion": 0.5, "f1_challenger": 0.4878},
            }
        ],
    },
}


def test_slack_is_told_once_with_evidence_link_and_what_to_do(open_run):
    with SlackServer() as slack:
        run = open_run(slack=slack)
        run.workspace.write_json(run.path(DECISION_FILE), DECISION)
        for _ in range(3):
            with pytest.raises(NotYet):
                promote_champion(run)
    (message,) = slack.messages
    shown = html.unescape(message["text"])  # as Slack shows it
    for part in (
        "[APPROVAL] m 2013-08-12: version 2 passed its shadow. Promote it?",
        "all rows: F1 0.4615 -> 0.5161 on 439 rows, lower bound 0.0257",
        "race=black: F1 0.5000 -> 0.4878 on 44 rows (too_few_rows)",
        "it is closed",
        "Answer: http://mlflow.example.com/#/models/m/versions/2",
        "retrain-ops approve --version 2 --by NAME",
    ):
        assert part in shown


def test_a_message_that_slack_refused_is_told_at_the_next_look(open_run):
    with SlackServer(answers=[(503, {})]) as slack:
        run = open_run(slack=slack)
        ask(run, run.registry.version("2"))
        assert slack.messages == []
        ask(run, run.registry.version("2"))
        ask(run, run.registry.version("2"))
        assert len(slack.messages) == 1


def test_a_front_end_killed_before_the_answer_is_whole_asks_again(open_run, monkeypatch):
    run = open_run()
    candidate = awaiting_answer(run)
    wrote = []

    def dies(registry, version, key, value):
        wrote.append(key)
        if key == APPROVAL_TAG:
            raise KeyboardInterrupt
        registry.client.set_model_version_tag(registry.name, version.number, key, value)

    monkeypatch.setattr(type(run.registry), "set_tag", dies)
    with pytest.raises(KeyboardInterrupt):
        give_answer(run, candidate, approved=True, by="amy")
    assert wrote[-1] == APPROVAL_TAG
    assert awaiting_answer(run) is not None


def test_a_key_that_was_decided_never_opens_again_with_other_bytes(open_run):
    run = open_run()
    assert not _ended_as(run)
    give_answer(run, awaiting_answer(run), approved=False, by="amy")
    promote_champion(run)
    assert _ended_as(run)
