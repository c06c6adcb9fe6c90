"""Which steps a run runs, for which day, how it ends, what it shows, and who hears of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from devtools.doubles.steps import Recorder
from retrain_ops.steps.runner import ROLLOUT, STEPS

DAY = date(2013, 8, 14)
RunDay = Callable[..., Any]


def skipped(result: Any) -> int:
    return sum(event.event_type_value == "STEP_SKIPPED" for event in result.all_events)


def failure(result: Any) -> str:
    """What the run says of its failed step, causes included."""
    (event,) = (e for e in result.all_events if e.event_type_value == "STEP_FAILURE")
    return str(event.event_specific_data.error_display_string)


def news(instance: Any, kind: str) -> list[Any]:
    import dagster as dg

    wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(["toy", kind]))
    return list(instance.fetch_materializations(wanted, limit=50).records)


def test_a_day_with_drift_runs_ten_steps_in_order(
    recorder: Recorder, options: dict[str, Any], run_day: RunDay
) -> None:
    result = run_day(options, DAY)
    assert result.success
    assert recorder.steps_run == list(STEPS)
    assert {run.window.end for _, run in recorder.calls} == {DAY}
    assert skipped(result) == 0
    (done,) = (e for e in result.get_asset_materialization_events() if e.partition)
    assert (done.asset_key.path, done.partition) == (["toy", "day"], DAY.isoformat())


def test_no_drift_skips_training_and_goes_on_with_the_rollout(
    recorder: Recorder, options: dict[str, Any], run_day: RunDay
) -> None:
    recorder.outcomes["check_drift"] = lambda run: {"triggered": False, "status": "skipped"}
    result = run_day(options, DAY)
    assert result.success
    assert recorder.steps_run == ["check_drift", *ROLLOUT, "summarise"]
    assert skipped(result) == 5
    assert recorder.alerts == []
    assert len(result.get_asset_check_evaluations()) == 2


def test_refused_data_is_one_alert_a_summary_a_failed_check_and_a_failed_run(
    recorder: Recorder, options: dict[str, Any], run_day: RunDay, instance: Any
) -> None:
    import dagster as dg

    from retrain_ops.errors import ValidationError

    recorder.fails("validate_data", *[ValidationError("label rate 0.9 is out of range")] * 9)
    result = run_day(options | {"retries": 3}, DAY)
    assert not result.success
    assert "label rate 0.9" in failure(result)
    assert recorder.steps_run == ["check_drift", "pull_data", "validate_data", "summarise"]
    assert recorder.alerts == [("validate_data", "label rate 0.9 is out of range")]
    key = dg.AssetCheckKey(dg.AssetKey(["toy", "day"]), "data_valid")
    newest, *_ = instance.event_log_storage.get_asset_check_execution_history(key, limit=5)
    assert newest.status.value == "FAILED"


def test_a_failure_that_a_retry_fixes_alerts_nobody(
    recorder: Recorder, options: dict[str, Any], run_day: RunDay
) -> None:
    recorder.fails("train", OSError("the disk was away"))
    assert run_day(options | {"retries": 1}, DAY).success
    assert [run.context.try_number for name, run in recorder.calls if name == "train"] == [1, 2]
    assert recorder.alerts == []


def test_a_failure_to_the_last_try_is_one_alert_and_says_its_cause(
    recorder: Recorder, options: dict[str, Any], run_day: RunDay
) -> None:
    recorder.fails("train", OSError("first"), OSError("second"))
    result = run_day(options | {"retries": 1}, DAY)
    assert not result.success
    assert "second" in failure(result)
    assert recorder.alerts == [("train", "second")]
    assert recorder.steps_run[-1] == "summarise"


def test_a_step_that_is_stopped_is_not_begun_again(
    recorder: Recorder, options: dict[str, Any], run_day: RunDay
) -> None:
    def stopped(run: Any) -> dict[str, Any]:
        raise KeyboardInterrupt

    recorder.outcomes["train"] = stopped
    assert not run_day(options | {"retries": 3}, DAY).success
    assert recorder.steps_run.count("train") == 1
    assert recorder.steps_run[-1] == "train"


def test_a_shadow_that_is_not_over_lets_the_day_succeed(
    recorder: Recorder, options: dict[str, Any], run_day: RunDay
) -> None:
    from retrain_ops.errors import NotYet

    recorder.fails("shadow_test", NotYet("until 02:00", until=datetime(2013, 8, 15, 2, tzinfo=UTC)))
    assert run_day(options | {"retries": 3}, DAY).success
    assert recorder.steps_run == list(STEPS)
    assert recorder.alerts == []


def test_a_day_refused_behind_a_failed_one_fails_without_an_alert(
    recorder: Recorder, options: dict[str, Any], run_day: RunDay
) -> None:
    from retrain_ops.errors import OutOfOrderError

    recorder.fails("check_drift", *[OutOfOrderError("toy/2013-08-14 waits for toy/2013-08-13")] * 9)
    result = run_day(options | {"retries": 3}, DAY)
    assert "waits for toy/2013-08-13" in failure(result)
    assert recorder.steps_run == ["check_drift"]
    assert recorder.alerts == []


def test_tags_reach_the_steps_and_say_what_started_the_run(
    recorder: Recorder, options: dict[str, Any], run_day: RunDay
) -> None:
    tags = {"retrain_ops/force": "true", "retrain_ops/bootstrap": "true"}
    result = run_day(options | {"url": "http://dagster:3000/"}, DAY, tags=tags)
    (context,) = {run.context for _, run in recorder.calls}
    assert (context.orchestrator, context.forced, context.bootstrap) == ("dagster", True, True)
    assert (context.trigger, context.ordered) == ("manual", False)
    assert context.dag_run_id == result.run_id
    assert context.url == f"http://dagster:3000/runs/{result.run_id}"


@pytest.mark.parametrize(
    ("tag", "trigger", "ordered"),
    [
        ("dagster/schedule_name", "schedule", False),
        ("dagster/sensor_name", "asset", False),
        ("dagster/backfill", "backfill", True),
    ],
)
def test_a_backfill_wants_its_days_in_order(
    recorder: Recorder,
    options: dict[str, Any],
    run_day: RunDay,
    tag: str,
    trigger: str,
    ordered: bool,
) -> None:
    run_day(options, DAY, tags={tag: "x"})
    (context,) = {run.context for _, run in recorder.calls}
    assert (context.trigger, context.ordered) == (trigger, ordered)


def test_the_rollout_job_looks_and_ends(
    recorder: Recorder, options: dict[str, Any], run_day: RunDay
) -> None:
    assert run_day(options, None, "retrain_toy_rollout").success
    assert recorder.steps_run == list(ROLLOUT)
    (end,) = {run.window.end for _, run in recorder.calls}
    assert end in {datetime.now(UTC).date() - timedelta(days=i) for i in (0, 1)}
    assert all(run.context.look for _, run in recorder.calls)


def test_a_run_of_many_days_is_refused_for_a_step_knows_one(
    recorder: Recorder, options: dict[str, Any], run_day: RunDay
) -> None:
    tags = {
        "dagster/asset_partition_range_start": DAY.isoformat(),
        "dagster/asset_partition_range_end": (DAY + timedelta(days=1)).isoformat(),
    }
    result = run_day(options, None, tags=tags)
    assert not result.success
    assert "partition_key" in failure(result)
    assert recorder.calls == []


def test_what_changes_is_an_event_of_an_external_asset_once(
    recorder: Recorder, options: dict[str, Any], run_day: RunDay, instance: Any
) -> None:
    assert run_day(options, DAY).success
    assert [news(instance, kind) for kind in ("drift", "challenger", "champion")] == [[], [], []]
    recorder.outcomes["check_drift"] = lambda run: {"reason": "drift"}
    recorder.outcomes["promote_champion"] = lambda run: {"verdict": "promoted"}
    for _ in range(2):
        assert run_day(options, DAY).success
    for kind in ("drift", "champion"):
        (record,) = news(instance, kind)
        assert record.asset_materialization.partition == DAY.isoformat()
    assert news(instance, "challenger") == []
