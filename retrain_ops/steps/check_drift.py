"""check_drift: is there a reason to train today? Settles due shadows first."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

from retrain_ops.comparison.degraded import compare_matured
from retrain_ops.comparison.drift import CurrentDrift, drift_of_features
from retrain_ops.data.odd_days import texts_of, texts_of_odd
from retrain_ops.data.source import Source
from retrain_ops.data.sources.kind import VERSION
from retrain_ops.data.window_rows import check_strays, check_unique
from retrain_ops.decisions.champion import champion_record, decide_champion
from retrain_ops.decisions.judge import (
    DRIFT_COUNTS_FILE,
    EVENT_FILE,
    EVENT_REASONS,
    reason_to_train,
    triggered_by,
)
from retrain_ops.decisions.record import (
    EngineRecord,
    FeatureDriftRecord,
    NamedModel,
    Trigger,
    recover_decision,
    write_decision,
)
from retrain_ops.errors import ConfigError
from retrain_ops.models.training import refused_by_library, resolve_trainer
from retrain_ops.registry.events import Version
from retrain_ops.report.evidently import keep_evidently
from retrain_ops.rollout.promotion import settle
from retrain_ops.run import Run, note
from retrain_ops.spec.window import Window
from retrain_ops.stats.rules import quiet

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DriftResult:
    """Why to train, or why not.

    `reason` is `bootstrap`, `forced`, `drift`, `degraded`, `stale` or `none`; `features`
    holds one entry per feature: PSI, de-biased PSI, day-permutation p value, verdict.
    `engine` is whose statistics decided instead of ours, and what it said of each column;
    `degraded` is the champion beside a newer model, None when the spec does not ask for it;
    `source_version` is that of the source's table, where it has versions; `warnings` is what is
    odd about the newest days' rows. On a day that trains nothing `outside_day` and
    `after_instant` count those of them that strayed; on others pull_data does.
    """

    triggered: bool
    reason: Trigger
    psi_max: float | None
    psi_max_feature: str | None
    features: list[FeatureDriftRecord]
    champion: NamedModel | None
    age_days: int | None
    degraded: dict[str, Any] | None = None
    engine: EngineRecord | None = quiet(None)
    source_version: str = quiet("")
    outside_day: int = quiet(0)
    after_instant: int = quiet(0)
    warnings: tuple[str, ...] = quiet(())

    @property
    def status(self) -> str:
        """`ok` when training goes on, else `skipped`."""
        return "ok" if self.triggered else "skipped"

    @property
    def summary(self) -> str:
        """One line for people."""
        psi = f"PSI {self.psi_max:.3f} ({self.psi_max_feature})" if self.psi_max_feature else ""
        theirs = "" if self.engine is None else _in_a_line(self.engine)
        return " ".join(word for word in (self.reason, psi, theirs) if word)


def _in_a_line(engine: EngineRecord) -> str:
    columns = engine["columns"].values()
    drifted = sum(column["drifted"] for column in columns)
    return f"(Evidently: {drifted} of {len(columns)} columns drifted)"


def check_drift(run: Run) -> DriftResult:
    """Decides whether this window trains a model.

    Raises:
        ConfigError: there is no champion and nobody asked to bootstrap one, or the spec names
            a column that the source has not, or a trainer that cannot be loaded.
        SourceError: the newest days cannot be read; or nothing asks for training, and too many
            of their rows have strayed, or a request id is doubled.
        ValidationError: nothing asks for training, and a day is odd in a way the spec refuses.
    """
    run = replace(run, source_version=_version(run))
    check_spec(run.source, run.window)
    settle(run)
    champion = decide_champion(run)
    if champion is None:
        result = _bootstrap(run)
    elif run.context.bootstrap:
        raise ConfigError(
            f"{run.model} has a champion as of {run.instant.isoformat()} "
            f"({champion.retrain_key}); run without --bootstrap, or with --force to train anyway"
        )
    else:
        result = _compare(run, champion)
    result = replace(result, source_version=run.source_version)
    if not result.triggered:
        write_decision(run, outcome="no_train", reason="no_drift", drift=asdict(result), judged={})
    return result


def _version(run: Run) -> str:
    """The version of the source's table that this key reads, however often it is run.

    A backfill reads the newest: whoever asks for one has fixed what was wrong, the rows perhaps.
    """
    known = run.pinned_version
    if known and run.context.trigger != "backfill":
        return known
    newest = Source(run.spec).newest_version()
    if known and newest != known:
        change = f"{VERSION} {newest} (was {known})"
        note(run, source_change=change)
        log.warning("[NEW SOURCE] %s is not read from what it was: %s", run.retrain_key, change)
    return newest


def check_spec(source: Source, window: Window) -> None:
    """What the spec's text alone cannot show is refused on quiet days too.

    Raises:
        ConfigError: a column that the source has not, a trainer that cannot be loaded, or a
            parameter that its library does not take.
    """
    spec = source.spec
    source.check_columns(window.days)
    try:
        resolve_trainer(spec.model.trainer)
        refused = refused_by_library(spec.model.trainer, spec.train, spec.model.problem)
    except ConfigError as problem:
        raise spec.error("model", "trainer", str(problem)) from problem
    if refused is not None:
        raise spec.error("train", *refused)


def _bootstrap(run: Run) -> DriftResult:
    decided = recover_decision(run.workspace, run.window.end)
    began = run.registry.snapshot().as_of(run.instant)  # a replay of the bootstrap itself
    if not run.context.bootstrap and decided is None and began is None:
        raise ConfigError(
            f"{run.model} has no champion as of {run.instant.isoformat()}; train the first one "
            f"with `retrain-ops run --bootstrap --date {run.window.end}`, or an earlier date"
        )
    return DriftResult(
        triggered=True,
        reason="bootstrap",
        psi_max=None,
        psi_max_feature=None,
        features=[],
        champion=None,
        age_days=None,
    )


def _compare(run: Run, champion: Version) -> DriftResult:
    found = drift_of_features(run, champion)
    report = found.report
    run.workspace.write_json(run.path(DRIFT_COUNTS_FILE), found.record)
    age = (run.window.end - champion.window_end).days
    matured = compare_matured(run, champion)
    behind = matured is not None and matured.triggered
    reason = reason_to_train(
        drifted=found.triggered,
        degraded=behind,
        stale=age > run.spec.drift.max_age_days,
        asked=_asked_by_event(run),
    )
    reason = "forced" if run.context.forced or _was_forced(run) else reason
    features = cast(list[FeatureDriftRecord], report.to_json()["features"])
    engine = found.decides.to_record() if found.decides else None
    if run.spec.drift.report and found.evidently is not None:
        keep_evidently(run, found.evidently)
    result = DriftResult(
        triggered=reason != "none",
        reason=reason,
        psi_max=report.psi_max,
        psi_max_feature=report.feature_max,
        features=triggered_by(features, engine) if engine else features,
        champion=champion_record(champion),
        age_days=age,
        degraded=None if matured is None else matured.to_json(),
        engine=engine,
        warnings=texts_of(found.odd),
    )
    return result if result.triggered else _checked(run, found, result)


def _checked(run: Run, found: CurrentDrift, result: DriftResult) -> DriftResult:
    """A quiet day ends here: what pull_data and validate_data refuse is refused by this step."""
    strays, spec = found.strays, run.spec
    check_strays(run.retrain_key, spec, strays)
    check_unique(run.retrain_key, spec, found.rows)
    odd = texts_of_odd(spec, run.window, found.odd)
    return replace(
        result,
        outside_day=strays.outside,
        after_instant=strays.late,
        warnings=(*strays.warnings(f"the newest {spec.drift.current_days} days"), *odd),
    )


def _was_forced(run: Run) -> bool:
    """A person's word holds for its day: a re-run finds it in the record, and trains again."""
    decided = recover_decision(run.workspace, run.window.end)
    records = (run.read("check_drift.json"), decided["drift"] if decided else None)
    return any(record is not None and record.get("reason") == "forced" for record in records)


def _asked_by_event(run: Run) -> str | None:
    """Why an event asked for this window, kept with the key: a re-run repeats its decision."""
    if run.context.reason in EVENT_REASONS:
        run.workspace.write_json(run.path(EVENT_FILE), {"reason": run.context.reason})
    return (run.read(EVENT_FILE) or {}).get("reason")
