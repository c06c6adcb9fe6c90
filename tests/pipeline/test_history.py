"""docs/history.md, played on a small world whose champion is soon wrong."""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from pathlib import Path

from devtools.pages import ROOT, Played, play
from devtools.servers.mlflow_server import MlflowServer
from devtools.synthetic import FIRST, SPEC, write_days
from retrain_ops.mlflow.client import MlflowClient
from retrain_ops.registry.registry import Registry

PAGE = ROOT / "docs" / "history.md"
MODEL = "history_replay"


def _play(folder: Path, server: MlflowServer) -> Played:
    known = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "MLFLOW_TRACKING_URI": server.url,
        "RETRAIN_OPS_WORKSPACE": str(folder / "replay"),
        "SPEC": "toy.toml",
        "MODEL": MODEL,
        "BOOTSTRAP": str(FIRST + timedelta(days=17)),
        "FIRST": str(FIRST + timedelta(days=36)),
        "LAST": str(FIRST + timedelta(days=37)),
        "DAYS": "2",
        "ROLLED_BACK": f"{FIRST + timedelta(days=37)}T09:00:00+00:00",
    }
    return play(PAGE, folder, known)


def test_the_past_is_played(tmp_path: Path, mlflow_server: MlflowServer) -> None:
    write_days(tmp_path / "rows", 40, rule_changes=18, shift_from=18, shift=0.6)
    (tmp_path / "toy.toml").write_text(SPEC)
    assert _play(tmp_path, mlflow_server).failed == []
    registry = Registry(client=MlflowClient(mlflow_server.url), name=MODEL)
    events = registry.snapshot().events
    assert [event.kind for event in events] == ["bootstrap", "promote", "rollback"]
    assert registry.snapshot().aliases == {"champion": "1"}
    assert events[-1].effective_from == "2020-02-07T09:00:00Z"
