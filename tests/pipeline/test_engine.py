"""A spec that asks for Evidently where it is not installed."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

import pytest

from devtools.doubles.registry_server import Client, Server
from devtools.synthetic import FIRST, SPEC, bootstrap, toy_run, write_days
from retrain_ops.errors import ConfigError
from retrain_ops.steps.check_drift import check_drift


def test_evidently_that_is_not_there_is_an_error_that_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "evidently", None)
    write_days(tmp_path / "rows", 25)
    client, day = Client(Server()), FIRST + timedelta(days=17)
    bootstrap(tmp_path, client, day)
    spec = SPEC.replace("draws = 199\n", 'draws = 199\nengine = "evidently"\n')
    with pytest.raises(ConfigError, match=r"pip install 'retrain-ops\[evidently\]'"):
        check_drift(toy_run(tmp_path, client, day + timedelta(days=1), spec=spec))
