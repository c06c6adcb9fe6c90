"""Which state a run ends in, and who is told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from tests.airflow.conftest import FakeRun, Recorder

DAY = date(2013, 8, 14)
TRAINING = (
    "check_drift",
    "pull_data",
    "validate_data",
    "train",
    "evaluate",
    "promote_challenger",
)
ROLLOUT = ("shadow_test", "promote_champion", "watch_canary")


def _raise(error: Exception) -> Callable[[FakeRun], dict[str, Any]]:
    def outcome(run: FakeRun) -> dict[str, Any]:
        raise error

    return outcome


def test_a_day_with_drift_runs_ten_steps_in_order(recorder: Recorder, run_day: Any) -> None:
    finished = run_day(DAY)
    assert recorder.steps_run == [*TRAINING, *ROLLOUT, "summarise"]
    assert finished.state == "success"
    assert set(finished.tasks.values()) == {"success"}
    assert {run.date for _, run in recorder.calls} == {DAY}


def test_no_drift_skips_training_and_goes_on_with_the_rollout(
    recorder: Recorder, run_day: Any
) -> None:
    recorder.outcomes["check_drift"] = lambda run: {"triggered": False, "summary": "psi 0.08"}
    finished = run_day(DAY)
    assert recorder.steps_run == ["check_drift", *ROLLOUT, "summarise"]
    assert {finished.tasks[name] for name in TRAINING} == {"skipped"}
    assert {finished.tasks[name] for name in (*ROLLOUT, "summarise", "watcher")} == {"success"}
    assert finished.state == "success"
    assert recorder.alerts == []


def test_failed_validation_is_one_alert_a_summary_and_a_red_run(
    recorder: Recorder, run_day: Any
) -> None:
    from retrain_ops.errors import ValidationError

    recorder.outcomes["validate_data"] = _raise(ValidationError("label rate 0.9 is out of range"))
    finished = run_day(DAY, retries=3, retry_delay=timedelta(0))
    assert finished.state == "failed"
    assert recorder.steps_run == ["check_drift", "pull_data", "validate_data", "summarise"]
    assert finished.tasks["validate_data"] == "failed"
    assert finished.tasks["train"] == finished.tasks["watch_canary"] == "upstream_failed"
    assert finished.tasks["watcher"] == "upstream_failed"
    assert recorder.alerts == [("validate_data", DAY, "label rate 0.9 is out of range")]


def test_a_step_that_never_reached_python_is_alerted_by_the_run(
    recorder: Recorder, run_day: Any, monkeypatch: Any
) -> None:
    from retrain_ops.airflow.operators import TrainOperator

    def killed(self: TrainOperator, context: Any) -> dict[str, Any]:
        raise RuntimeError("as if the worker had been killed before the step began")

    monkeypatch.setattr(TrainOperator, "_perform", killed)
    finished = run_day(DAY)
    assert finished.state == "failed"
    assert [(step, day) for step, day, _ in recorder.alerts] == [("train", DAY)]
    assert "worker was killed" in recorder.alerts[0][2]


def test_a_failure_that_a_retry_mends_alerts_nobody(recorder: Recorder, run_day: Any) -> None:
    def once(run: FakeRun) -> dict[str, Any]:
        if run.context.try_number == 1:
            raise ConnectionError("the registry did not answer")
        return {}

    recorder.outcomes["evaluate"] = once
    finished = run_day(DAY, retries=1, retry_delay=timedelta(0))
    assert finished.state == "success"
    assert recorder.steps_run.count("evaluate") == 2
    assert recorder.alerts == []


def test_a_shadow_that_is_not_over_defers_and_comes_back(
    recorder: Recorder, run_day: Any, monkeypatch: Any
) -> None:
    from retrain_ops.airflow import base
    from retrain_ops.errors import NotYet

    monkeypatch.setattr(base, "_WAIT_AT_LEAST", timedelta(seconds=1))
    until = datetime.now(UTC)

    def once(run: FakeRun) -> dict[str, Any]:
        if recorder.steps_run.count("shadow_test") == 1:
            raise NotYet("the shadow is not over", until=until)
        return {}

    recorder.outcomes["shadow_test"] = once
    finished = run_day(DAY)
    assert finished.state == "success"
    assert recorder.steps_run.count("shadow_test") == 2
    assert recorder.alerts == []


def test_a_manual_run_takes_its_day_from_the_form(recorder: Recorder, run_day: Any) -> None:
    run_day(DAY, conf={"window_end": "2013-08-20", "force": True})
    assert {run.date for _, run in recorder.calls} == {date(2013, 8, 20)}
    context = recorder.calls[0][1].context
    assert context.forced
    assert context.trigger == "manual"
    assert context.orchestrator == "airflow"
    assert context.logical_date.startswith("2013-08-14T02:00:00")


def test_a_lock_that_another_run_holds_is_waited_for_and_alerts_nobody(
    recorder: Recorder, run_day: Any, monkeypatch: Any
) -> None:
    from retrain_ops.airflow import base
    from retrain_ops.errors import BusyError

    monkeypatch.setattr(base, "_WAIT_AT_LEAST", timedelta(seconds=1))
    monkeypatch.setattr(base, "_LOOK_AT_LOCK_EVERY", timedelta(0))

    def twice(run: FakeRun) -> dict[str, Any]:
        if recorder.steps_run.count("pull_data") < 3:
            raise BusyError("another run has held the lock")
        return {}

    recorder.outcomes["pull_data"] = twice
    assert run_day(DAY).state == "success"
    assert recorder.steps_run.count("pull_data") == 3
    assert recorder.alerts == []


def test_the_wait_for_a_lock_has_an_end_that_is_told(
    recorder: Recorder, run_day: Any, monkeypatch: Any
) -> None:
    from retrain_ops.airflow import base

    monkeypatch.setattr(base, "_BUSY_AT_MOST", timedelta(0))
    from retrain_ops.errors import BusyError

    recorder.outcomes["pull_data"] = _raise(BusyError("another run has held the lock"))
    finished = run_day(DAY)
    assert finished.state == "failed"
    assert recorder.alerts == [("pull_data", DAY, "another run has held the lock")]


def test_segments_are_expanded_and_one_of_them_skips_alone(
    recorder: Recorder, run_day: Any
) -> None:
    recorder.outcomes["check_drift"] = lambda run: {"triggered": run.segment == "eu"}
    finished = run_day(DAY, segments=("eu", "us"), max_active_tis_per_dag=1)
    assert finished.state == "success"
    assert {run.segment for _, run in recorder.calls} == {"eu", "us"}
    trained = [run.segment for step, run in recorder.calls if step == "train"]
    looked = sorted(run.segment for step, run in recorder.calls if step == "watch_canary")
    assert (trained, looked) == (["eu"], ["eu", "us"])


def test_a_failed_segment_is_a_red_run_and_one_alert(recorder: Recorder, run_day: Any) -> None:
    from retrain_ops.errors import ValidationError

    def refuse(run: FakeRun) -> dict[str, Any]:
        if run.segment == "us":
            raise ValidationError("refused")
        return {}

    recorder.outcomes["validate_data"] = refuse
    assert run_day(DAY, segments=("eu", "us")).state == "failed"
    assert [run.segment for step, run in recorder.calls if step == "summarise"].count("eu") == 1
    assert recorder.alerts == [("validate_data", DAY, "refused")]


def test_the_rollout_looks_as_of_the_newest_instant_and_waits_for_nothing(
    recorder: Recorder, run_day: Any, tmp_path: Any
) -> None:
    from retrain_ops.errors import NotYet

    spec = tmp_path / "toy.toml"
    spec.write_text(
        '[model]\nname = "toy"\n[source]\npath = "rows"\nlabel = "y"\n'
        '[features]\nnumeric = ["a"]\n[window]\ncutoff_time = "05:00"\n'
    )
    wait = NotYet("the shadow is not over", until=datetime.now(UTC) + timedelta(days=1))
    recorder.outcomes["shadow_test"] = _raise(wait)
    instant = datetime(2013, 8, 15, 4, 45, tzinfo=UTC)
    finished = run_day.factory("rollout_dag", instant, spec=str(spec))
    assert recorder.steps_run == list(ROLLOUT)
    assert finished.tasks["shadow_test"] == "skipped"
    assert finished.state == "success"
    assert {run.date for _, run in recorder.calls} == {DAY}
    assert all(run.context.look for _, run in recorder.calls)
