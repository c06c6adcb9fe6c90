"""Flights as requests to a scoring server, and canaries on them that nobody but a step watches."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from devtools.load import Load
from devtools.servers.processes import PATIENCE_S
from devtools.serving import promoted, wait_until
from retrain_ops.data.source import Source
from retrain_ops.mlflow.client import MlflowClient
from retrain_ops.models import TabularModel
from retrain_ops.registry.registry import Registry
from retrain_ops.run import Run, open_run
from retrain_ops.spec.spec import RetrainSpec, load_spec
from retrain_ops.steps.runner import run_step

DAGS = Path(__file__).resolve().parents[1] / "dags"
LIVE = '\n[serving]\nlog = "live"\nsegment_s = 1\n'
Found = dict[str, Any]


def live_spec(name: str, source: str, tracking_uri: str, *, model: str | None = None) -> str:
    """A spec of dags/ whose canaries are judged by what was answered, seconds ago."""
    text = (DAGS / f"{name}.toml").read_text().partition("\n[serving]")[0]
    own = load_spec(DAGS / f"{name}.toml").model.name
    text = text.replace(f'name = "{own}"', f'name = "{model or own}"', 1)
    text = re.sub("^path = .*$", f'path = "{source}"', text, count=1, flags=re.MULTILINE)
    return f'{text}{LIVE}\n[registry]\ntracking_uri = "{tracking_uri}"\n'


def read_flights(spec: RetrainSpec, days: Sequence[date]) -> pa.Table:
    """The features and the label of some days' flights, those with all of them."""
    columns = (*spec.features.all, spec.source.label)
    end = datetime.combine(days[-1] + timedelta(days=2), datetime.min.time(), UTC)
    return Source(spec).read(days, columns=columns, before=end).select(list(columns)).drop_null()


def bodies_of(table: pa.Table) -> list[bytes]:
    """A request for each row, in their order."""
    return [json.dumps({"dataframe_records": [row]}).encode() for row in table.to_pylist()]


def run_of_today(path: Path) -> Run:
    """The run whose day is under way."""
    today = (datetime.now(UTC) - timedelta(hours=2)).date()
    return open_run(path, date=today, workspace=str(path.parent / "workspace"), n_threads=1)


def watch(run: Run, most: int) -> Found:
    """Looks at the canary once a second, so often at most, until a look rolls it back."""
    result: Found = {}
    for _ in range(most):
        time.sleep(1)
        run_step("watch_canary", run)
        result = run.workspace.read_json(run.path("watch_canary.json"))
        if result["verdict"] == "rolled_back":
            break
    return result


def try_canary(
    path: Path,
    client: MlflowClient,
    load: Load,
    model: TabularModel,
    looks: Callable[[Run], Found],
) -> Found:
    """A model takes its share beside the champion until `looks` ends; then it is taken off, if
    no look has done it. What came of it, from its first answer to its last."""
    run, champion = run_of_today(path), load.lately[0]
    before, begun = Counter(load.answers), time.monotonic()
    load.first.clear()
    share = run.spec.canary.share
    canary = promoted(client, run.model, model, share=share, effective=datetime.now(UTC))
    result = looks(run)
    decided, now = time.monotonic(), datetime.now(UTC)
    Registry(client, run.model).rollback(canary, effective_from=now, recorded_at=now)
    wait_until(lambda: load.all_by(str(champion)), seconds=PATIENCE_S)
    answers = load.answers - before
    first = min((at for key, at in load.first.items() if key != (200, champion)), default=begun)
    return {
        "version": canary.number,
        "verdict": result["verdict"],
        "reason": result["reason"],
        "requests": sum(answers.values()),
        "by_canary": answers[200, canary.number],
        "refused": sum(n for (status, _), n in answers.items() if status != 200),
        "s_to_verdict": round(decided - first, 2),
        "s_to_last_answer": round(time.monotonic() - first, 2),
    }
