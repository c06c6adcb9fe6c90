"""What can be wrong around a day whose spec and rows are right, one fault a line."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import retrain_ops.run
from devtools.doubles.registry_server import Client
from devtools.worlds import World
from retrain_ops.errors import NetworkError, RemoteError
from retrain_ops.models import load_model
from retrain_ops.workspace import Workspace

Patch = pytest.MonkeyPatch
MODEL = "toy_of_a_user"


@dataclass(frozen=True)
class Surrounding:
    """`plant` spoils a world, or this process by the patch; the day then ends with `code`.

    `words` all stand in the message's first line, `alerts` says how many go to Slack, and
    `unforeseen` that the traceback is shown.
    """

    code: int
    plant: Callable[[World, Patch], None]
    words: Sequence[str]
    alerts: int = 1
    unforeseen: bool = False
    arguments: Sequence[str] = ("--force",)


def _spec(old: str, new: str) -> Callable[[World, Patch], None]:
    def plant(world: World, patch: Patch) -> None:
        file = world.folder / "toy.toml"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new) if old else text + new)

    return plant


def _spec_bytes(world: World, patch: Patch) -> None:
    (world.folder / "toy.toml").write_bytes(b'[model]\nname = "\xff"\n')


def _no_spec(world: World, patch: Patch) -> None:
    (world.folder / "toy.toml").unlink()


def _no_tracking_uri(world: World, patch: Patch) -> None:
    patch.setattr(retrain_ops.run, "MlflowClient", CLIENT)
    patch.delenv("MLFLOW_TRACKING_URI", raising=False)


def _tracking_by_files(world: World, patch: Patch) -> None:
    patch.setattr(retrain_ops.run, "MlflowClient", CLIENT)
    patch.setenv("MLFLOW_TRACKING_URI", "file:///mlruns")


CLIENT = retrain_ops.run.MlflowClient


def _workspace(name: str, make: Callable[[Path], Any]) -> Callable[[World, Patch], None]:
    def plant(world: World, patch: Patch) -> None:
        make(world.folder / name)
        patch.setenv("RETRAIN_OPS_WORKSPACE", str(world.folder / name))

    return plant


def _no_workspace(world: World, patch: Patch) -> None:
    patch.delenv("RETRAIN_OPS_WORKSPACE")


def _server_raises(name: str, problem: Exception) -> Callable[[World, Patch], None]:
    def plant(world: World, patch: Patch) -> None:
        def call(*_: Any, **__: Any) -> Any:
            raise problem

        patch.setattr(Client, name, call)

    return plant


def _refused(status: int, code: str, text: str) -> RemoteError:
    problem = RemoteError(text)
    problem.status, problem.error_code = status, code
    return problem


def _champion_file(name: str, data: bytes | None) -> Callable[[World, Patch], None]:
    """Spoils the champion's file wherever it lies."""

    def plant(world: World, patch: Patch) -> None:
        for key in [k for k in world.server.artifacts if k.endswith(name)]:
            world.server.artifacts.pop(key)
            if data is not None:
                world.server.artifacts[key] = data
        for file in (world.folder / "workspace" / "toy").rglob(name):
            file.unlink()

    return plant


def _no_tag(world: World, patch: Patch) -> None:
    Client(world.server).delete_model_version_tag("toy", "1", "reference_sha256")


def _no_champion(world: World, patch: Patch) -> None:
    world.server.delete_model("toy")


def _disk_full(world: World, patch: Patch) -> None:
    whole = Workspace._replace

    def replace(self: Workspace, path: str, data: bytes) -> None:
        if path.endswith("part-0.parquet"):
            raise OSError(errno.ENOSPC, "No space left on device", path)
        whole(self, path, data)

    patch.setattr(Workspace, "_replace", replace)


def _not_installed(package: str) -> Callable[[World, Patch], None]:
    return lambda world, patch: patch.setitem(sys.modules, package, None)  # type: ignore[arg-type]


def _trainer(train: Callable[..., Any]) -> Callable[[World, Patch], None]:
    """Somebody's own trainer, from a module of theirs."""

    def plant(world: World, patch: Patch) -> None:
        module = ModuleType(MODEL)
        module.train, module.load_model = train, load_model  # type: ignore[attr-defined]
        patch.setitem(sys.modules, MODEL, module)
        file = world.folder / "toy.toml"
        own = f'seed = 1\ntrainer = "{MODEL}:train"'
        file.write_text(file.read_text().replace("seed = 1", own))

    return plant


def _raises(problem: BaseException) -> Callable[..., Any]:
    def train(*_: Any, **__: Any) -> Any:
        raise problem

    return train


class _Odd:
    """A model whose probabilities are not what a model's should be."""

    threshold = 0.5

    def __init__(self, scores: Callable[[int], Any]) -> None:
        self.scores = scores

    def predict_proba(self, data: Any, /, *, n_threads: int = 0) -> Any:
        return self.scores(data.num_rows)

    def to_bytes(self) -> bytes:
        return b"odd"


def _odd(scores: Callable[[int], Any]) -> Callable[[World, Patch], None]:
    def plant(world: World, patch: Patch) -> None:
        _trainer(lambda *_, **__: _Odd(scores))(world, patch)
        sys.modules[MODEL].load_model = lambda data: _Odd(scores)  # type: ignore[attr-defined]

    return plant


def _nothing(world: World, patch: Patch) -> None:
    """What is wrong is said by the arguments."""


TOO_FAR = NetworkError("http://mlflow.example.com: connection refused")
SURROUNDINGS: dict[str, Surrounding] = {
    "no spec": Surrounding(2, _no_spec, ("the spec", "toy.toml cannot be read"), 0),
    "spec that is no UTF-8": Surrounding(2, _spec_bytes, ("toy.toml cannot be read", "utf-8"), 0),
    "spec that is no TOML": Surrounding(
        2, _spec("seed = 1", "seed = = 1"), ("toy.toml: not valid TOML", "line 3"), 0
    ),
    "no tracking server": Surrounding(2, _no_tracking_uri, ("MLFLOW_TRACKING_URI",), 0),
    "a tracking server of files": Surrounding(2, _tracking_by_files, ("http(s)://host:port",), 0),
    "no workspace": Surrounding(2, _no_workspace, ("RETRAIN_OPS_WORKSPACE",), 0),
    "a workspace that is a file": Surrounding(
        2,
        _workspace("plain", lambda path: path.write_text("x")),
        ("the workspace cannot be at ", "plain/toy: Not a directory; name another by --workspace"),
        0,
    ),
    "a workspace of an unknown kind": Surrounding(
        2,
        _nothing,
        ("nosuch://x names no place for files",),
        0,
        arguments=("--workspace", "nosuch://x"),
    ),
    "a day that is none": Surrounding(
        2, _nothing, ("2020-13-01",), 0, arguments=("--date", "2020-13-01")
    ),
    "a day to come": Surrounding(
        2, _nothing, ("9999-12-31 lies in the future",), 0, arguments=("--date", "9999-12-31")
    ),
    "a day before all windows": Surrounding(
        2, _nothing, ("0001-01-01", "before the year 1"), 0, arguments=("--date", "0001-01-01")
    ),
    "a first champion twice": Surrounding(
        2, _nothing, ("has a champion", "toy/2020-01-18"), 1, arguments=("--bootstrap",)
    ),
    "no champion": Surrounding(2, _no_champion, ("2020-01-19", "--bootstrap"), 1),
    "a server that is down": Surrounding(
        1, _server_raises("search_model_versions", TOO_FAR), ("mlflow.example.com", "refused"), 1
    ),
    "a server that fails": Surrounding(
        1,
        _server_raises("search_model_versions", _refused(500, "INTERNAL_ERROR", "HTTP 500: oops")),
        ("HTTP 500: oops",),
    ),
    "a server that lets nobody in": Surrounding(
        1,
        _server_raises(
            "get_registered_model", _refused(403, "PERMISSION_DENIED", "HTTP 403: denied")
        ),
        ("HTTP 403: denied",),
    ),
    "a run that cannot be made": Surrounding(
        1, _server_raises("create_run", TOO_FAR), ("mlflow.example.com", "refused")
    ),
    "the champion's model is gone": Surrounding(
        1, _champion_file("model.rtm", None), ("model.rtm", "version 1", "")
    ),
    "the champion's model is damaged": Surrounding(
        1, _champion_file("model.rtm", b"RTM?"), ("model.rtm of version 1", "SHA-256")
    ),
    "the champion's hash is gone": Surrounding(
        1, _no_tag, ("version 1: the tag reference_sha256 is gone",)
    ),
    "the champion's reference is gone": Surrounding(
        1, _champion_file("reference.json", None), ("reference.json", "version 1")
    ),
    "the champion's reference is damaged": Surrounding(
        1, _champion_file("reference.json", b"{}"), ("reference.json of version 1", "SHA-256")
    ),
    "a full disk": Surrounding(1, _disk_full, ("No space left on device", "part-0.parquet")),
    "no Great Expectations": Surrounding(
        2, _not_installed("great_expectations"), ("Great Expectations is not installed",)
    ),
    "no SQLAlchemy": Surrounding(
        2,
        lambda world, patch: (
            _spec("", '\n[publish]\nurl = "sqlite:///x.db"\n')(world, patch),
            _not_installed("sqlalchemy")(world, patch),
        )[0],
        ("SQLAlchemy is not installed",),
    ),
    "a database that nobody knows": Surrounding(
        2, _spec("", '\n[publish]\nurl = "oracle9://x"\n'), ("oracle9",)
    ),
    "a database that cannot be opened": Surrounding(
        1, _spec("", '\n[publish]\nurl = "sqlite:////no/such/folder/x.db"\n'), ("database",)
    ),
    "a trainer that raises": Surrounding(
        1, _trainer(_raises(KeyError("colour"))), ("KeyError: 'colour'",), unforeseen=True
    ),
    "a trainer that leaves": Surrounding(
        1, _trainer(_raises(SystemExit("bye"))), ("SystemExit: bye",), unforeseen=True
    ),
    "a trainer without memory": Surrounding(
        1, _trainer(_raises(MemoryError())), ("out of memory",)
    ),
    "a trainer of many lines": Surrounding(
        1, _trainer(_raises(ValueError("one\ntwo"))), ("ValueError: one",), unforeseen=True
    ),
    "a trainer without a result": Surrounding(
        1, _trainer(lambda *_, **__: None), ("NoneType",), unforeseen=True
    ),
    "scores of another length": Surrounding(
        1, _odd(lambda n: np.zeros(n - 1)), ("(1499,) for 1500 rows",)
    ),
    "scores of three classes": Surrounding(
        1, _odd(lambda n: np.zeros((n, 3))), ("(1500, 3) for 1500 rows",)
    ),
}
