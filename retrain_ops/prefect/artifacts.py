"""What a flow run shows of itself: two artifacts per model, and events for automations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.events import emit_event

from retrain_ops.decisions.digest import gate_rows, summary_markdown
from retrain_ops.decisions.record import read_decision

if TYPE_CHECKING:
    from retrain_ops.run import Run

# Verdicts of rollout steps that are news, as the last word of the event's name.
_NEWS = {
    "shadow_test": {"pass": "shadow.passed", "fail": "shadow.failed"},
    "promote_champion": {
        "promoted": "champion.promoted",
        "rejected": "champion.rejected",
        "expired": "champion.expired",
    },
    "watch_canary": {"rolled_back": "canary.rolled-back", "kept": "canary.kept"},
}


def artifact_key(model: str, kind: str) -> str:
    """Prefect's keys have lower-case letters, digits and dashes only."""
    return re.sub(r"[^a-z0-9]+", "-", f"{model} {kind}".lower()).strip("-")


def emit_news(run: Run, entries: Sequence[Mapping[str, Any]]) -> None:
    """Emits what an automation may want to act on, each piece of news under one id for ever.

    A re-run of a day emits the same ids again, which the server keeps once.
    """
    for name, subject, payload in _news(run, entries):
        emit_event(
            event=f"retrain-ops.{name}",
            resource={
                "prefect.resource.id": f"retrain-ops.model.{run.model}",
                "prefect.resource.name": run.model,
            },
            payload=payload,
            id=uuid5(NAMESPACE_URL, f"retrain-ops/{run.model}/{name}/{subject}"),
        )


def _news(
    run: Run, entries: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for entry in entries:
        payload = {"window_end": run.window.end.isoformat(), "summary": entry.get("summary", "")}
        if entry.get("reason") == "drift":
            yield "drift.found", run.retrain_key, payload
        if "outcome" in entry and entry["step"] == "summarise":
            outcome = str(entry["outcome"]).replace("_", "-")
            yield f"day.{outcome}", run.retrain_key, {**payload, "outcome": entry["outcome"]}
        word = _NEWS.get(entry["step"], {}).get(entry.get("verdict", ""))
        if word:  # the summary names the version, and as of when
            yield word, payload["summary"], payload


def write_artifacts(run: Run, entries: Sequence[Mapping[str, Any]]) -> None:
    """A summary in Markdown and, when there was a challenger, its gates as a table."""
    decision = read_decision(run.workspace, run.window.end)
    create_markdown_artifact(
        markdown=summary_markdown(run, decision, entries),
        key=artifact_key(run.model, "summary"),
        description=f"{run.model}, newest day",
    )
    rows = gate_rows(decision) if decision else []
    if rows:
        create_table_artifact(
            table=rows,
            key=artifact_key(run.model, "gates"),
            description=f"{run.retrain_key}: champion and challenger on the same rows",
        )
