"""promote_challenger: the gates. Pass registers a candidate; everything else changes nobody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from retrain_ops.comparison.scoring import model_folder
from retrain_ops.decisions.champion import champion_of_key
from retrain_ops.decisions.earlier import earlier_windows
from retrain_ops.decisions.judge import gate_report, outcome_of, reason_of
from retrain_ops.decisions.record import (
    DECISION_FILE,
    BootstrapGate,
    ChallengerRecord,
    GateRecord,
    HoldoutRecord,
    Judged,
    Outcome,
    recover_decision,
    scores_of,
    write_decision,
)
from retrain_ops.mlflow.tracking import find_run, upload_once
from retrain_ops.problems import problem_of
from retrain_ops.registry.events import ENDED_STATES, Version, utc_instant, utc_text
from retrain_ops.registry.registry import Registry
from retrain_ops.run import Run, note
from retrain_ops.stats.rules import quiet

NOT_BETTER = "challenger is not significantly better"
HOLDOUT = ("days", "cut_days", "rows", "cells", "sums")
"""What of evaluate's record judged; sums only where a metric of scores or amounts did."""


@dataclass(frozen=True, slots=True)
class PromoteResult:
    """The day's outcome: `challenger`, `skipped`, `undecided` or `queued`.

    The scores are of `metric`, None where it is F1.
    """

    outcome: Outcome
    reason: str
    f1_champion: float | None
    f1_challenger: float | None
    difference: float | None
    lower_bound: float | None
    literal: bool | None
    metric: str | None = quiet(None)
    score_champion: float | None = quiet(None)
    score_challenger: float | None = quiet(None)

    @property
    def status(self) -> str:
        """`ok` for a challenger, else `skipped`."""
        return "ok" if self.outcome == "challenger" else "skipped"

    @property
    def summary(self) -> str:
        """One line for people, with the numbers."""
        champion, challenger = self.f1_champion, self.f1_challenger
        if self.metric:
            champion, challenger = self.score_champion, self.score_challenger
        numbers = (
            f"{self.metric or 'f1'} {_shown(champion)} -> {_shown(challenger)}, "
            f"difference {_shown(self.difference)}, lower bound {_shown(self.lower_bound)}"
        )
        if self.outcome == "challenger":
            return f"challenger: {numbers}"
        if self.outcome == "skipped":
            return f"[skipped] {NOT_BETTER}: {self.reason}, {numbers}"
        return f"[skipped] challenger {self.outcome}: {self.reason}, {numbers}"


def promote_challenger(run: Run) -> PromoteResult:
    """Judges the counts of evaluate, registers the version, and opens it if it passes.

    Writes decision.json. A re-run repeats the decision; the champion is never touched.
    """
    evaluated = run.require("evaluate")
    bootstrap = champion_of_key(run) is None
    report: GateRecord | BootstrapGate
    report = _bootstrap(run, evaluated) if bootstrap else _gate_report(run, evaluated)
    version = _register(run, evaluated["hashes"])
    passed = report["verdict"] == "pass"
    outcome = outcome_of(report["verdict"], queued=passed and _is_queued(run, version))
    result = PromoteResult(
        outcome=outcome,
        reason=reason_of(outcome, report),
        f1_champion=report["f1_champion"],
        f1_challenger=report["f1_challenger"],
        difference=report["difference"],
        lower_bound=report["lower_bound"],
        literal=report["literal"],
        **_metric_fields(run, report),
    )
    _note_difference(run, result.outcome)
    _write(run, evaluated, report, result)
    run.registry.set_tag(version, "outcome", result.outcome)
    behind = _is_behind(run, version)
    ended = _ended_as(run)
    if outcome == "challenger" and version.opened_at is None and not (behind or ended):
        run.registry.open_shadow(version, opened_at=run.instant)
    note(run, version=version.number, behind_newer_champion=behind, ended_as=ended)
    return result


def _bootstrap(run: Run, evaluated: Mapping[str, Any]) -> BootstrapGate:
    return problem_of(run.spec).first_champion(evaluated, run.spec.gate)


def _gate_report(run: Run, evaluated: Mapping[str, Any]) -> GateRecord:
    return gate_report(
        evaluated["cells"],
        run.spec.gate,
        expected_levels=evaluated["expected_levels"],
        facts={
            "cooldown": _cooldown_facts(run),
            "label_coverage": {k: evaluated[k] for k in ("labelled", "requests")},
            "model_size": {"bytes": evaluated["model_bytes"]},
            "calibration": evaluated["calibration"] or {},
            "forgetting": evaluated.get("seasons") or {},
        },
        sums=evaluated.get("sums"),
        earlier=earlier_windows(run, evaluated["days"][0]),
    )


def _metric_fields(run: Run, report: GateRecord | BootstrapGate) -> dict[str, Any]:
    """What the result adds for a metric other than F1."""
    if "score_champion" not in report:
        return {}
    champion, challenger = scores_of(report)
    metric = report["rules"].get("metric", run.spec.gate.metric)
    return {"metric": metric, "score_champion": champion, "score_challenger": challenger}


def _cooldown_facts(run: Run) -> dict[str, Any]:
    """When the newest promotion took effect, as of the run's instant."""
    taken = [e.effective_from for e in run.registry.snapshot().events if e.promotes]
    past = [t for t in taken if utc_instant(t) <= run.instant]
    newest = max(past, key=utc_instant, default=None)
    return {"promoted_at": newest, "instant": utc_text(run.instant)}


def _register(run: Run, hashes: Mapping[str, str]) -> Version:
    """The version of this key with these bytes; it exists once however often this runs."""
    logged = find_run(run)
    assert logged is not None, "evaluate logs the run before this step"
    trained = run.require("train")
    tags = {
        "retrain_key": run.retrain_key,
        "execution_date": run.window.end.isoformat(),
        "train_end": trained["train_end"],
        "threshold_end": trained["threshold_end"],
        "reference_sha256": trained["reference_sha256"],
        "trainer": run.spec.model.trainer,
        **hashes,
    }
    return run.registry.register(
        run_id=logged.run_id,
        source=f"{logged.artifact_uri}/{model_folder(trained)}",
        tags=tags,
        description=f"trained on {trained['train_start']} to {trained['train_end']}",
    )


def _is_queued(run: Run, version: Version) -> bool:
    """One candidate at a time: whoever passes while one is open is queued, for good."""
    if version.opened_at is not None:
        return False  # a replay: it was opened by this very decision
    if version.state != "registered" or _queue_is_final(run):
        return True
    return _other_candidate(run.registry, run, version)


def _queue_is_final(run: Run) -> bool:
    """A key that was queued once stays queued, even when the queue is empty on its re-run."""
    decision = recover_decision(run.workspace, run.window.end)
    return decision is not None and decision["outcome"] == "queued"


def _other_candidate(registry: Registry, run: Run, version: Version) -> bool:
    others = (v for v in registry.versions() if v.number != version.number)
    return any(v.is_open or v.was_open_at(run.instant) for v in others)


def _is_behind(run: Run, version: Version) -> bool:
    """A backfill, or other bytes for a window that was promoted, is judged and moves no alias."""
    newest = run.registry.snapshot().newest_promoted_window()
    return newest is not None and version.window_end <= newest


def _ended_as(run: Run) -> str | None:
    """How this key's candidate ended, if it had one: other bytes ask nobody again."""
    same = (v for v in run.registry.versions() if v.retrain_key == run.retrain_key)
    return next((v.state for v in same if v.state in ENDED_STATES), None)


def _note_difference(run: Run, outcome: Outcome) -> None:
    """When a bug fix changes a past decision, the run's record says so."""
    earlier = recover_decision(run.workspace, run.window.end)
    if earlier is not None and earlier["outcome"] != outcome:
        note(run, would_differ={"was": earlier["outcome"], "now": outcome})


def _write(
    run: Run,
    evaluated: Mapping[str, Any],
    report: GateRecord | BootstrapGate,
    result: PromoteResult,
) -> None:
    judged: Judged = {
        "challenger": cast(ChallengerRecord, run.require("train")),
        "hashes": evaluated["hashes"],
        "gate": report,
        "holdout": cast(HoldoutRecord, {k: evaluated[k] for k in HOLDOUT if k in evaluated}),
        "auc": {
            "champion": evaluated["auc_champion"],
            "challenger": evaluated["auc_challenger"],
        },
    }
    if evaluated.get("seasons"):
        judged["seasons"] = evaluated["seasons"]
    drift = run.require("check_drift")
    write_decision(run, outcome=result.outcome, reason=result.reason, drift=drift, judged=judged)
    logged = find_run(run)
    data = run.workspace.read(run.path(DECISION_FILE))
    if logged is not None and data is not None:
        upload_once(run, logged, DECISION_FILE, data)


def _shown(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.4f}"
