"""Changes that a person, or a task of theirs, makes to the registry, under the model's lock."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from retrain_ops.errors import ConfigError
from retrain_ops.registry.registry import CHALLENGER, CHAMPION, PREVIOUS
from retrain_ops.rollout import news
from retrain_ops.run import Run
from retrain_ops.workspace import LOCK_PATIENCE_S


def roll_back(
    run: Run,
    version: str | None = None,
    *,
    effective_from: datetime | None = None,
    patience_s: float = LOCK_PATIENCE_S,
) -> dict[str, Any]:
    """Takes `@champion` off `version`, or off the newest promotion; repeated, it changes nothing.

    `rolled_back` is the version that lost `@champion`, by this call or by an earlier one; None
    when another version serves since.

    Raises:
        ConfigError: that version never took `@champion`.
        ConflictError: that version replaced nobody.
    """
    now = datetime.now(UTC)
    with run.workspace.lock(patience_s=patience_s):
        event = run.registry.rollback(
            version, effective_from=effective_from or now, recorded_at=now
        )
        if event is not None:
            news.report(run, event)
    aliases = dict(run.registry.snapshot().aliases)
    rolled_back = None if event is None else event.failed
    return {"model": run.model, "rolled_back": rolled_back, "aliases": aliases}


def set_alias(
    run: Run, alias: str, version: str, *, patience_s: float = LOCK_PATIENCE_S
) -> dict[str, Any]:
    """Makes an alias of the user's own name a version.

    Raises:
        ConfigError: the alias is one of the registry's own.
    """
    if alias in (CHAMPION, PREVIOUS, CHALLENGER):
        raise ConfigError(
            f"@{alias} follows the registry's events: use `retrain-ops promote` or `rollback`"
        )
    with run.workspace.lock(patience_s=patience_s):
        known = run.client.get_alias(run.model, alias)
        changed = known is None or known.version != version
        if changed:
            run.client.set_alias(run.model, alias, version)
    return {"model": run.model, "alias": alias, "version": version, "changed": changed}
