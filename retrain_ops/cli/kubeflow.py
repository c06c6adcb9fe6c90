"""`retrain-ops kubeflow`: compiles the pipelines, and is what their containers run."""

from __future__ import annotations

import argparse
import os
from typing import Any

from retrain_ops.cli.command import (
    EXIT_FAILED,
    Command,
    CommandParser,
    add_command,
    add_model_options,
    writing,
)
from retrain_ops.errors import ConfigError, import_problem
from retrain_ops.steps.runner import STEPS

HELP = "Kubeflow Pipelines: compile a model's pipelines, and run a step in its container"
ENDING = "ending"


def add_commands(commands: Any) -> None:
    """Adds the commands below `kubeflow`."""
    parser: argparse.ArgumentParser = commands.add_parser("kubeflow", help=HELP, description=HELP)
    below = parser.add_subparsers(required=True, metavar="command", parser_class=CommandParser)
    compiling = "write the pipelines of a model, a day and a look at the candidate, as YAML"
    stepping = "run a step in its container, as the compiled pipelines do"
    add_command(below, Command("compile", _compile, compiling, _compile_options, opens_run=False))
    add_command(below, Command("step", _step, stepping, _step_options, opens_run=False))


def _common_options(parser: argparse.ArgumentParser, spec: str) -> None:
    parser.add_argument("--spec", required=True, help=spec)
    add_model_options(parser)
    parser.add_argument("--retries", type=_count, default=1, help="tries again (default: 1)")
    parser.add_argument(
        "--retry-delay", type=_seconds, default=60.0, help="seconds before each (default: 60)"
    )
    parser.add_argument("--url", help="address of Kubeflow's page, for links")


def _compile_options(parser: argparse.ArgumentParser) -> None:
    _common_options(parser, "the TOML spec: its path in the container")
    parser.set_defaults(workspace=None)  # what the variable says counts in the container, not here
    parser.add_argument("--image", required=True, help="the image that holds retrain_ops")
    parser.add_argument("--name", help="heads the pipelines (default: the model, or the file)")
    parser.add_argument(
        "--secret",
        action="append",
        default=[],
        metavar="VARIABLE=SECRET/KEY",
        help="environment variable from a Kubernetes secret; may be given again",
    )
    parser.add_argument("--config-map", help="config map that is mounted as the spec's folder")
    parser.add_argument("--cpu", help='limit of a pod, such as "4"')
    parser.add_argument("--memory", help='limit of a pod, such as "8Gi"')
    parser.add_argument("--timeout", type=_count, help="seconds that a pod may run")
    parser.add_argument("--output", default=".", help="folder of the files (default: .)")


def _compile(options: argparse.Namespace) -> dict[str, Any]:
    try:
        from retrain_ops.kubeflow.pipeline import compile_pipelines
    except ImportError as problem:
        said = import_problem(problem, "Kubeflow's SDK", "'retrain-ops[kubeflow]'")
        raise ConfigError(said) from problem
    with writing(options.output, "--output"):
        files = compile_pipelines(
            options.output,
            options.spec,
            image=options.image,
            name=options.name,
            workspace=options.workspace,
            tracking_uri=options.tracking_uri,
            model=options.model,
            n_threads=options.threads,
            retries=options.retries,
            retry_delay_seconds=options.retry_delay,
            url=options.url,
            secrets=dict(_pair(text) for text in options.secret),
            config_map=options.config_map,
            cpu=options.cpu,
            memory=options.memory,
            timeout_seconds=options.timeout,
        )
    return {"files": [str(file) for file in files]}


def _pair(text: str) -> tuple[str, str]:
    variable, _, place = text.partition("=")
    return variable, place


def _step_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("step", choices=(*STEPS, ENDING), help="the step, or the end of the run")
    _common_options(parser, "the TOML spec")
    parser.add_argument("--executor-input", required=True, help="the task, as Kubeflow writes it")


def _step(options: argparse.Namespace) -> dict[str, Any]:
    from retrain_ops.kubeflow.ending import report_end
    from retrain_ops.kubeflow.executor import read_task
    from retrain_ops.kubeflow.step import Place, perform

    place = Place(
        spec=options.spec,
        workspace=options.workspace or os.environ.get("RETRAIN_OPS_WORKSPACE"),
        tracking_uri=options.tracking_uri,
        model=options.model,
        n_threads=options.threads,
        retries=options.retries,
        retry_delay_seconds=options.retry_delay,
        url=options.url,
    )
    task = read_task(options.executor_input)
    if options.step == ENDING:
        return {"summary": report_end(place, task)}
    result = perform(options.step, place, task)
    return result | ({"exit_code": EXIT_FAILED} if result["status"] == "failed" else {})


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"must be a whole number of 0 or more, it is {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9:
        raise argparse.ArgumentTypeError(f"must be seconds of 0 or more, it is {text!r}")
    return value
