"""What every test may ask for: one real MLflow server for the whole session."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from devtools.servers.mlflow_server import MlflowServer, mlflow_python
from retrain_ops.examples.flights import write_flights
from retrain_ops.spec.spec import RetrainSpec, load_spec

USUAL = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}


def pytest_runtest_setup() -> None:
    """A time limit from outside must end the servers too, not leave them behind.

    Set anew for every test: Airflow's `dag.test` leaves a handler of its own in place. A shell
    starts its background jobs with SIGINT ignored, `nohup` ignores SIGHUP, and children inherit
    that: undone here, for tests and the commands they start are to meet both as on a terminal.
    """
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("ended by SIGTERM", returncode=143))
    for number, usual in USUAL.items():
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)


def pytest_collection_finish() -> None:
    """Keeps what the imports made out of every later collection: leak tests ask for hundreds."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """MLflow 3.17 on SQLite, started by the first test that asks. Names must be unique."""
    folder: Path = tmp_path_factory.mktemp("mlflow")
    with MlflowServer(folder, mlflow_python()) as server:
        yield server


ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def flights_source() -> Path:
    """The daily partitions of the real flights; written once, kept with other builds."""
    source = Path(os.environ.get("FLIGHTS_SOURCE") or ROOT / "build" / "data" / "flights")
    if not (source / "day=2013-12-31").is_dir():
        write_flights(source)
    return source


@pytest.fixture(scope="session")
def flights_spec(flights_source: Path) -> RetrainSpec:
    """The spec of the example, reading those rows."""
    spec = load_spec(ROOT / "dags" / "flights.toml")
    return replace(spec, source=replace(spec.source, path=str(flights_source)))
