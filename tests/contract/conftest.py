"""The servers that the contract is held against, chosen by RETRAIN_OPS_CONTRACT_SERVERS."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator

import pytest

from devtools.servers.contract_servers import SERVERS, ContractServer
from retrain_ops import MlflowClient
from retrain_ops.mlflow.types import MlflowRun

_numbers = itertools.count(1)
CHOSEN = os.environ.get("RETRAIN_OPS_CONTRACT_SERVERS", "sqlite").split(",")


@pytest.fixture(scope="session", params=CHOSEN)
def contract_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ContractServer]:
    """A real server; plain 3.17 on SQLite is the one that all tests of a session share."""
    if request.param == "sqlite":
        yield ContractServer("sqlite", request.getfixturevalue("mlflow_server").url, "3.17")
        return
    with SERVERS[request.param](tmp_path_factory.mktemp(request.param)) as server:
        yield server


@pytest.fixture(scope="session")
def connect(contract_server: ContractServer) -> Callable[[], MlflowClient]:
    """Makes clients with a connection of their own."""
    return contract_server.connect


@pytest.fixture(scope="session")
def client(connect: Callable[[], MlflowClient]) -> MlflowClient:
    return connect()


@pytest.fixture
def fresh() -> Callable[[str], str]:
    """Names nobody used before on the shared server."""
    return lambda stem: f"{stem}-{next(_numbers)}"


@pytest.fixture
def experiment(client: MlflowClient, fresh: Callable[[str], str]) -> str:
    return client.create_experiment(fresh("experiment"))


@pytest.fixture
def run(client: MlflowClient, experiment: str) -> MlflowRun:
    return client.create_run(experiment, "day", 1_700_000_000_000, {"retrain_key": "m/2013-08-14"})


@pytest.fixture
def model(client: MlflowClient, fresh: Callable[[str], str]) -> str:
    name = fresh("model")
    client.ensure_registered_model(name)
    return name
