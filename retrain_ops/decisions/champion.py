"""Which champion a key is judged against: decided once, then read from its records."""

from __future__ import annotations

from retrain_ops.decisions.record import DECISION_FILE, NamedModel, recover_decision
from retrain_ops.errors import ConfigError
from retrain_ops.registry.events import Version
from retrain_ops.run import Run


def champion_record(champion: Version) -> NamedModel:
    """How a decision names the champion it judged against."""
    return {"retrain_key": champion.retrain_key, "model_sha256": champion.model_sha256}


def decide_champion(run: Run) -> Version | None:
    """The champion that this key is to be judged against: check_drift asks, once per attempt.

    A key that was decided before keeps the champion named in its decision, so
    that a re-run of last Tuesday repeats last Tuesday; otherwise it is the one
    that served at the run's instant.

    Raises:
        ConfigError: the registry no longer has the champion that the decision names.
    """
    decision = recover_decision(run.workspace, run.window.end)
    if decision is not None:
        return _named(run, decision["champion"])
    champion = run.registry.champion_as_of(run.instant)
    # The first champion serves from its own instant on: its key was judged against nobody.
    return None if champion is None or champion.retrain_key == run.retrain_key else champion


def champion_of_key(run: Run) -> Version | None:
    """The champion that check_drift decided on: who serves may have changed since.

    Raises:
        ConfigError: check_drift has not run for this key, or the version is gone.
    """
    return _named(run, run.require("check_drift")["champion"])


def _named(run: Run, named: NamedModel | None) -> Version | None:
    if named is None:
        return None
    found = run.registry.version_with(**named)
    if found is None:
        path = run.workspace.absolute(run.path(DECISION_FILE))
        raise ConfigError(
            f"{run.retrain_key} is judged against {named['retrain_key']}, which is not in the "
            f"registry (any more); restore it, or move {path} away to decide anew"
        )
    return found
