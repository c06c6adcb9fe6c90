"""What the user wrote: one TOML file per model, refused with the line when it is wrong."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import date, time
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal

from retrain_ops.errors import ConfigError
from retrain_ops.spec.evidently import EvidentlyTable
from retrain_ops.spec.learn import LearnTable
from retrain_ops.spec.memory import MemoryTable
from retrain_ops.spec.problem import derived_keys
from retrain_ops.spec.serving import ServingTable
from retrain_ops.spec.source import PLACE, SourceTable
from retrain_ops.spec.together import check_together
from retrain_ops.spec.toml_tables import TableReader, find_lines
from retrain_ops.spec.train import TRAINER_FORMS, ProblemName, is_trainer
from retrain_ops.spec.validate import ValidateTable
from retrain_ops.spec.window import Window, window_of
from retrain_ops.stats.degraded import DegradedRules
from retrain_ops.stats.gate_rules import GateRules
from retrain_ops.stats.noise import NoiseRules
from retrain_ops.stats.rules import Days, Level, Psi, Share, quiet, recorded, require
from retrain_ops.stats.sequential import CanaryRules
from retrain_ops.stats.shadow import ShadowRules
from retrain_ops.stats.thresholds import Threshold, ThresholdRule, threshold_of

_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-]{0,99}")

# The tables that can change a decision; of [source] all but where and how its rows lie.
_DECISIVE = (
    "model",
    "features",
    "window",
    "drift",
    "validate",
    "train",
    "gate",
    "shadow",
    "canary",
    "rollout",
    "degraded",
    "noise",
    "memory",
    "learn",
)


@dataclass(frozen=True, slots=True)
class ModelTable:
    """`[model]`: what it is registered as, and who trains it.

    Attributes:
        name: the registered model's name, and the folder of its files: letters, digits, - and _.
        trainer: "gbdt", "logistic", "linear" (for amounts), "xgboost", "lightgbm",
            "sklearn:Class" for a classifier of scikit-learn, or "package.module:function" for one
            of your own.
        seed: of training and of every random draw of a run.
        threshold: from which score on the model says 1, chosen out of fold: where a metric of
            decisions is best, or by `threshold_value`.
        problem: what the model is asked for: "binary" is a yes or no, with labels 0 and 1,
            "multiclass" one of 3 to 50 classes, with labels that are whole numbers or texts,
            "regression" an amount, with labels that are any finite numbers.
        threshold_value: of "fixed" the threshold, of "positive_rate" the largest share of rows,
            of "recall_at_precision" the least precision.
    """

    name: str
    trainer: str = "gbdt"
    seed: Annotated[int, "0 to 2^63 - 1"] = 0
    threshold: ThresholdRule = quiet("f1")
    threshold_value: Share | None = quiet(None)
    problem: ProblemName = quiet("binary")

    def __post_init__(self) -> None:
        require(
            _MODEL_NAME.fullmatch(self.name) is not None,
            "name: use letters, digits, - and _ (at most 100, the first a letter or digit): "
            "it becomes a registered model and a folder",
        )
        require(0 <= self.seed < 2**63, "seed: must lie in [0, 2^63)")
        require(
            is_trainer(self.trainer),
            f"trainer: must be {TRAINER_FORMS}, it is {self.trainer!r}",
        )
        Threshold(self.threshold, self.threshold_value).check()


@dataclass(frozen=True, slots=True)
class FeaturesTable:
    """`[features]`: what the model sees, in this order; at least one column.

    Attributes:
        numeric: columns of numbers.
        categorical: columns of strings.
    """

    numeric: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require(bool(self.all), "numeric: at least one feature is needed")
        doubled = sorted({n for n in self.all if self.all.count(n) > 1})
        require(not doubled, f"numeric: listed twice: {', '.join(doubled)}")

    @property
    def all(self) -> tuple[str, ...]:
        """Numeric features, then categorical ones."""
        return self.numeric + self.categorical


@dataclass(frozen=True, slots=True)
class WindowTable:
    """`[window]`: which days train and judge a model.

    Attributes:
        train_days: days that train a model.
        holdout_days: labelled days after them that judge champion and challenger.
        cutoff_time: when a day's run happens, and up to when it sees rows.
    """

    train_days: Days = 22
    holdout_days: Days = 7
    cutoff_time: Annotated[time, "UTC"] = time(2)

    def __post_init__(self) -> None:
        require(
            2 <= self.train_days <= 3660,
            "train_days: must lie in 2 to 3660 (the threshold comes from alternating days)",
        )
        require(1 <= self.holdout_days <= 366, "holdout_days: must lie in 1 to 366")
        require(self.cutoff_time.tzinfo is None, "cutoff_time: is UTC, leave the offset out")


@dataclass(frozen=True, slots=True)
class DriftTable:
    """`[drift]`: when a day retrains without anybody asking.

    Attributes:
        features: columns that are looked at; all features when empty.
        threshold: PSI of any feature above which it counts as drifted.
        trigger: "literal" retrains on the threshold alone; "proven" also asks for a
            day-permutation p value below `alpha`.
        alpha: level of that test.
        current_days: newest days that are compared with the champion's training days.
        bins: quantile bins of a numeric feature.
        draws: random deals of days behind the p value.
        max_age_days: age of the champion's window above which a day retrains without drift.
        engine: whose statistics decide: ours, or "evidently", whose are set by `evidently`; PSI is
            recorded beside them.
        report: "evidently" also keeps Evidently's own report of the day.
        evidently: its statistics by column, and where its report goes.
    """

    features: tuple[str, ...] = ()
    threshold: Psi = 0.2
    trigger: Literal["literal", "proven"] = "literal"
    alpha: Level = 0.05
    current_days: Days = 7
    bins: Annotated[int, "bins"] = 10
    draws: Annotated[int, "deals"] = 2000
    max_age_days: Days = 30
    engine: Literal["native", "evidently"] = quiet("native")
    report: Literal["", "evidently"] = quiet("")
    evidently: EvidentlyTable = quiet(EvidentlyTable())

    def __post_init__(self) -> None:
        require(self.threshold > 0, "threshold: must be above 0")
        require(0 < self.alpha < 1, "alpha: must lie between 0 and 1")
        require(1 <= self.current_days <= 366, "current_days: must lie in 1 to 366")
        require(2 <= self.bins <= 100, "bins: must lie in 2 to 100")
        require(99 <= self.draws <= 1_000_000, "draws: must lie in 99 to 1,000,000")
        require(self.max_age_days >= 1, "max_age_days: must be at least 1")


@dataclass(frozen=True, slots=True)
class RolloutTable:
    """`[rollout]`: whether a person approves before `@champion` moves.

    Attributes:
        approval: "required" asks a person once the shadow has passed; "auto" asks nobody.
        approval_days: how long a person has, from the question on.
        on_expiry: what silence means: "close" the candidate as expired, or "approve" it.
    """

    approval: Literal["auto", "required"] = "auto"
    approval_days: Days = quiet(7)
    on_expiry: Literal["close", "approve"] = quiet("close")

    def __post_init__(self) -> None:
        require(1 <= self.approval_days <= 366, "approval_days: must lie in 1 to 366")


@dataclass(frozen=True, slots=True)
class PublishTable:
    """`[publish]`: also write the pulled features to a database table, once per retrain key.

    Attributes:
        url: SQLAlchemy URL (PostgreSQL or SQLite); nothing is published when empty.
        table: table name, with a schema if you like (`features.flights`).
    """

    url: str = ""
    table: str = "features"


@dataclass(frozen=True, slots=True)
class RegistryTable:
    """`[registry]`: where MLflow is.

    Attributes:
        tracking_uri: MLflow's address; `MLFLOW_TRACKING_URI` when empty.
        experiment: experiment of the runs; the model's name when empty.
    """

    tracking_uri: str = ""
    experiment: str = ""


@dataclass(frozen=True, slots=True)
class NotifyTable:
    """`[notify]`: who hears of a day.

    Attributes:
        slack_webhook_env: environment variable that holds a Slack incoming-webhook URL.
    """

    slack_webhook_env: str = "SLACK_WEBHOOK_URL"


_SERVING = ServingTable()


@dataclass(frozen=True, slots=True)
class RetrainSpec:
    """One model's retraining, whole. Read it with :func:`load_spec`."""

    model: ModelTable
    source: SourceTable
    features: FeaturesTable
    window: WindowTable = field(default_factory=WindowTable)
    drift: DriftTable = field(default_factory=DriftTable)
    validate: ValidateTable = field(default_factory=ValidateTable)
    train: Mapping[str, object] = field(default_factory=dict)
    gate: GateRules = field(default_factory=GateRules)
    shadow: ShadowRules = field(default_factory=ShadowRules)
    canary: CanaryRules = field(default_factory=CanaryRules)
    rollout: RolloutTable = field(default_factory=RolloutTable)
    publish: PublishTable = field(default_factory=PublishTable)
    registry: RegistryTable = field(default_factory=RegistryTable)
    notify: NotifyTable = field(default_factory=NotifyTable)
    degraded: DegradedRules | None = quiet(None)
    noise: NoiseRules | None = quiet(None)
    memory: MemoryTable | None = quiet(None)
    learn: LearnTable | None = quiet(None)
    serving: ServingTable = quiet(_SERVING)
    origin: TableReader | None = field(default=None, compare=False, repr=False)

    @property
    def slice_columns(self) -> tuple[str, ...]:
        """Protected columns, then watched ones."""
        watched = tuple(c for c in self.gate.watched if c not in self.gate.protected)
        return tuple(self.gate.protected) + watched

    @property
    def drift_features(self) -> tuple[str, ...]:
        """The features asked for drift; all of them when the spec names none."""
        return self.drift.features or self.features.all

    @property
    def threshold(self) -> Threshold:
        """The rule that puts a model's threshold."""
        return threshold_of(self.model.threshold, self.model.threshold_value, self.gate)

    @property
    def named_columns(self) -> list[tuple[str, str, tuple[str, ...]]]:
        """`(table, key, columns)` of every key that names columns which a run pulls."""
        source = self.source
        return [
            ("source", "label", (source.label,)),
            ("source", "event_time", (source.event_time,)),
            ("source", "request_id", (source.request_id,)),
            ("features", "numeric", self.features.numeric),
            ("features", "categorical", self.features.categorical),
            ("gate", "protected", tuple(self.gate.protected)),
            ("gate", "watched", tuple(self.gate.watched)),
        ]

    def error(self, table: str, key: str, message: str) -> ConfigError:
        """An error of this spec, with file and line where it was read from a file."""
        if self.origin is None:
            return ConfigError(f"[{table}] {key}: {message}")
        return self.origin.error(table, key, message)

    def window_at(self, end: date) -> Window:
        """The window of the run whose window end is `end`."""
        return window_of(
            end,
            train_days=self.window.train_days,
            holdout_days=self.window.holdout_days,
            label_delay_days=self.source.label_delay_days,
            cutoff_time=self.window.cutoff_time,
        )

    def named(self, name: str | None) -> RetrainSpec:
        """The spec of another registered name; itself for None.

        Raises:
            ConfigError: nothing can be called so.
        """
        if name is None:
            return self
        try:
            return replace(self, model=replace(self.model, name=name))
        except ValueError as problem:
            raise ConfigError(f"model {name!r}: {str(problem).removeprefix('name: ')}") from problem

    def sha256(self) -> str:
        """Hash of everything that can change a decision: no URIs, paths or credentials."""
        decisive = {k: _plain(v) for k, v in recorded(self).items() if k in _DECISIVE}
        source = recorded(self.source)
        decisive["source"] = _plain({k: v for k, v in source.items() if k not in PLACE})
        text = json.dumps(decisive, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: object) -> object:
    """A table as JSON-ready values, exact: fractions and times as text."""
    if hasattr(value, "__dataclass_fields__"):
        return _plain(recorded(value))  # type: ignore[arg-type]
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, Fraction | time):
        return str(value)
    return value


def load_spec(path: str | Path, *, segment: str | None = None) -> RetrainSpec:
    """Reads and checks a spec.

    Relative paths in `[source] path` start at the spec's folder. `${NAME}` and
    `${NAME:-default}` in any string are taken from the environment, which is
    where passwords belong; `${SEGMENT}` is the `segment`, when one is given.

    Raises:
        ConfigError: with file and line, for anything unknown, wrong or impossible.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise ConfigError(f"the spec {file} cannot be read: {problem}") from problem
    return parse_spec(text, where=str(file.name), folder=file.resolve().parent, segment=segment)


def parse_spec(text: str, *, where: str, folder: Path, segment: str | None = None) -> RetrainSpec:
    """The spec in `text`; see :func:`load_spec`."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise ConfigError(f"{where}: not valid TOML: {problem}") from problem
    given = {} if segment is None else {"SEGMENT": segment}
    reader = TableReader(where=where, lines=find_lines(text), variables=given)
    known = [f.name for f in fields(RetrainSpec) if f.name != "origin"]
    for name in tables:
        if name not in known:
            raise reader.error(name, "", f"unknown table; known tables: {', '.join(known)}")
    for name in ("model", "source", "features"):
        if name not in tables:
            raise ConfigError(f"{where}: the table [{name}] is required and missing")
    values = {
        name: _read_table(reader, name, value, derived_keys(name, tables))
        for name, value in tables.items()
    }
    spec = RetrainSpec(**values, origin=reader)  # type: ignore[arg-type]
    check_together(reader, spec, tables)
    return _with_absolute_paths(spec, folder)


TABLES: Mapping[str, type] = {
    "model": ModelTable,
    "source": SourceTable,
    "features": FeaturesTable,
    "window": WindowTable,
    "drift": DriftTable,
    "validate": ValidateTable,
    "gate": GateRules,
    "shadow": ShadowRules,
    "canary": CanaryRules,
    "rollout": RolloutTable,
    "degraded": DegradedRules,
    "noise": NoiseRules,
    "memory": MemoryTable,
    "learn": LearnTable,
    "serving": ServingTable,
    "publish": PublishTable,
    "registry": RegistryTable,
    "notify": NotifyTable,
}
"""Who reads a table; `[train]` is the trainer's own."""


def _read_table(
    reader: TableReader, name: str, value: object, derived: Mapping[str, object]
) -> object:
    if name == "train":  # the trainer's own parameters
        if not isinstance(value, dict):
            raise reader.error(name, "", "must be a table")
        return value
    return reader.read(name, value, TABLES[name], **derived)


def _with_absolute_paths(spec: RetrainSpec, folder: Path) -> RetrainSpec:
    path = spec.source.path
    if path and "://" not in path and not Path(path).is_absolute():
        path = str((folder / path).resolve())
    serving = replace(spec.serving, folder=str(folder / spec.serving.folder))
    if serving.log:
        serving = replace(serving, log=str(folder / serving.log))
    return replace(spec, source=replace(spec.source, path=path), serving=serving)
