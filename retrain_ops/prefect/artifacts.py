"""What a flow run shows of itself: two artifacts per model, and events for automations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.events import emit_event

from retrain_ops.decisions.record import DECISION_FILE, Decision, compared, read_decision

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


def summary_markdown(
    run: Run, decision: Decision | None, entries: Sequence[Mapping[str, Any]]
) -> str:
    """The day: its line, what each step said, and where the evidence lies."""
    table = "\n".join(
        f"| {e['step']} | {e['status']} | {_cell(e.get('summary') or e.get('message', ''))} |"
        for e in entries
    )
    from retrain_ops.run import run_record

    outcome = decision["outcome"] if decision else "no decision"
    run_id = run_record(run).get("mlflow_run_id")
    return (
        f"# {run.model} {run.window.end.isoformat()}: {outcome}\n\n"
        f"| step | status | result |\n|---|---|---|\n{table}\n\n"
        f"Evidence: `{run.workspace.absolute(run.path(DECISION_FILE))}`"
        + (f", MLflow run `{run_id}`" if run_id else "")
        + "\n"
    )


def gate_rows(decision: Decision) -> list[dict[str, Any]]:
    """One row for all hold-out rows and one per slice; empty when nothing was judged."""
    if "gate" not in decision:
        return []
    whole = {"column": "", "level": "all rows", "role": "gate", **decision["gate"]}
    gate = compared(decision)  # a bootstrap has no slices: nobody was compared
    rows: list[Mapping[str, object]] = [whole, *(gate["slices"] if gate else ())]
    names = "column level role verdict rows days f1_champion f1_challenger difference lower_bound"
    if "score_champion" in whole:
        names = names.replace("f1_", "score_")
    return [{name: row.get(name) for name in names.split()} for row in rows]


def _cell(text: str) -> str:
    return text.replace("|", "/").replace("\n", " ")
