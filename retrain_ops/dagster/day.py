"""The asset `<name>/day`: one partition a day, the ten steps as its ops."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import dagster as dg

from retrain_ops.dagster.events import CHECKS, check_results, day_metadata
from retrain_ops.dagster.steps import StepRunner
from retrain_ops.dagster.target import Target
from retrain_ops.steps.runner import ROLLOUT, TRAINING

NOTHING = dg.Nothing
BEHIND = {"before": dg.In(NOTHING)}
"""An op's one input: it runs behind another op, from which it gets nothing."""
BRANCHES = ("triggered", "quiet")
YESTERDAY = dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=-1)


def partitions_of(target: Target) -> dg.DailyPartitionsDefinition:
    """A day belongs to the tick that falls on it: the newest partition is today's."""
    start = target.options.get("start_date", "2013-01-01")
    return dg.DailyPartitionsDefinition(start_date=start, timezone="UTC", end_offset=1)


def pool_of(target: Target) -> str:
    """The pool of all steps of a model; its limit is the instance's to set."""
    return f"retrain_{target.name}"


def day_asset(target: Target) -> dg.AssetsDefinition:
    """The graph asset. It depends on its own day before, so that a backfill of it runs the days
    in order and ends behind one that fails."""
    key = target.key("day")
    runner = StepRunner(target)
    before = dg.AssetIn(key=key, dagster_type=NOTHING, partition_mapping=YESTERDAY)

    def day(**before: Any) -> dict[str, Any]:
        triggered, quiet = _check_drift(runner)(**before)
        for step in TRAINING[1:]:
            triggered = step_op(runner, step)(triggered)
        # It runs whichever of the two was skipped.
        done = step_op(runner, ROLLOUT[0])([triggered, quiet])
        for step in ROLLOUT[1:]:
            done = step_op(runner, step)(done)
        result, *checks = _summarise(runner)(done)
        named = zip((spec.get_python_identifier() for spec in _checks(target)), checks, strict=True)
        return {"result": result, **dict(named)}

    return dg.graph_asset(
        key=key,
        ins={"before": before},
        partitions_def=partitions_of(target),
        group_name=target.name,
        kinds={"python"},
        description="One day of retraining: its decision, and what became of the candidate.",
        check_specs=_checks(target),
    )(day)


def step_op(runner: StepRunner, step: str, ins: Mapping[str, dg.In] = BEHIND) -> Any:
    """An op that runs one step."""

    def perform(context: dg.OpExecutionContext) -> None:
        runner(context, step)

    verb = "look" if runner.look else "day"
    return new_op(runner.target, f"{verb}_{step}", perform, ins=ins)


def _check_drift(runner: StepRunner) -> Any:
    """The op that ends the training of a quiet day: one of its two outputs is left out."""

    def perform(context: dg.OpExecutionContext) -> Iterator[dg.Output[None]]:
        result = runner(context, TRAINING[0])
        yield dg.Output(None, BRANCHES[0] if result["triggered"] else BRANCHES[1])

    out = {name: dg.Out(NOTHING, is_required=False) for name in BRANCHES}
    return new_op(runner.target, f"day_{TRAINING[0]}", perform, ins=BEHIND, out=out)


def _summarise(runner: StepRunner) -> Any:
    def perform(context: dg.OpExecutionContext) -> Iterator[Any]:
        result = runner(context, "summarise")
        run = runner.open_run(context)
        yield from check_results(runner.target, run)
        if result["status"] == "failed":
            raise dg.Failure(result["summary"], allow_retries=False)
        yield dg.Output(None, "result", metadata=day_metadata(run))

    out = {"result": dg.Out(NOTHING), **{n: dg.Out(is_required=False) for n in CHECKS}}
    return new_op(runner.target, "day_summarise", perform, ins=BEHIND, out=out)


def _checks(target: Target) -> list[dg.AssetCheckSpec]:
    key = target.key("day")
    return [dg.AssetCheckSpec(name, asset=key, description=text) for name, text in CHECKS.items()]


def new_op(target: Target, name: str, perform: Callable[..., Any], **wiring: Any) -> Any:
    """An op of a model, without a `RetryPolicy`; its name is unique in a code location."""
    wiring.setdefault("out", dg.Out(NOTHING))
    return dg.op(name=f"{target.name}__{name}", pool=pool_of(target), **wiring)(perform)
