"""Monitors tell an edge once, events ask for a window, and days without a run are noticed."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

import retrain_ops.monitoring.missed
from devtools.synthetic import FIRST, bootstrap, toy_run, write_days
from retrain_ops.cli.main import run_day
from retrain_ops.errors import ConfigError
from retrain_ops.monitoring.missed import record_missed
from retrain_ops.monitoring.monitor import watch
from retrain_ops.rollout.by_hand import roll_back, set_alias
from retrain_ops.run import RunContext
from retrain_ops.spec.window import days_between
from retrain_ops.steps.runner import run_step

START = FIRST + timedelta(days=20)


@pytest.fixture
def world(tmp_path, client, messages):
    """Feature `a` is shifted from day 25 to the end: drift that begins and stays."""
    write_days(tmp_path / "rows", 60, shift_from=25, shift=2.0)
    bootstrap(tmp_path, client, START)
    return tmp_path


def look(world, client, day, run_id="r"):
    context = RunContext(dag_run_id=f"{run_id}-{day}", look=True)
    return watch("drift", toy_run(world, client, START + timedelta(days=day), context=context))


def test_the_edge_is_told_once_and_the_level_is_not(world, client):
    looks = [look(world, client, day) for day in (1, 8, 9, 10)]
    assert [r.holds for r in looks] == [False, True, True, True]
    assert [r.begins for r in looks] == [False, True, False, False]
    assert looks[3].since == (START + timedelta(days=8)).isoformat()


def test_only_the_run_that_saw_it_begin_repeats_its_event(world, client):
    assert look(world, client, 8, "first").begins
    assert look(world, client, 8, "first").begins  # its event may have died with it
    assert not look(world, client, 8, "second").begins
    assert not look(world, client, 9, "first").begins


def test_a_look_behind_the_newest_changes_nothing(world, client):
    assert look(world, client, 9).begins
    assert not look(world, client, 8, "backfill").begins
    assert not look(world, client, 1, "backfill").begins
    assert not look(world, client, 10).begins


def test_a_condition_that_ended_can_begin_again(world, client):
    shifted = toy_run(world, client, START + timedelta(days=9))
    assert look(world, client, 8).begins
    state = f"{shifted.model}/monitors/drift.json"
    ended = (START + timedelta(days=9)).isoformat()
    quiet = {"window_end": ended, "holds": False, "since": None, "told_by": None}
    shifted.workspace.overwrite_json(state, quiet)
    assert look(world, client, 10).begins


def test_a_monitor_leaves_no_record_in_the_key(world, client):
    look(world, client, 8)
    run = toy_run(world, client, START + timedelta(days=8))
    assert run.read("run.json") is None
    assert run.read("drift_counts.json") is None


def test_performance_needs_its_table(world, client):
    with pytest.raises(ConfigError, match=r"\[degraded\]"):
        watch("degraded", toy_run(world, client, START + timedelta(days=1)))


def test_an_event_asks_for_its_window_and_a_rerun_repeats_the_decision(world, client):
    day = START + timedelta(days=1)  # nothing has drifted here
    asked = RunContext(trigger="asset", reason="degraded")
    assert run_day(toy_run(world, client, day, context=asked))["outcome"] != "no_train"
    run = toy_run(world, client, day)
    before = run.workspace.read(run.path("decision.json"))
    assert run.read("decision.json")["drift"]["reason"] == "degraded"
    run_day(run)
    assert run.workspace.read(run.path("decision.json")) == before


def test_drift_that_the_data_show_is_one_decision_with_and_without_an_event(world, client):
    day = START + timedelta(days=8)
    first = toy_run(world, client, day, context=RunContext(trigger="asset", reason="degraded"))
    run_step("check_drift", first)
    assert first.read("check_drift.json")["reason"] == "drift"


def test_a_look_keeps_its_steps_and_alerts_apart_from_the_days_run(world, client, messages):
    from retrain_ops.steps.alerts import alert_failure

    run = toy_run(world, client, START)
    looking = replace(run, context=RunContext(look=True))
    run_step("watch_canary", looking)
    assert run.read("run.json")["looks"]["watch_canary"]["status"] == "idle"
    assert alert_failure(looking, "watch_canary", "x")
    assert not alert_failure(looking, "shadow_test", "x")
    assert alert_failure(run, "train", "y")  # the look has not used up the day's alert


def due(after: date):
    return days_between(after + timedelta(days=1), START + timedelta(days=30))


def test_days_that_no_run_came_for_are_told_once(world, client, monkeypatch):
    told = []
    monkeypatch.setattr(
        retrain_ops.monitoring.missed, "send", lambda text, *, webhook_url: told.append(text)
    )
    scheduled = RunContext(trigger="schedule")
    days = [START + timedelta(days=n) for n in range(1, 6)]
    first, last = (toy_run(world, client, d, context=scheduled) for d in (days[0], days[4]))
    assert record_missed(first, due) == ()  # nothing was scheduled before it
    run_step("check_drift", first)
    run_step("check_drift", toy_run(world, client, days[2]))  # by hand: it ran
    run_step("watch_canary", toy_run(world, client, days[3], context=RunContext(look=True)))
    assert record_missed(last, due) == (days[1], days[3])
    assert record_missed(last, due) == ()
    (text,) = told
    assert f"[MISSED] toy: no run came for {days[1]}, {days[3]};" in text


def test_a_rollback_without_a_version_can_be_called_again(world, client, server):
    run = toy_run(world, client, START)
    with pytest.raises(Exception, match="first champion"):
        roll_back(run)
    with pytest.raises(ConfigError, match="nobody has @champion"):
        roll_back(replace(run, registry=replace(run.registry, name="nobody")))
    assert server.models["toy"].aliases == {"champion": "1"}


@pytest.mark.parametrize("alias", ["champion", "previous", "challenger"])
def test_the_registrys_own_aliases_are_refused(world, client, alias):
    with pytest.raises(ConfigError, match="follows the registry's events"):
        set_alias(toy_run(world, client, START), alias, "1")
