"""Every kind of MLflow server that the client is held against."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from devtools.servers.certificates import Authority
from devtools.servers.mlflow_server import ADMIN, ADMIN_PASSWORD, MlflowServer, mlflow_python
from devtools.servers.postgres_server import postgres
from devtools.servers.tls_proxy import TlsProxy
from retrain_ops import MlflowClient

OLD = "mlflow-2.22"


@dataclass(frozen=True)
class ContractServer:
    """Where it is, which version it must say, and what a client must bring.

    `environment` holds MLflow's own variables for both clients; `python` has the
    server's own mlflow package.
    """

    name: str
    url: str
    version: str
    environment: dict[str, str] = field(default_factory=dict)
    python_environment: str = "mlflow-3.17"

    @property
    def python(self) -> Path:
        return mlflow_python(self.python_environment)

    def connect(self) -> MlflowClient:
        """A client with a connection of its own."""
        return MlflowClient(
            self.url,
            username=self.environment.get("MLFLOW_TRACKING_USERNAME"),
            password=self.environment.get("MLFLOW_TRACKING_PASSWORD"),
            ca_path=self.environment.get("MLFLOW_TRACKING_SERVER_CERT_PATH"),
            deadline=60.0,
        )

    def variables(self) -> dict[str, str]:
        """The environment of a process that uses MLflow's own client."""
        return {**os.environ, **self.environment}


@contextmanager
def _sqlite(folder: Path) -> Iterator[ContractServer]:
    with MlflowServer(folder, mlflow_python()) as server:
        yield ContractServer("sqlite", server.url, "3.17")


@contextmanager
def _old(folder: Path) -> Iterator[ContractServer]:
    with MlflowServer(folder, mlflow_python(OLD)) as server:
        yield ContractServer("old", server.url, "2.22", python_environment=OLD)


@contextmanager
def _postgres(folder: Path) -> Iterator[ContractServer]:
    with postgres() as url, MlflowServer(folder, mlflow_python(), backend=url) as server:
        yield ContractServer("postgres", server.url, "3.17")


@contextmanager
def _users(folder: Path) -> Iterator[ContractServer]:
    who = {"MLFLOW_TRACKING_USERNAME": ADMIN, "MLFLOW_TRACKING_PASSWORD": ADMIN_PASSWORD}
    with MlflowServer(folder, mlflow_python(), users=True) as server:
        yield ContractServer("users", server.url, "3.17", who)


@contextmanager
def _tls(folder: Path) -> Iterator[ContractServer]:
    authority = Authority.create(folder / "ca")
    trust = {"MLFLOW_TRACKING_SERVER_CERT_PATH": str(authority.pem)}
    with (
        MlflowServer(folder, mlflow_python()) as server,
        TlsProxy(authority.context("127.0.0.1"), server.port) as proxy,
    ):
        yield ContractServer("tls", proxy.url, "3.17", trust)


SERVERS: dict[str, Callable[[Path], AbstractContextManager[ContractServer]]] = {
    "sqlite": _sqlite,
    "old": _old,
    "postgres": _postgres,
    "users": _users,
    "tls": _tls,
}
"""MLflow 3.17 on SQLite, 2.22 on SQLite, 3.17 on Postgres, with users, behind TLS."""
