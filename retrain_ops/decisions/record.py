"""decision.json: what a day decided, from which counts, under which hashes.

Content only: no times, ids, versions, paths or attempts, so equal inputs give
equal bytes on any machine under any orchestrator. Champions are named by
retrain key and model hash, because version numbers belong to one registry.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retrain_ops.errors import ConfigError
from retrain_ops.registry.events import Version
from retrain_ops.run import Run

SCHEMA = 1
FILE = "decision.json"


def champion_record(champion: Version) -> dict[str, str]:
    """How a decision names the champion it judged against."""
    return {"retrain_key": champion.retrain_key, "model_sha256": champion.model_sha256}


def champion_of_key(run: Run) -> Version | None:
    """The champion that this key judges against.

    A key that was decided before keeps the champion named in its decision, so
    that a re-run of last Tuesday repeats last Tuesday; otherwise it is the one
    that served at the run's instant.
    """
    decision = run.read(FILE)
    if decision is None:
        return run.registry.champion_as_of(run.instant)
    named = decision["champion"]
    if named is None:
        return None
    found = run.registry.version_with(**named)
    if found is None:
        raise ConfigError(
            f"{run.retrain_key} was decided against {named['retrain_key']}, which is not in the "
            f"registry (any more); restore it, or move {run.workspace.absolute(run.path(FILE))} "
            "away to decide anew"
        )
    return found


def write_no_train(run: Run, drift: Mapping[str, Any]) -> None:
    """The decision of a day on which nothing called for training."""
    _write(run, outcome="no_train", reason="no_drift", drift=drift, judged={})


def write_decision(
    run: Run, *, outcome: str, reason: str, drift: Mapping[str, Any], judged: Mapping[str, Any]
) -> None:
    """The decision of a day that trained a model."""
    _write(run, outcome=outcome, reason=reason, drift=drift, judged=judged)


def _write(
    run: Run, *, outcome: str, reason: str, drift: Mapping[str, Any], judged: Mapping[str, Any]
) -> None:
    content = {
        "schema": SCHEMA,
        "model": run.model,
        "window_end": run.window.end.isoformat(),
        "outcome": outcome,
        "reason": reason,
        "champion": drift["champion"],
        "spec_sha256": run.spec.sha256(),
        "drift": _without_what_is_off(drift),
        **judged,
    }
    run.workspace.write_json(run.path(FILE), content)


def _without_what_is_off(drift: Mapping[str, Any]) -> dict[str, Any]:
    """The champion stands above; the comparison of `[degraded]` only where the spec has it."""
    kept = {k: v for k, v in drift.items() if k != "champion"}
    if kept.get("degraded") is None:
        kept.pop("degraded", None)
    return kept
