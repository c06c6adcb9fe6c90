"""What the factory and the component define, and what they leave to the user."""

from __future__ import annotations

import subprocess
import sys
import traceback
from datetime import UTC, datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from devtools.doubles.steps import SPEC
from retrain_ops.steps.runner import STEPS

DEFS_YAML = {
    "type": "retrain_ops.dagster.RetrainingComponent",
    "attributes": {"spec": "toy.toml", "start_date": "2026-01-01", "registered_model": "toy_eu"},
}


def names(defs: Any) -> set[str]:
    return {key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()}


def test_a_model_is_one_asset_of_ten_ops_and_three_that_change_outside() -> None:
    from retrain_ops.dagster import retraining_assets

    defs = retraining_assets("somewhere/toy.toml")  # nothing is read: the file is not there
    assert names(defs) == {f"toy/{kind}" for kind in ("day", "drift", "challenger", "champion")}
    graph = defs.resolve_asset_graph()
    (day,) = (n for n in graph.asset_nodes if n.key.path == ["toy", "day"])
    assert day.parent_keys == {day.key}
    assert day.pools == {"retrain_toy"}
    assert {key.name for key in graph.asset_check_keys} == {"data_valid", "gate"}
    ops = defs.resolve_job_def("retrain_toy").graph.node_defs[0].node_dict
    assert list(ops) == [f"toy__day_{step}" for step in STEPS]
    assert not any(op.definition.retry_policy for op in ops.values())


def test_models_merge_for_there_is_neither_executor_nor_resource() -> None:
    import dagster as dg

    from retrain_ops.dagster import retraining_assets

    parts = [retraining_assets("toy.toml"), retraining_assets("x.toml", name="flights-eu")]
    assert all(part.executor is None and not part.resources for part in parts)
    users = dg.Definitions(executor=dg.in_process_executor, resources={"io": object()})
    merged = dg.Definitions.merge(*parts, users)
    assert {"toy/day", "flights_eu/day"} <= names(merged)
    dg.Definitions.validate_loadable(merged)


def test_the_nightly_tick_of_a_day_runs_its_own_partition(instance: Any) -> None:
    import dagster as dg

    from retrain_ops.dagster import retraining_assets

    schedule = retraining_assets("toy.toml").resolve_schedule_def("retrain_toy_schedule")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 2 * * *", "UTC")
    tick = datetime(2026, 3, 29, 2, 0, tzinfo=UTC)
    asked = dg.build_schedule_context(instance=instance, scheduled_execution_time=tick)
    (request,) = schedule.evaluate_tick(asked).run_requests
    assert request.partition_key == "2026-03-29"


def test_a_misspelt_option_is_refused() -> None:
    from retrain_ops.dagster import retraining_assets

    with pytest.raises(TypeError, match="'workspce'"):
        retraining_assets("s.toml", workspce="somewhere")  # type: ignore[call-arg]


def test_importing_the_package_imports_neither_dagster_nor_numpy() -> None:
    code = "import sys, retrain_ops.dagster; assert not {'dagster', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_dagster_finds_the_component_by_our_entry_point() -> None:
    from dagster.components.core.package_entry import discover_entry_point_package_objects

    (ours,) = entry_points(group="dagster_dg_cli.registry_modules", name="retrain_ops")
    assert ours.value == "retrain_ops.dagster"
    found = {key.to_typename() for key in discover_entry_point_package_objects()}
    assert "retrain_ops.dagster.RetrainingComponent" in found


def load(attributes: dict[str, Any]) -> set[str]:
    """The definitions of a project whose one component is ours."""
    from dagster.components.testing import create_defs_folder_sandbox

    from retrain_ops.dagster import RetrainingComponent

    with create_defs_folder_sandbox() as sandbox:
        folder = sandbox.scaffold_component(
            component_cls=RetrainingComponent, defs_yaml_contents=DEFS_YAML | attributes
        )
        (folder / "toy.toml").write_text(SPEC)
        with sandbox.build_all_defs() as defs:
            return names(defs)


def test_a_defs_yaml_is_a_model() -> None:
    assert {"toy_eu/day", "toy_eu/champion"} <= load({})


def test_a_misspelt_attribute_of_a_defs_yaml_is_refused() -> None:
    from dagster.components.core.component_tree import ComponentTreeException

    with pytest.raises(ComponentTreeException) as caught:
        load({"attributes": {"spec": "toy.toml", "workspce": "x"}})
    assert "workspce" in "".join(traceback.format_exception(caught.value))


def test_the_example_loads() -> None:
    import runpy

    import dagster as dg

    root = Path(__file__).resolve().parents[2]
    defs = runpy.run_path(str(root / "dags" / "dagster_flights.py"))["defs"]
    dg.Definitions.validate_loadable(defs)
    assert "flights_delay/day" in names(defs)
