"""The models that answer: as registered, of the spec's columns, and tried before use."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from retrain_ops.comparison.scoring import registered_file
from retrain_ops.errors import ConfigError, CorruptError
from retrain_ops.models.mlflow_flavor import MODEL_FILE
from retrain_ops.models.requests import CoreArms, RequestError, answer_request, core_arms
from retrain_ops.models.tabular import TabularModel, load_model
from retrain_ops.registry.events import Version
from retrain_ops.registry.registry import Registry
from retrain_ops.rollout.arms import arm_key, limit_of
from retrain_ops.serving.state import Named, State, model_path
from retrain_ops.spec.train import DEFAULTS, NATIVE


@dataclass(frozen=True, slots=True, eq=False)
class Arm:
    """A version of the registry and its model."""

    version: str
    model: TabularModel


@dataclass(frozen=True, slots=True, eq=False)
class Arms:
    """The models that score, and who meets which; never changed, only replaced.

    `core` answers for them all.
    """

    epoch: int
    champion: Arm
    previous: Arm | None
    shadow: Arm | None
    share: float
    core: CoreArms

    def versions(self, rows: int, by_previous: int) -> str:
        """Who scored a request."""
        if self.previous is None or by_previous == 0:
            return self.champion.version
        if by_previous == rows:
            return self.previous.version
        return f"{self.champion.version}, {self.previous.version}"


def load_arms(
    folder: Path, state: State, columns: Sequence[str], old: Arms | None, unit: str = ""
) -> Arms:
    """The models that a state names; those in use already are not loaded again.

    Args:
        folder: where they lie.
        state: names them.
        columns: the features of the spec.
        old: what is in use.
        unit: the column of the units, empty without one.

    Raises:
        CorruptError: a file is not the model that the state names.
        OSError: it is gone: the state has changed again.
    """
    loaded = [] if old is None else [old.champion, old.previous, old.shadow]
    known = {(arm.version, arm.model.sha256): arm for arm in loaded if arm is not None}

    def arm_of(named: Named) -> Arm:
        arm = known.get((named.version, named.sha256))
        return arm or _load(folder, named, columns)

    champion = arm_of(state.champion)
    previous, shadow = (None if n is None else arm_of(n) for n in (state.previous, state.shadow))
    for other in (previous, shadow):
        if other is not None and champion.model.objective != other.model.objective:
            raise CorruptError(
                f"version {champion.version} predicts {champion.model.objective}, version "
                f"{other.version} {other.model.objective}: they cannot share the traffic"
            )
    core = core_arms(
        champion.model,
        None if previous is None else previous.model,
        None if shadow is None else shadow.model,
        unit=unit,
        key=arm_key(state.model, state.champion.version),
        limit=limit_of(state.share),
        versions=(_number(champion), _number(previous), _number(shadow)),
    )
    return Arms(state.epoch, champion, previous, shadow, state.share, core)


def _number(arm: Arm | None) -> int:
    """Versions of MLflow are whole numbers."""
    return 0 if arm is None else int(arm.version)


def _load(folder: Path, named: Named, columns: Sequence[str]) -> Arm:
    path = model_path(folder, named.sha256)
    model = load_model(path)
    if model.sha256 != named.sha256:
        raise CorruptError(f"{path} is not the model of version {named.version}: remove it")
    return try_arm(named.version, model, columns)


def fetch_arm(registry: Registry, number: str, columns: Sequence[str]) -> Arm:
    """The model of a version as it was registered, tried on a row of missing values.

    Args:
        registry: where the version is.
        number: the version.
        columns: the features of the spec, which the model must have.

    Raises:
        ConfigError: the version has a trainer of its own.
        ConflictError: the version is gone, or does not say which bytes were registered.
        CorruptError: the bytes are others, no model, of other columns, or predict no number.
        RemoteError, NetworkError: MLflow does not give them.
    """
    version = registry.version(number)
    _require_native(version)
    model = load_model(registered_file(registry.client, version, MODEL_FILE))
    return try_arm(number, model, columns)


def _require_native(version: Version) -> None:
    trainer = version.tags.get("trainer", NATIVE)
    if trainer not in DEFAULTS:
        raise ConfigError(
            f"version {version.number} was trained by {trainer}; retrain_ops.serving knows the "
            f"models of {', '.join(sorted(DEFAULTS))}: serve it with mlflow models serve"
        )


def try_arm(number: str, model: TabularModel, columns: Sequence[str]) -> Arm:
    """The model as an arm, once it has the columns and a prediction for a row without values.

    Raises:
        CorruptError: it does not.
    """
    found = [feature.name for feature in model.features]
    if sorted(found) != sorted(columns):
        raise CorruptError(f"version {number} has the columns {found}, the spec {list(columns)}")
    probe = json.dumps({"inputs": dict.fromkeys(columns)}).encode()
    try:
        answer, _, _ = answer_request(core_arms(model), probe, csv=False, max_rows=1)
    except RequestError as problem:
        raise CorruptError(f"version {number} cannot score a row: {problem}") from problem
    scores = json.loads(answer)["predictions"][0]
    if not all(math.isfinite(s) for s in (scores if isinstance(scores, list) else [scores])):
        raise CorruptError(f"version {number} predicts no number for a row without values")
    return Arm(number, model)
