"""The pipelines of a model, compiled to YAML: a container component per step, of one image.

Annotations here are objects, not text: kfp reads them at run time.
"""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Unpack

from kfp import compiler, dsl, kubernetes

from retrain_ops.kubeflow.target import COMMAND, Options, Target, target_of
from retrain_ops.steps.runner import ROLLOUT, TRAINING

RUN_ID = dsl.PIPELINE_JOB_ID_PLACEHOLDER
_TEXT = dsl.OutputPath(str)
_DAY_INPUTS: Mapping[str, Any] = {
    "window_end": str,
    "run_id": str,
    "trigger": str,
    "bootstrap": bool,
    "force": bool,
    "reason": str,
}
_LOOK_INPUTS: Mapping[str, Any] = {"as_of": str, "run_id": str}
# Outputs of the steps that have more than their line.
_OUTPUTS: Mapping[str, Mapping[str, Any]] = {
    "check_drift": {"triggered": dsl.OutputPath(bool), "metrics": dsl.Output[dsl.Metrics]},
    "summarise": {
        "outcome": _TEXT,
        "metrics": dsl.Output[dsl.Metrics],
        "report": dsl.Output[dsl.HTML],
    },
}
_SAY = 'mkdir -p "$(dirname "$0")" && printf %s "no reason to train" > "$0"'


def retraining_pipeline(spec: str, *, image: str, **options: Unpack[Options]) -> Any:
    """The pipeline of a day: ten steps, of which a quiet day leaves out the five that train.

    Its parameters are `window_end`, the day as 2013-08-14; `trigger`, who starts it ("manual",
    "schedule", "backfill", "asset"); `bootstrap` and `force`, which train the first champion and
    train without a reason; `reason`, why an event asks for the day. Nothing is cached.

    Args:
        spec: path of the model's TOML file in the container; compiling does not read it.
        image: a container image that holds this package; it needs no kfp.
        options: those of `Options`.

    Raises:
        TypeError: an option is none of `Options`.
        ConfigError: an option cannot be worked with.
    """
    target = target_of(spec, image, options)

    def day(
        window_end: str,
        trigger: str = "manual",
        bootstrap: bool = False,
        force: bool = False,
        reason: str = "",
    ) -> None:
        given = {
            "window_end": window_end,
            "run_id": RUN_ID,
            "trigger": trigger,
            "bootstrap": bootstrap,
            "force": force,
            "reason": reason,
        }
        with dsl.ExitHandler(_ending(target, given, _DAY_INPUTS), name="day"):
            trained = _training(target, given)
            _chain(target, (*ROLLOUT, "summarise"), given, _DAY_INPUTS, behind=trained)

    name = f"retrain-{target.name}"
    return dsl.pipeline(name=name, description=f"Retrain {target.name} for one day.")(day)


def rollout_pipeline(spec: str, *, image: str, **options: Unpack[Options]) -> Any:
    """The pipeline of a look at the open candidate: shadow, promotion, canary.

    Its parameter `as_of` is the instant of the look as 2013-08-14T02:15:00Z; empty means now.
    Arguments and errors are those of `retraining_pipeline`.
    """
    target = target_of(spec, image, options)

    def look(as_of: str = "") -> None:
        given = {"as_of": as_of, "run_id": RUN_ID}
        with dsl.ExitHandler(_ending(target, given, _LOOK_INPUTS), name="look"):
            _chain(target, ROLLOUT, given, _LOOK_INPUTS)

    name, text = f"retrain-{target.name}-rollout", f"Look at the candidate of {target.name}."
    return dsl.pipeline(name=name, description=text)(look)


def compile_pipelines(
    folder: str | Path, spec: str, *, image: str, **options: Unpack[Options]
) -> list[Path]:
    """Writes `retrain-<name>.yaml` and `retrain-<name>-rollout.yaml`; the paths of both.

    Arguments and errors are those of `retraining_pipeline`.
    """
    files = []
    for build in (retraining_pipeline, rollout_pipeline):
        pipeline = build(spec, image=image, **options)
        file = Path(folder) / f"{pipeline.name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        compiler.Compiler().compile(pipeline, str(file))
        files.append(file)
    return files


def _training(target: Target, given: Mapping[str, Any]) -> Any:
    """Drift, then training or nothing: what comes behind waits for whichever of the two it is."""
    drift = _chain(target, TRAINING[:1], given, _DAY_INPUTS)
    with dsl.If(drift.outputs["triggered"] == True, name="train"):  # noqa: E712 (kfp's condition)
        last = _chain(target, TRAINING[1:], given, _DAY_INPUTS)
    with dsl.Else(name="quiet"):
        quiet = _prepared(target, _quiet(target.image)())
    return dsl.OneOf(last.outputs["summary"], quiet.outputs["summary"])


def _chain(
    target: Target,
    steps: tuple[str, ...],
    given: Mapping[str, Any],
    inputs: Mapping[str, Any],
    behind: Any = None,
) -> Any:
    """Steps one behind the other, the first of them behind an output; the last task."""
    task = None
    for step in steps:
        waits = {} if task is not None or behind is None else {"behind": behind}
        typed = {**inputs, **dict.fromkeys(waits, str)}
        outputs = {"summary": _TEXT, **_OUTPUTS.get(step, {})}
        new = _prepared(target, _component(target, step, typed, outputs)(**given, **waits))
        task = new if task is None else new.after(task)
    return task


def _ending(target: Target, given: Mapping[str, Any], inputs: Mapping[str, Any]) -> Any:
    typed = {"status": dsl.PipelineTaskFinalStatus, **inputs}
    return _prepared(target, _component(target, "ending", typed, {})(**given))


def _component(
    target: Target, step: str, inputs: Mapping[str, Any], outputs: Mapping[str, Any]
) -> Any:
    """A container component; its parameters reach the container as data, in the executor input."""

    def container(*channels: Any) -> dsl.ContainerSpec:
        return dsl.ContainerSpec(
            image=target.image,
            command=[*COMMAND],
            args=[
                *target.arguments(step),
                "--executor-input",
                dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER,
            ],
        )

    return _declared(container, step, {**inputs, **outputs})


def _quiet(image: str) -> Any:
    """The other branch needs an output to wait for; a shell starts in no time."""

    def container(summary: Any) -> dsl.ContainerSpec:
        return dsl.ContainerSpec(image=image, command=["sh", "-c", _SAY], args=[summary])

    return _declared(container, "quiet", {"summary": _TEXT})


def _declared(container: Callable[..., Any], name: str, typed: Mapping[str, Any]) -> Any:
    """kfp reads inputs and outputs from the function's signature."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    declared = [inspect.Parameter(n, kind, annotation=t) for n, t in typed.items()]
    container.__name__ = name
    container.__signature__ = inspect.Signature(declared)  # type: ignore[attr-defined]
    return dsl.container_component(container)


def _prepared(target: Target, task: Any) -> Any:
    """Never cached: a day that runs again looks at the world again."""
    options = target.options
    task.set_caching_options(False)
    for variable, secret, key in target.secrets:
        kubernetes.use_secret_as_env(task, secret_name=secret, secret_key_to_env={key: variable})
    if config_map := options.get("config_map"):
        folder = str(Path(target.spec).parent)
        kubernetes.use_config_map_as_volume(task, config_map_name=config_map, mount_path=folder)
    if seconds := options.get("timeout_seconds"):
        kubernetes.set_timeout(task, seconds=seconds)
    if cpu := options.get("cpu"):
        task.set_cpu_limit(cpu)
    if memory := options.get("memory"):
        task.set_memory_limit(memory)
    return task
