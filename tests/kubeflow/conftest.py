"""Compiled pipelines in kfp's local runner, with this process in the place of a container."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from devtools.doubles.registry_server import Client, Server
from devtools.servers.slack_server import SlackServer
from devtools.synthetic import SPEC, files_of, write_days
from retrain_ops.cli.main import main
from retrain_ops.registry.registry import Registry

# This folder is run by the Kubeflow environment's own pytest; the others cannot import it.
if find_spec("kfp") is None:
    collect_ignore_glob = ["test_*.py"]

FILES = ("decision.json", "model.rtm", "reference.json", "evaluate.json", "check_drift.json")
IMAGE = "registry.example.com/retrain-python:1"
TOY = SPEC + '\n[rollout]\napproval = "required"\n'
Container = Callable[[Sequence[str]], int]


def in_process(command: Sequence[str]) -> int:
    """A container's command in this process, where its registry is; others as they are."""
    if command[0] == "retrain-ops":
        return main(command[1:])
    return subprocess.run(command, check=False).returncode


@dataclass(slots=True)
class World:
    """A model under Kubeflow: its files, registry and messages."""

    folder: Path
    server: Server
    slack: SlackServer
    container: Container = in_process
    commands: list[list[str]] = field(default_factory=list)
    pipelines: list[Any] = field(default_factory=list)

    @property
    def registry(self) -> Registry:
        return Registry(client=Client(self.server), name="toy")  # type: ignore[arg-type]

    def compile(self, **options: Any) -> list[Path]:
        from retrain_ops.kubeflow import compile_pipelines

        given = {"workspace": str(self.folder / "workspace"), "retries": 0, "n_threads": 1}
        given |= {"tracking_uri": "http://127.0.0.1:9"} | options
        spec = str(self.folder / "toy.toml")
        return compile_pipelines(self.folder / "pipelines", spec, image=IMAGE, **given)

    def run(self, day: object, file: int = 0, **parameters: Any) -> bool:
        """Whether the compiled pipeline's run of a day, or a look (`file=1`), succeeded."""
        from kfp import components

        if not self.pipelines:
            load = components.load_component_from_file
            self.pipelines.extend(load(str(path)) for path in self.compile())
        given = {"window_end": str(day)} if file == 0 else {"as_of": str(day)}
        self.commands.clear()
        try:
            self.pipelines[file](**given, **parameters)
        except RuntimeError:
            return False
        return True

    @property
    def steps(self) -> list[str]:
        """The steps of the newest run, as their containers were started."""
        return [c[3] if c[0] == "retrain-ops" else "quiet" for c in self.commands]

    def content(self) -> dict[str, bytes]:
        return files_of(self.folder / "workspace", FILES)

    def outputs(self, name: str) -> list[Path]:
        """Files of that name among the outputs of all tasks, oldest first."""
        found = (self.folder / "out").rglob(name)
        return sorted(found, key=lambda path: path.stat().st_mtime_ns)

    def alerts(self) -> list[str]:
        return [m["text"] for m in self.slack.messages if m["text"].startswith("[FAILED]")]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    from kfp import local
    from kfp.local import status
    from kfp.local.subprocess_task_handler import SubprocessTaskHandler

    server = Server()
    monkeypatch.setattr("retrain_ops.run.MlflowClient", lambda uri: Client(server))
    write_days(tmp_path / "rows", 45, rule_changes=18, shift_from=20, shift=0.6)
    (tmp_path / "toy.toml").write_text(TOY)

    def run_container(handler: Any) -> Any:
        found.commands.append(handler.full_command)
        code = found.container(handler.full_command)
        return status.Status.SUCCESS if code == 0 else status.Status.FAILURE

    # The runner of subprocesses runs Python components only; Docker's needs a daemon.
    for check in ("validate_not_container_component", "validate_image"):
        monkeypatch.setattr(SubprocessTaskHandler, check, lambda *_: None)
    monkeypatch.setattr(SubprocessTaskHandler, "run", run_container)
    runner = local.SubprocessRunner(use_venv=False)
    local.init(runner=runner, pipeline_root=str(tmp_path / "out"), raise_on_error=True)
    with SlackServer() as slack:
        monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.url)
        found = World(tmp_path, server, slack)
        yield found
