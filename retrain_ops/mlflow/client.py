"""An MLflow client that needs no mlflow package: typed results over the C client.

The wire, retries and deadlines are in C (`csrc/net`). Here is what a call means:
which answer is "there is none", how a create happens once although the network
may lose its answer, how a batch is cut to what the server takes.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

from retrain_ops._core import MlflowConnection, NetworkError, RemoteError
from retrain_ops.busy import busy_with
from retrain_ops.errors import ConfigError, ConflictError
from retrain_ops.mlflow.certificates import find_certificates
from retrain_ops.mlflow.requests import (
    artifact_path,
    batches,
    can_be_alias,
    check_digest,
    clock,
    create_once,
    credentials,
    metric,
    name_filter,
    run_pairs,
    server_address,
    tag_filter,
)
from retrain_ops.mlflow.types import (
    Artifact,
    Experiment,
    MlflowRun,
    ModelVersion,
    RegisteredModel,
    as_pairs,
    read_experiment,
    read_model,
    read_run,
    read_version,
)

log = logging.getLogger(__name__)

T = TypeVar("T")
Tags = Mapping[str, str]
Metric = tuple[str, float, int, int]

MISSING = "RESOURCE_DOES_NOT_EXIST"
TAKEN = "RESOURCE_ALREADY_EXISTS"
PAGE_ROWS = 1000


class MlflowClient:
    """One MLflow tracking server and registry (2.22 and 3.x).

    What is not given is read from MLflow's own variables MLFLOW_TRACKING_URI, _USERNAME,
    _PASSWORD, _TOKEN and _SERVER_CERT_PATH. No socket is opened before the first call.
    May be shared by threads and used after a fork; cannot be pickled.

    `deadline` (seconds) bounds every call with all its retries. Calls release the
    GIL and can be interrupted. They raise RemoteError (`.status`, `.error_code`)
    for what the server refused, NetworkError when no usable answer came,
    TimeoutError, CancelledError, and ValueError for arguments the server would
    misread. Credentials over plain http are refused except to this machine, or
    with `allow_plaintext`; certificates are always verified, `ca_path` names a
    private CA.
    """

    __slots__ = ("_artifact_uris", "_connection", "deadline", "tracking_uri")

    def __init__(
        self,
        tracking_uri: str | None = None,
        *,
        username: str | None = None,
        password: str | None = None,
        token: str | None = None,
        ca_path: str | os.PathLike[str] | None = None,
        deadline: float = 120.0,
        connect_timeout: float = 10.0,
        allow_plaintext: bool = False,
    ) -> None:
        uri = server_address(tracking_uri)
        ca = ca_path or find_certificates()
        if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1"):
            log.warning("MLFLOW_TRACKING_INSECURE_TLS is not honoured: name your CA by ca_path")
        try:
            self._connection = MlflowConnection(
                uri,
                **credentials(username, password, token),
                ca_path=os.fspath(ca) if ca else None,
                allow_plaintext=allow_plaintext,
                connect_timeout=connect_timeout,
            )
        except ValueError as problem:
            raise ConfigError(str(problem)) from None
        self.tracking_uri, self.deadline = uri.rstrip("/"), deadline
        self._artifact_uris: dict[str, str] = {}  # by run; a run's never changes

    def __repr__(self) -> str:
        return f"MlflowClient({self.tracking_uri!r})"

    def within(self, deadline: float) -> MlflowClient:
        """The same client with another deadline (seconds)."""
        other = object.__new__(MlflowClient)
        other._connection, other._artifact_uris = self._connection, self._artifact_uris
        other.tracking_uri, other.deadline = self.tracking_uri, deadline
        return other

    # -- server ------------------------------------------------------------

    def server_version(self) -> str:
        """The server's version, for example "3.17.2"."""
        with self._wait():
            return str(self._connection.get("version", deadline=self.deadline), "ascii", "replace")

    def health(self) -> bool:
        """Whether the server answers; never raises for a server that does not."""
        try:
            return self._connection.get("health", deadline=min(self.deadline, 5.0)) == b"OK"
        except (RemoteError, NetworkError, TimeoutError):
            return False

    # -- experiments -------------------------------------------------------

    def get_experiment_by_name(self, name: str) -> Experiment | None:
        """The experiment of that name, deleted ones included; None when there is none."""
        found = self._find("GET experiments/get-by-name", experiment_name=name)
        return read_experiment(found["experiment"]) if found else None

    def create_experiment(self, name: str, *, tags: Tags | None = None) -> str:
        """The id of a new experiment.

        Exactly one of several concurrent callers gets an id, the others a
        RemoteError whose `error_code` is RESOURCE_ALREADY_EXISTS. When the answer
        is lost, an experiment that carries just these tags is taken to be ours,
        so give one that is yours alone.
        """
        wanted = dict(tags or {})

        def mine(client: MlflowClient) -> str | None:
            found = client.get_experiment_by_name(name)
            same = found is not None and wanted.items() <= found.tags.items()
            return found.experiment_id if found is not None and same else None

        def create(client: MlflowClient) -> str:
            made = client._call("POST experiments/create", name=name, tags=as_pairs(wanted))
            return str(made["experiment_id"])

        return self._create_once(mine, create, key_known=bool(wanted), look_first=False)

    def get_or_create_experiment(self, name: str, *, tags: Tags | None = None) -> str:
        """The id of the experiment of that name.

        Raises:
            ConflictError: it is deleted; MLflow keeps its name taken.
        """
        found = self.get_experiment_by_name(name)
        if found is None:
            try:
                return self.create_experiment(name, tags=tags)
            except RemoteError as problem:
                found = self.get_experiment_by_name(name) if problem.error_code == TAKEN else None
                if found is None:
                    raise
        if found.lifecycle_stage != "active":
            raise ConflictError(
                f"the experiment {name!r} is deleted and keeps its name taken: restore it "
                f"(mlflow experiments restore -x {found.experiment_id}) or choose another name"
            )
        return found.experiment_id

    def delete_experiment(self, experiment_id: str) -> None:
        """Marks an experiment deleted; its name stays taken. Deleted already is fine."""
        self._find("POST experiments/delete", experiment_id=experiment_id)

    # -- runs --------------------------------------------------------------

    def create_run(
        self,
        experiment_id: str,
        run_name: str,
        start_time_ms: int,
        tags: Tags | None = None,
        *,
        key_tag: tuple[str, str] | None = None,
    ) -> MlflowRun:
        """A new run, RUNNING.

        With `key_tag` (yours alone, added to `tags`) it is created at most once: looked
        for before, and again when an answer is lost. The key's oldest run counts.
        """
        wanted = {**(tags or {}), **dict([key_tag] if key_tag else [])}

        def mine(client: MlflowClient) -> MlflowRun | None:
            assert key_tag is not None
            found = client.search_runs([experiment_id], tag_filter(*key_tag))
            return min(found, key=lambda r: (r.start_time, r.run_id), default=None)

        def create(client: MlflowClient) -> MlflowRun:
            made = client._call(
                "POST runs/create",
                experiment_id=experiment_id,
                run_name=run_name,
                start_time=start_time_ms,
                tags=run_pairs("tag", wanted),
            )
            return read_run(made["run"])

        return self._create_once(mine, create, key_known=key_tag is not None)

    def get_run(self, run_id: str) -> MlflowRun:
        """The run; RemoteError (RESOURCE_DOES_NOT_EXIST) when there is none."""
        return read_run(self._call("GET runs/get", run_id=run_id)["run"])

    def update_run(self, run_id: str, status: str, end_time_ms: int | None = None) -> None:
        """Sets RUNNING, SCHEDULED, FINISHED, FAILED or KILLED, and the end (ms, UTC)."""
        self._call("POST runs/update", run_id=run_id, status=status, end_time=end_time_ms)

    def search_runs(
        self,
        experiment_ids: Sequence[str],
        filter: str = "",
        max_results: int = 1000,
        order_by: Sequence[str] = (),
    ) -> list[MlflowRun]:
        """Up to `max_results` active runs that fit MLflow's filter, over all pages."""
        asked = {"experiment_ids": list(experiment_ids), "filter": filter}
        pages = self._pages("POST runs/search", "runs", max_results, order_by, asked)
        return [read_run(raw) for raw in pages]

    def log_batch(
        self,
        run_id: str,
        *,
        metrics: Iterable[Metric] = (),
        params: Tags | None = None,
        tags: Tags | None = None,
    ) -> None:
        """Logs metrics (key, value, timestamp in ms, step), params and tags.

        Cut into as many requests as the server's limits ask for. Metrics are
        identified by all four numbers, so logging the same ones again adds none.

        Raises:
            ConfigError: a metric is infinite or no number, or a value is too long; the
                server would store another one instead.
        """
        items = [("params", pair) for pair in run_pairs("param", params)]
        items += [("tags", pair) for pair in run_pairs("tag", tags)]
        items += [("metrics", metric(*point)) for point in metrics]
        left = clock(self.deadline)
        for batch in batches(items):
            self.within(left())._call("POST runs/log-batch", run_id=run_id, **batch)

    def set_tag(self, run_id: str, key: str, value: str) -> None:
        """Sets or overwrites a tag."""
        self._call("POST runs/set-tag", run_id=run_id, **run_pairs("tag", {key: value})[0])

    def delete_run(self, run_id: str) -> None:
        """Marks a run deleted; one that is deleted, or was never there, is fine."""
        self._find("POST runs/delete", run_id=run_id)

    def delete_tag(self, run_id: str, key: str) -> None:
        """Removes a tag; a missing tag is fine, a missing run is an error."""
        if self._find("POST runs/delete-tag", run_id=run_id, key=key) is None:
            self.get_run(run_id)

    # -- artefacts ---------------------------------------------------------

    def upload_artifact(self, run: MlflowRun | str, path: str, data: bytes | Path) -> str:
        """Writes `path` below the run's artefacts, overwriting; a Path is streamed. Its SHA-256."""
        target = self._artifact(run, path)
        with self._wait():
            if isinstance(data, Path):
                return self._connection.upload_file(target, data, deadline=self.deadline)
            return self._connection.upload(target, data, deadline=self.deadline)

    def download_artifact(self, run: MlflowRun | str, path: str) -> bytes:
        """The bytes at `path` below a run's artefacts (or below a version's `source`)."""
        source = self._artifact(run, path)
        with self._wait():
            return self._connection.download(source, deadline=self.deadline)

    def download_artifact_file(
        self, run: MlflowRun | str, path: str, file: Path, *, sha256: str | None = None
    ) -> str:
        """Streams an artefact into the new `file`; its SHA-256, which must be `sha256` if given."""
        source = self._artifact(run, path)
        with self._wait():
            digest = self._connection.download_file(source, file, deadline=self.deadline)
        check_digest(file, digest, sha256)
        return digest

    def list_artifacts(self, run: MlflowRun | str, path: str = "") -> list[Artifact]:
        """Files and folders directly below `path`; empty when there is nothing."""
        folder = self._artifact(run, path).rstrip("/")
        found = self._call("GET mlflow-artifacts/artifacts", path=folder)
        prefix = f"{path.rstrip('/')}/" if path else ""
        return [
            Artifact(prefix + f["path"], bool(f.get("is_dir")), int(f.get("file_size", 0)))
            for f in found.get("files", [])
        ]

    def _artifact(self, run: MlflowRun | str, path: str) -> str:
        """Where `path` of a run or URI lies below the server's artefact root."""
        uri = run.artifact_uri if isinstance(run, MlflowRun) else run
        if uri.startswith("runs:/"):
            run_id, _, rest = uri.removeprefix("runs:/").partition("/")
            known = self._artifact_uris.get(run_id) or self.get_run(run_id).artifact_uri
            uri = f"{self._artifact_uris.setdefault(run_id, known)}/{rest}"
        return artifact_path(uri, path)

    # -- registered models ---------------------------------------------------

    def get_registered_model(self, name: str) -> RegisteredModel | None:
        """The model with its aliases and tags; None when it is not registered."""
        found = self._find("GET registered-models/get", name=name)
        return read_model(found["registered_model"]) if found else None

    def create_registered_model(self, name: str, *, tags: Tags | None = None) -> None:
        """Registers a name; RemoteError (RESOURCE_ALREADY_EXISTS) when it is taken."""
        self._call("POST registered-models/create", name=name, tags=as_pairs(tags or {}))

    def ensure_registered_model(self, name: str) -> None:
        """Registers a name unless it is registered."""

        def known(client: MlflowClient) -> bool | None:
            return client.get_registered_model(name) is not None or None

        def create(client: MlflowClient) -> bool:
            try:
                client.create_registered_model(name)
            except RemoteError as problem:
                if problem.error_code != TAKEN:
                    raise
            return True

        self._create_once(known, create, key_known=True)

    def set_registered_model_tag(self, name: str, key: str, value: str) -> None:
        """Sets or overwrites a tag of a registered model."""
        self._call("POST registered-models/set-tag", name=name, key=key, value=value)

    def delete_registered_model_tag(self, name: str, key: str) -> None:
        """Removes a tag of a registered model; a missing tag is fine."""
        self._call("DELETE registered-models/delete-tag", name=name, key=key)

    # -- versions ------------------------------------------------------------

    def create_model_version(
        self,
        name: str,
        source: str,
        run_id: str,
        tags: Tags | None = None,
        description: str = "",
        *,
        key_tag: tuple[str, str] | None = None,
    ) -> ModelVersion:
        """A new version whose files are at `source`.

        With `key_tag` (added to `tags`) it is created at most once for this run: looked
        for before, and again when an answer is lost. The lowest version counts.
        """
        wanted = {**(tags or {}), **dict([key_tag] if key_tag else [])}

        def mine(client: MlflowClient) -> ModelVersion | None:
            assert key_tag is not None
            found = client.search_model_versions(f"{name_filter(name)} and {tag_filter(*key_tag)}")
            of_run = (v for v in found if v.run_id == run_id)
            return min(of_run, key=lambda v: int(v.version), default=None)

        def create(client: MlflowClient) -> ModelVersion:
            made = client._call(
                "POST model-versions/create",
                name=name,
                source=source,
                run_id=run_id or None,
                tags=as_pairs(wanted),
                description=description,
            )
            return read_version(made["model_version"])

        return self._create_once(mine, create, key_known=key_tag is not None)

    def delete_model_version(self, name: str, version: str) -> None:
        """Removes a version for ever, with its aliases; a missing one is fine."""
        self._find("DELETE model-versions/delete", name=name, version=version)

    def get_model_version(self, name: str, version: str) -> ModelVersion | None:
        """The version; None when model or version is missing."""
        found = self._find("GET model-versions/get", name=name, version=version)
        return read_version(found["model_version"]) if found else None

    def search_model_versions(
        self, filter: str = "", order_by: Sequence[str] = (), max_results: int = 100_000
    ) -> list[ModelVersion]:
        """Up to `max_results` versions that fit MLflow's filter, over all pages."""
        asked = {"filter": filter} if filter else {}
        pages = self._pages(
            "GET model-versions/search", "model_versions", max_results, order_by, asked
        )
        return [read_version(raw) for raw in pages]

    def set_model_version_tag(self, name: str, version: str, key: str, value: str) -> None:
        """Sets or overwrites a tag of a version."""
        self._call("POST model-versions/set-tag", name=name, version=version, key=key, value=value)

    def delete_model_version_tag(self, name: str, version: str, key: str) -> None:
        """Removes a tag of a version; a missing tag is fine."""
        self._call("DELETE model-versions/delete-tag", name=name, version=version, key=key)

    # -- aliases -------------------------------------------------------------

    def get_model_version_by_alias(self, name: str, alias: str) -> ModelVersion | None:
        """The version an alias names; None when alias or model is missing."""
        try:
            found = self._find("GET registered-models/alias", name=name, alias=alias)
        except RemoteError as problem:
            # MLflow says 400 INVALID_PARAMETER_VALUE both for a missing alias and
            # for a name that cannot be one; only its aliases tell them apart.
            if problem.error_code != "INVALID_PARAMETER_VALUE" or not can_be_alias(alias):
                raise
            model = self.get_registered_model(name)
            if model is not None and alias in model.aliases:
                return self.get_model_version(name, model.aliases[alias])
            return None
        return read_version(found["model_version"]) if found else None

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        """Makes an alias name a version; the last writer wins."""
        self._call("POST registered-models/alias", name=name, alias=alias, version=version)

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        """Removes an alias; a missing alias is fine."""
        self._call("DELETE registered-models/alias", name=name, alias=alias)

    # -- how calls are made --------------------------------------------------

    def _call(self, endpoint: str, **arguments: Any) -> dict[str, Any]:
        """One call; arguments that are None are not sent."""
        given = {name: value for name, value in arguments.items() if value is not None}
        with self._wait():
            return self._connection.call(endpoint, given, deadline=self.deadline)

    def _wait(self) -> AbstractContextManager[None]:
        return busy_with(f"waiting for MLflow at {self.tracking_uri}")

    def _find(self, endpoint: str, **arguments: Any) -> dict[str, Any] | None:
        """One call for which "does not exist" is an answer."""
        try:
            return self._call(endpoint, **arguments)
        except RemoteError as problem:
            if problem.error_code != MISSING:
                raise
            return None

    def _create_once(
        self,
        mine: Callable[[MlflowClient], T | None],
        create: Callable[[MlflowClient], T],
        *,
        key_known: bool,
        look_first: bool = True,
    ) -> T:
        """`create`, at most once when there is a key by which `mine` can look for it."""
        if not key_known:
            return create(self)
        return create_once(
            lambda left: mine(self.within(left)),
            lambda left: create(self.within(left)),
            deadline=self.deadline,
            look_first=look_first,
        )

    def _pages(
        self, endpoint: str, key: str, limit: int, order_by: Sequence[str], asked: Mapping[str, Any]
    ) -> Iterator[dict[str, Any]]:
        left, count, token = clock(self.deadline), 0, ""
        while count < limit:
            page = self.within(left())._call(
                endpoint,
                max_results=min(PAGE_ROWS, limit - count),
                order_by=list(order_by) or None,
                page_token=token or None,
                **asked,
            )
            found = page.get(key, [])
            yield from found
            count += len(found)
            token = page.get("next_page_token") or ""
            if not token:
                return
