"""The operators by themselves: names, templates, being stopped."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, date, datetime
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from devtools.synthetic import SPEC


def _operators() -> tuple[Any, ...]:
    from retrain_ops.airflow.dags import STEP_OPERATORS

    return STEP_OPERATORS


def _public_operators() -> list[tuple[Any, dict[str, Any]]]:
    """Every operator, with the arguments that it does not share."""
    import retrain_ops.airflow as ours

    own: dict[Any, dict[str, Any]] = {
        ours.CheckDriftOperator: {"cron": "text"},
        ours.LearnOperator: {"cron": "text"},
        ours.RollbackOperator: {"version": "text"},
        ours.SetAliasOperator: {"alias": "text", "version": "text"},
        ours.DriftMonitorOperator: {"asset": ours.retraining_asset("s")},
        ours.PerformanceMonitorOperator: {"asset": ours.retraining_asset("s")},
    }
    return [*own.items(), *((o, {}) for o in _operators() if o not in own)]


SHARED = (
    *("spec", "window_end", "workspace", "tracking_uri"),
    *("model", "segment", "mlflow_conn_id", "slack_conn_id"),
)


def test_every_text_argument_is_templated_and_kept_as_given() -> None:
    for operator, own in _public_operators():
        task = operator(**dict.fromkeys(SHARED, "text"), **own)
        texts = {name for name in vars(task) if getattr(task, name) == "text"}
        assert texts == set(operator.template_fields)


def test_a_task_is_named_after_its_step_unless_told_otherwise() -> None:
    for operator in _operators():
        assert operator(spec="s").task_id == operator.step
        assert operator(spec="s", task_id="mine").task_id == "mine"


def test_rollout_goes_on_when_training_was_skipped_and_the_summary_always_runs() -> None:
    rules = {operator.step: operator(spec="s").trigger_rule.value for operator in _operators()}
    assert {step for step, rule in rules.items() if rule == "none_failed"} == {
        "shadow_test",
        "promote_champion",
        "watch_canary",
    }
    assert rules["summarise"] == "all_done"
    assert rules["train"] == "all_success"


def test_the_public_names_are_the_operators_of_the_dag() -> None:
    import retrain_ops.airflow

    for operator in _operators():
        assert getattr(retrain_ops.airflow, operator.__name__) is operator
    with pytest.raises(AttributeError, match="NoSuchOperator"):
        _ = retrain_ops.airflow.NoSuchOperator


def test_being_stopped_leaves_the_step_by_an_exception() -> None:
    from retrain_ops.errors import CancelledError

    for operator in _operators():
        with pytest.raises(CancelledError, match=operator.step):
            operator(spec="s").on_kill()


def test_a_time_limit_keeps_its_own_exception() -> None:
    from retrain_ops.airflow.compat import AirflowTaskTimeout

    task = _operators()[3](spec="s")
    try:
        raise AirflowTaskTimeout
    except AirflowTaskTimeout:
        task.on_kill()  # as Airflow calls it before it raises again; it must not raise itself


@pytest.mark.parametrize("window_end", ["2013-08-14", "newest"])
def test_a_task_reads_its_spec_once(
    window_end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import retrain_ops.run
    from retrain_ops.airflow import ShadowTestOperator
    from retrain_ops.spec import spec as specs

    (tmp_path / "toy.toml").write_text(SPEC)
    reads: list[Path] = []
    load = specs.load_spec

    def counted(path: Any, **given: Any) -> Any:
        reads.append(path)
        return load(path, **given)

    monkeypatch.setattr(specs, "load_spec", counted)
    monkeypatch.setattr(retrain_ops.run, "load_spec", counted)
    dag_run = SimpleNamespace(run_id="r", run_type="manual", conf={})
    context = {"dag_run": dag_run, "logical_date": datetime(2013, 8, 14, 3, tzinfo=UTC)}
    task = ShadowTestOperator(
        spec=str(tmp_path / "toy.toml"),
        window_end=window_end,
        workspace=str(tmp_path / "workspace"),
        tracking_uri="http://127.0.0.1:9",
    )
    assert task.open_run(context).window.end == date(2013, 8, 14)
    assert len(reads) == 1


class _HeldWorkspace:
    """Another run is at work on the model."""

    def __init__(self) -> None:
        self.patience: list[float] = []

    @contextmanager
    def lock(self, *, patience_s: float = 900.0) -> Any:
        from retrain_ops.errors import BusyError

        self.patience.append(patience_s)
        raise BusyError("another run has held the lock")
        yield


def test_a_question_waits_for_the_lock_without_its_worker(
    airflow_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from retrain_ops.airflow import approval
    from retrain_ops.airflow.base import LOCK_PATIENCE_S
    from retrain_ops.airflow.compat import AIRFLOW_3, HITL

    home = import_module("airflow.sdk.exceptions" if AIRFLOW_3 else "airflow.exceptions")
    deferral = home.TaskDeferred
    workspace = _HeldWorkspace()
    asks = approval.ApproveCandidateOperator if HITL else approval.ApprovalSensor
    for kind in {asks, approval.ApprovalSensor}:
        task = kind(spec="s")
        monkeypatch.setattr(task, "open_run", lambda context: SimpleNamespace(workspace=workspace))
        monkeypatch.setattr(task, "_link", lambda context: None, raising=False)
        with pytest.raises(deferral) as deferred:
            task.execute({})
        assert deferred.value.kwargs["asked"] is False
        if kind is not approval.ApprovalSensor:
            answer = {"number": "2", "approved": True, "by": "amy", "at": "2013-08-14T02:00:00Z"}
            with pytest.raises(deferral) as deferred:
                task.resume({}, answer=answer)
            assert deferred.value.kwargs["answer"] == answer  # nobody has to give it again
    assert set(workspace.patience) == {LOCK_PATIENCE_S}


def test_a_misspelt_option_of_a_factory_is_refused() -> None:
    from retrain_ops.airflow import retraining_dag

    with pytest.raises(TypeError, match="'workspce'"):
        retraining_dag("s.toml", workspce="somewhere")
