"""The operators by themselves: names, templates, being stopped."""

from __future__ import annotations

from typing import Any

import pytest


def _operators() -> tuple[Any, ...]:
    from retrain_ops.airflow.dags import STEP_OPERATORS

    return STEP_OPERATORS


def _public_operators() -> list[tuple[Any, dict[str, Any]]]:
    """Every operator, with the arguments that it does not share."""
    import retrain_ops.airflow as ours

    own: dict[Any, dict[str, Any]] = {
        ours.CheckDriftOperator: {"cron": "text"},
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
