"""A day in a few lines and one table, for the pages of an orchestrator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from retrain_ops.decisions.record import DECISION_FILE, Decision, compared
from retrain_ops.run import Run, run_record


def summary_markdown(
    run: Run, decision: Decision | None, entries: Sequence[Mapping[str, Any]]
) -> str:
    """The day: its line, what each step said, and where the evidence lies."""
    table = "\n".join(
        f"| {e['step']} | {e['status']} | {_cell(e.get('summary') or e.get('message', ''))} |"
        for e in entries
    )
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


def day_numbers(decision: Decision | None) -> Iterator[tuple[str, float]]:
    """Numbers to plot over days: the largest PSI, and what the gate said of all hold-out rows."""
    if decision is None:
        return
    drift = decision.get("drift")
    if drift is not None and drift["psi_max"] is not None:
        yield "psi_max", float(drift["psi_max"])
    for row in gate_rows(decision)[:1]:
        yield from ((k, float(v)) for k, v in row.items() if isinstance(v, int | float))


def _cell(text: str) -> str:
    return text.replace("|", "/").replace("\n", " ")
