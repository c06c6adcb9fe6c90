"""What Dagster shows of a day: news of drift and models, numbers, links, and asset checks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from retrain_ops.dagster.target import Target
from retrain_ops.decisions.digest import day_numbers, gate_rows, summary_markdown
from retrain_ops.decisions.record import DECISION_FILE, read_decision
from retrain_ops.registry.links import links_of
from retrain_ops.report import HTML_FILE
from retrain_ops.run import Run, run_record

CHECKS = {
    "data_valid": "The rows of the day passed what the spec expects of them.",
    "gate": "The challenger passed its gates; a day that trains nothing has none to pass.",
}
# Step -> the external asset that changed, and which field of the step's result says so.
_NEWS = {
    "check_drift": ("drift", "reason", "drift"),
    "promote_challenger": ("challenger", "outcome", "challenger"),
    "promote_champion": ("champion", "verdict", "promoted"),
    "watch_canary": ("champion", "verdict", "rolled_back"),
}
_REFUSED = ("skipped", "undecided")


def log_news(
    context: dg.OpExecutionContext, target: Target, run: Run, result: Mapping[str, Any]
) -> None:
    """Logs a materialization of what has changed; the same day again logs nothing again."""
    kind, field, value = _NEWS.get(result["step"], ("", "", ""))
    if result.get(field) == value:
        links = {name: dg.MetadataValue.url(url) for name, url in links_of(run, result).items()}
        log_once(context, target.key(kind), run, {"summary": result["summary"], **links})


def log_once(
    context: dg.OpExecutionContext, key: dg.AssetKey, run: Run, metadata: Mapping[str, Any]
) -> None:
    """Logs a materialization of the day's partition, unless its newest one says the same."""
    day = run.window.end.isoformat()
    wanted = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[day])
    for record in context.instance.fetch_materializations(wanted, limit=1).records:
        known = record.asset_materialization
        if known is not None and known.metadata["summary"].value == metadata["summary"]:
            return
    context.log_event(dg.AssetMaterialization(key, partition=day, metadata=metadata))


def log_refused_data(context: dg.OpExecutionContext, target: Target, error: Exception) -> None:
    """The check of the data fails with the step that refused it, which ends the run."""
    context.instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=target.key("day"),
            check_name="data_valid",
            passed=False,
            description=str(error),
            partition=context.run.tags.get("dagster/partition"),
        )
    )


def day_metadata(run: Run) -> dict[str, Any]:
    """Numbers of the day, which Dagster plots over partitions, its summary, and where it lies."""
    decision = read_decision(run.workspace, run.window.end)
    steps = run_record(run).get("steps", {})
    entries = [{"step": name, "summary": e.get("error", ""), **e} for name, e in steps.items()]
    place = run.workspace.absolute
    return {
        "outcome": decision["outcome"] if decision else "failed",
        **dict(day_numbers(decision)),
        "summary": dg.MetadataValue.md(summary_markdown(run, decision, entries)),
        "decision": dg.MetadataValue.path(place(run.path(DECISION_FILE))),
        "page": dg.MetadataValue.path(place(run.path(HTML_FILE))),
        **{name: dg.MetadataValue.url(url) for name, url in links_of(run, {}).items()},
    }


def check_results(target: Target, run: Run) -> Iterator[dg.AssetCheckResult]:
    """What the day's decision says of its rows and its challenger.

    A gate that refuses is a result, so it warns.
    """
    decision = read_decision(run.workspace, run.window.end)
    outcome = decision["outcome"] if decision else "failed"
    rows = gate_rows(decision) if decision else []
    table = [{name: _shown(value) for name, value in row.items()} for row in rows]
    shown = {"levels": dg.MetadataValue.table([dg.TableRecord(r) for r in table])} if table else {}
    yield _check(target, "data_valid", decision is not None, {})
    yield _check(target, "gate", outcome not in _REFUSED, {"outcome": outcome, **shown})


def _check(
    target: Target, name: str, passed: bool, metadata: Mapping[str, Any]
) -> dg.AssetCheckResult:
    severity = dg.AssetCheckSeverity.WARN if name == "gate" else dg.AssetCheckSeverity.ERROR
    return dg.AssetCheckResult(
        asset_key=target.key("day"),
        check_name=name,
        passed=passed,
        severity=severity,
        metadata=metadata,
    )


def _shown(value: object) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
