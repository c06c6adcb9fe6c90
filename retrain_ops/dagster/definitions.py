"""One call builds all that Dagster needs to retrain a model."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

import dagster as dg

from retrain_ops.dagster.day import day_asset, partitions_of
from retrain_ops.dagster.jobs import drift_job, rollout_job
from retrain_ops.dagster.sensors import sensors_of
from retrain_ops.dagster.target import Options, Target, target_of

EVERY_QUARTER = "*/15 * * * *"
AFTER_THE_NIGHT = "30 2 * * *"
_EXTERNAL = {
    "drift": "Drift of the features, on the days on which it was found.",
    "challenger": "Versions that passed their gates and became the candidate.",
    "champion": "Changes of who serves: promotions, and canaries that were rolled back.",
}


def retraining_assets(spec: str | Path, **options: Unpack[Options]) -> dg.Definitions:
    """Build the definitions of a model: its days as an asset, and who starts and watches them.

    The asset `<name>/day` has a partition a day and the ten steps as ops; when nothing asks for
    training, the five after `check_drift` are skipped. `<name>/drift`, `<name>/challenger` and
    `<name>/champion` are external assets, which get a materialization when they change. The job
    `retrain_<name>` runs at 02:00 UTC, `retrain_<name>_rollout` looks at the open candidate every
    15 minutes, `retrain_<name>_drift` asks for a run when drift begins; schedules are turned on
    by hand, sensors are on. The tags `retrain_ops/force` and `retrain_ops/bootstrap` of a run,
    set to `true`, train without a reason and train the first champion.

    There is no executor and no resource among them, so that definitions of many models merge.

    Args:
        spec: path of the model's TOML file; it is read by the runs, never at import.
        options: those of `Options`.

    Raises:
        TypeError: an option is none of `Options`.
    """
    target = target_of(spec, options)
    day = day_asset(target)
    job = dg.define_asset_job(
        f"retrain_{target.name}",
        selection=dg.AssetSelection.assets(target.key("day")),
        description="Retrain for one day.",
        executor_def=dg.in_process_executor,
    )
    rollout, drift = rollout_job(target), drift_job(target)
    return dg.Definitions(
        assets=[day, *_external(target)],
        jobs=[job, rollout, drift],
        schedules=[
            dg.build_schedule_from_partitioned_job(job, hour_of_day=2, minute_of_hour=0),
            dg.ScheduleDefinition(job=rollout, cron_schedule=EVERY_QUARTER),
            dg.ScheduleDefinition(job=drift, cron_schedule=AFTER_THE_NIGHT),
        ],
        sensors=sensors_of(target, job),
    )


def _external(target: Target) -> list[dg.AssetSpec]:
    """What the steps change outside of Dagster."""
    return [
        dg.AssetSpec(
            target.key(kind),
            deps=[target.key("day")],
            partitions_def=partitions_of(target),
            group_name=target.name,
            description=text,
        )
        for kind, text in _EXTERNAL.items()
    ]
