"""A registry with champions that need no training day, and requests without a server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from devtools.doubles.registry_server import Client
from retrain_ops.mlflow.client import MlflowClient
from retrain_ops.models import GBDTClassifier, TabularModel
from retrain_ops.models.mlflow_flavor import MODEL_FILE
from retrain_ops.registry.events import Version
from retrain_ops.registry.registry import Registry
from retrain_ops.serving.app import App

FIRST = datetime(2020, 1, 1, 2, tzinfo=UTC)


def small_model(columns: int = 30, *, seed: int = 1, trees: int = 10) -> TabularModel:
    """Trees over numeric columns x0, x1, ...; another seed predicts otherwise."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(400, columns))
    y = (x @ rng.normal(size=columns) > 0).astype(np.int8)
    table = pa.table({f"x{i}": x[:, i] for i in range(columns)})
    return GBDTClassifier(n_estimators=trees, random_state=seed).fit(table, y).model_


def registered(client: Client | MlflowClient, name: str, model: TabularModel) -> Version:
    """Registers the model as the newest version of `name`, a day after the one before."""
    registry = Registry(client, name)  # type: ignore[arg-type]
    client.ensure_registered_model(name)
    effective = FIRST + timedelta(days=len(registry.versions()))
    key = f"{name}/{effective.date().isoformat()}"
    experiment = client.get_or_create_experiment(name)
    tags = {"retrain_key": key}
    run = client.create_run(experiment, key, 0, tags=tags, key_tag=("retrain_key", key))
    digest = client.upload_artifact(run, f"model/{MODEL_FILE}", model.to_bytes())
    return registry.register(
        run_id=run.run_id,
        source=f"{run.artifact_uri}/model",
        tags={**tags, "model_sha256": digest},
        description="",
    )


def promoted(
    client: Client | MlflowClient,
    name: str,
    model: TabularModel,
    *,
    share: float | None = None,
    effective: datetime | None = None,
) -> Version:
    """Registers the model as the newest version of `name` and makes it the champion."""
    registry = Registry(client, name)  # type: ignore[arg-type]
    version = registered(client, name, model)
    effective = effective or datetime.combine(version.window_end, FIRST.timetz())
    registry.promote(
        version,
        kind="promote" if registry.snapshot().newest else "bootstrap",
        effective_from=effective,
        recorded_at=effective,
        share=share,
    )
    return registry.version(version.number)


def challenged(client: Client | MlflowClient, name: str, model: TabularModel) -> Version:
    """Registers the model as the newest version of `name` and opens its shadow."""
    registry = Registry(client, name)  # type: ignore[arg-type]
    version = registered(client, name, model)
    opened = datetime.combine(version.window_end, FIRST.timetz())
    registry.open_shadow(version, opened_at=opened)
    return registry.version(version.number)


def ask(app: App, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any, bytes]:
    """One request to an ASGI application: status, headers by name, body."""
    scope = {
        "type": "http",
        "method": headers.pop("method", "GET" if body is None else "POST"),
        "path": path,
        "headers": [
            (k.replace("_", "-").encode(), v.encode("latin-1")) for k, v in headers.items()
        ],
    }
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body or b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    found = {k.decode(): v.decode() for k, v in sent[0]["headers"]}
    return sent[0]["status"], found, sent[1]["body"]


def wait_until(
    true: Callable[[], object], *ignored: type[Exception], seconds: float = 60.0
) -> None:
    """Waits for a condition, so long at most; errors of the given types mean not yet."""
    deadline = time.monotonic() + seconds
    while True:
        with suppress(*ignored):
            if true():
                return
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)
