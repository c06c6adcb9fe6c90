"""Which steps a flow run runs, for which day, in which state it ends, and who is told."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from devtools.doubles.steps import Recorder
from devtools.servers.prefect_server import PrefectServer
from devtools.servers.processes import PATIENCE_S, wait_until

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


def _retrain(options: dict[str, Any], **parameters: Any) -> Any:
    from retrain_ops.prefect import retraining_flow

    return retraining_flow(**options)(window_end=DAY, return_state=True, **parameters)


def test_a_day_with_drift_runs_ten_steps_in_order(
    recorder: Recorder, options: dict[str, Any], prefect_server: PrefectServer
) -> None:
    state = _retrain(options)
    assert recorder.steps_run == [*TRAINING, *ROLLOUT, "summarise"]
    assert state.name == "Completed"
    assert {run.window.end for _, run in recorder.calls} == {DAY}
    asked = {"flow_runs": {"id": {"any_": [str(state.state_details.flow_run_id)]}}}

    def shown() -> bool:  # task runs reach the server as events, a moment later
        tasks = prefect_server.api("POST", "/task_runs/filter", asked)
        return sorted(t["name"].rsplit("-", 1)[0] for t in tasks) == sorted(recorder.steps_run)

    wait_until("a task per step", PATIENCE_S, shown)


def test_no_drift_runs_no_training_and_goes_on_with_the_rollout(
    recorder: Recorder, options: dict[str, Any]
) -> None:
    recorder.outcomes["check_drift"] = lambda run: {"triggered": False, "status": "skipped"}
    assert _retrain(options).name == "Completed"
    assert recorder.steps_run == ["check_drift", *ROLLOUT, "summarise"]
    assert recorder.alerts == []


def test_refused_data_is_one_alert_a_summary_and_a_failed_flow(
    recorder: Recorder, options: dict[str, Any]
) -> None:
    from retrain_ops.errors import ValidationError

    recorder.fails("validate_data", *[ValidationError("label rate 0.9 is out of range")] * 9)
    state = _retrain(options | {"retries": 3})
    assert state.is_failed()
    assert "label rate 0.9" in state.message
    assert recorder.steps_run == ["check_drift", "pull_data", "validate_data", "summarise"]
    assert recorder.alerts == [("validate_data", "label rate 0.9 is out of range")]


def test_a_failure_that_a_retry_mends_alerts_nobody(
    recorder: Recorder, options: dict[str, Any]
) -> None:
    recorder.fails("train", OSError("the disk was away"))
    assert _retrain(options | {"retries": 1}).is_completed()
    assert recorder.steps_run.count("train") == 2
    assert [run.context.try_number for name, run in recorder.calls if name == "train"] == [1, 2]
    assert recorder.alerts == []


def test_a_failure_to_the_last_try_is_one_alert(
    recorder: Recorder, options: dict[str, Any]
) -> None:
    recorder.fails("train", OSError("first"), OSError("second"))
    assert _retrain(options | {"retries": 1}).is_failed()
    assert recorder.alerts == [("train", "second")]


def test_a_shadow_that_is_not_over_completes_the_run_as_not_yet(
    recorder: Recorder, options: dict[str, Any]
) -> None:
    from retrain_ops.errors import NotYet

    until = datetime(2013, 8, 15, 2, tzinfo=UTC)
    recorder.fails("shadow_test", NotYet("the shadow ends at 02:00", until=until))
    state = _retrain(options | {"retries": 3})
    assert (state.type.value, state.name) == ("COMPLETED", "NotYet")
    assert "the shadow ends at 02:00" in state.message
    assert recorder.steps_run == [*TRAINING, *ROLLOUT, "summarise"]
    assert recorder.alerts == []


def test_a_summary_without_a_decision_fails_the_flow(
    recorder: Recorder, options: dict[str, Any]
) -> None:
    recorder.outcomes["summarise"] = lambda run: {"status": "failed", "outcome": "failed"}
    assert _retrain(options).is_failed()


def test_a_failure_before_the_first_step_is_told_by_the_hook(
    recorder: Recorder, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from retrain_ops.prefect import flows

    def no_slot(model: str) -> Any:
        raise TimeoutError("no slot")

    monkeypatch.setattr(flows, "model_slot", no_slot)
    assert _retrain(options).is_failed()
    assert recorder.alerts[0][0] == "flow"
    assert "no slot" in recorder.alerts[0][1]


def test_the_parameters_reach_the_steps(recorder: Recorder, options: dict[str, Any]) -> None:
    _retrain(options, force=True, bootstrap=True)
    contexts = {run.context for _, run in recorder.calls}
    assert len(contexts) == 1
    context = contexts.pop()
    assert (context.orchestrator, context.forced, context.bootstrap) == ("prefect", True, True)
    assert context.dag_run_id


def test_the_rollout_flow_looks_and_ends(recorder: Recorder, options: dict[str, Any]) -> None:
    from retrain_ops.prefect import rollout_flow

    assert rollout_flow(**options)(return_state=True).name == "Completed"
    assert recorder.steps_run == list(ROLLOUT)
    (end,) = {run.window.end for _, run in recorder.calls}
    assert end in {datetime.now(UTC).date() - timedelta(days=i) for i in (0, 1)}
    assert all(run.window.instant <= datetime.now(UTC) for _, run in recorder.calls)
    assert all(run.context.look for _, run in recorder.calls)  # the day's own record is not its


def test_one_run_of_a_model_at_a_time(
    recorder: Recorder, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from retrain_ops.errors import ConflictError
    from retrain_ops.prefect import flows

    with flows.model_slot("toy"):
        # only the run that must not get the slot is in a hurry: a busy server takes its time
        with monkeypatch.context() as hurry:
            hurry.setattr(flows, "SLOT_PATIENCE_S", 1.0)
            state = _retrain(options)
        with flows.model_slot("another"):
            pass
    assert state.is_failed()
    assert recorder.steps_run == []
    with pytest.raises(ConflictError, match="concurrency slot retrain-ops-toy"):
        state.result()
    assert _retrain(options).is_completed()  # the slot was given back


@pytest.mark.parametrize(
    ("given", "scheduled", "day"),
    [
        (DAY, datetime(2026, 1, 1, tzinfo=UTC), DAY),
        (None, datetime(2013, 8, 14, 23, 59, tzinfo=UTC), DAY),
        (None, datetime.fromisoformat("2013-08-13T22:00:00-04:00"), DAY),
    ],
)
def test_the_day_of_a_run(given: Any, scheduled: datetime, day: date) -> None:
    from retrain_ops.prefect.target import resolve_window_end

    assert resolve_window_end(given, scheduled) == day


def test_a_run_without_any_day_is_refused() -> None:
    from retrain_ops.errors import ConfigError
    from retrain_ops.prefect.target import resolve_window_end

    with pytest.raises(ConfigError, match="window_end"):
        resolve_window_end(None, None)


@pytest.mark.parametrize(
    ("tags", "word"),
    [
        (["auto-scheduled"], "schedule"),
        (["backfill", "auto-scheduled"], "backfill"),
        ([], "manual"),
    ],
)
def test_the_record_says_what_started_the_run(tags: list[str], word: str) -> None:
    from retrain_ops.prefect.target import trigger_of

    assert trigger_of(tags) == word


def test_importing_the_package_imports_neither_prefect_nor_numpy() -> None:
    import subprocess
    import sys

    code = "import sys, retrain_ops.prefect; assert not {'prefect', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_flow_run_reads_its_spec_once(
    recorder: Recorder, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import retrain_ops.run
    from retrain_ops.prefect import rollout_flow
    from retrain_ops.spec import spec as specs

    reads: list[Path] = []
    load = specs.load_spec

    def counted(path: Any, **given: Any) -> Any:
        reads.append(path)
        return load(path, **given)

    monkeypatch.setattr(specs, "load_spec", counted)
    monkeypatch.setattr(retrain_ops.run, "load_spec", counted)
    assert _retrain(options).is_completed()
    assert len(reads) == 1
    assert rollout_flow(**options)(return_state=True).is_completed()
    assert len(reads) == 2


def test_a_misspelt_option_of_a_factory_is_refused() -> None:
    from retrain_ops.prefect import retraining_flow

    with pytest.raises(TypeError, match="'workspce'"):
        retraining_flow("s.toml", workspce="somewhere")


def test_a_timeout_ends_a_long_c_call_and_the_flow(
    recorder: Recorder, options: dict[str, Any]
) -> None:
    """Seconds of the processor: on a busy machine the clock has run on when the call is stopped."""
    import time

    import numpy as np

    from retrain_ops import _core
    from retrain_ops.prefect import retraining_flow

    x = np.random.default_rng(0).normal(size=(50_000, 20))
    y = (x[:, 0] > 0).astype(np.uint8)
    features: list[Any] = [(f"f{i}", "numeric", []) for i in range(20)]
    params = {"n_estimators": 5000}
    spans: list[float] = []

    def long(run: Any) -> dict[str, Any]:
        begun = time.process_time()
        try:
            _core.gbdt_train(x, y, features=features, params=params, seed=1, n_threads=1)
        finally:
            spans.append(time.process_time() - begun)
        return {}

    recorder.outcomes["train"] = long
    for seconds in (5, 30):  # the longer one where a busy machine came too late to the call
        recorder.calls.clear()
        recorder.alerts.clear()
        flow = retraining_flow(**options, timeout_seconds=seconds)
        state = flow(window_end=DAY, return_state=True)
        if spans:
            break
    assert state.name == "TimedOut"
    assert spans[0] < seconds + 1  # the whole flow had those, and the call checks every 50 ms
    assert "evaluate" not in recorder.steps_run
    assert len(recorder.alerts) == 1
