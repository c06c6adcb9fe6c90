"""Tags that people may set: what is none of ours is named, counts as absent, and blocks nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from devtools.doubles.registry_server import Client
from devtools.synthetic import SPEC, toy_run
from retrain_ops.comparison.degraded import seen_until
from retrain_ops.errors import NotYet
from retrain_ops.registry.events import APPROVAL_TAG, read_version, utc_instant
from retrain_ops.registry.tags import READERS, SHADOW_DAYS_TAG
from retrain_ops.rollout import news
from retrain_ops.rollout.approval import answer_of
from retrain_ops.rollout.looks import shadow_end
from retrain_ops.rollout.promotion import promote_candidate
from tests.unit.registry.test_registry import A, B, instant, registered, world_with

REQUIRED = SPEC.replace('"toy"', '"m"') + '\n[rollout]\napproval = "required"\n'
JUNK = ("", "junk", "x" * 5000, '{"theirs": []}', "0", "-3", "9" * 40, "9999-12-31T00:00:00Z")


@pytest.fixture
def waiting(tmp_path):
    server, registry = world_with(A)
    registry.open_shadow(registered(registry, B), opened_at=instant(B))
    registry.set_state(registry.version("2"), "shadow_passed")
    run = toy_run(tmp_path, Client(server), B, spec=REQUIRED, workspace="w")
    news.begin(run)
    return run


def spoil(run, tag, text):
    run.registry.client.set_model_version_tag("m", "2", tag, text)


@pytest.mark.parametrize("text", JUNK)
@pytest.mark.parametrize("tag", READERS)
def test_a_spoilt_tag_is_named_until_it_is_set_right(waiting, tag, text):
    assert waiting.registry.verify().ok
    spoil(waiting, tag, text)
    (found,) = waiting.registry.verify().findings
    assert found.startswith(f"version 2: the tag {tag} holds ")
    assert len(found) < 300


@pytest.mark.parametrize("text", JUNK)
@pytest.mark.parametrize("tag", READERS)
def test_a_spoilt_tag_does_not_keep_a_candidate_from_asking(waiting, tag, text):
    spoil(waiting, tag, text)
    with pytest.raises(NotYet, match=r"version 2 .* waits for approval"):
        promote_candidate(waiting)
    assert shadow_end(waiting, waiting.registry.version("2")) == instant(B) + timedelta(days=1)


@pytest.mark.parametrize("text", JUNK)
@pytest.mark.parametrize(("given", "word"), [("approved", "promoted"), ("rejected", "rejected")])
def test_an_answer_whose_time_is_spoilt_counts_from_when_it_is_seen(waiting, given, word, text):
    spoil(waiting, APPROVAL_TAG, given)
    spoil(waiting, f"retrain.{given}_at", text)
    begun = datetime.now(UTC).replace(microsecond=0)
    assert answer_of(waiting, waiting.registry.version("2"), begun).at == begun
    assert promote_candidate(waiting).verdict == word
    written = waiting.registry.version("2").tags[f"retrain.{given}_at"]
    assert begun <= utc_instant(written) <= datetime.now(UTC)
    assert waiting.registry.verify().ok


def test_a_shadow_that_was_extended_ends_as_its_tag_says(waiting):
    spoil(waiting, SHADOW_DAYS_TAG, "3")
    assert shadow_end(waiting, waiting.registry.version("2")) == instant(B) + timedelta(days=3)


@pytest.mark.parametrize(
    ("tags", "until"),
    [
        ({"train_end": "2013-08-01", "threshold_end": "2013-08-03"}, "2013-08-03"),
        ({"train_end": "2013-08-01"}, "2013-08-01"),
        ({"train_end": "junk", "threshold_end": "2013-08-03"}, B.isoformat()),
        ({"train_end": "2013-08-01", "threshold_end": "junk"}, B.isoformat()),
        ({}, B.isoformat()),
    ],
)
def test_a_model_whose_training_days_are_not_known_is_judged_on_none_of_its_window(
    waiting, tags, until
):
    known = waiting.registry.client.get_model_version("m", "2")
    assert seen_until(read_version(replace(known, tags={**known.tags, **tags}))) == until


@pytest.mark.parametrize("key", ["junk", '{"theirs": []}', f"m/{A}", "m/"])
def test_a_key_that_is_not_the_one_of_its_day_is_named(waiting, key):
    spoil(waiting, "retrain_key", key)
    (found,) = waiting.registry.verify().findings
    assert found.startswith(f"version 2: the tag retrain_key holds {key!r}")
    assert found.endswith(f"set it to <model>/{B}")


@pytest.mark.parametrize("text", ["[" * 5000, '{"a":' * 5000])
def test_json_that_is_nested_too_deep_is_junk_like_any_other(waiting, text):
    spoil(waiting, "retrain.intent.0.canary", text)
    waiting.registry.client.set_registered_model_tag("m", "retrain.event.000009", text)
    assert len(waiting.registry.verify().findings) == 2
    waiting.registry.verify(repair=True)
    assert waiting.registry.verify().findings == (
        "the tag retrain.event.000009 holds no event: remove it",
    )
    assert waiting.registry.version("2").state == "shadow_passed"
