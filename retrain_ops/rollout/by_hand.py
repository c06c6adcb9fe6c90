"""Changes to the registry that a person or a task of theirs makes, under the model's lock."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from retrain_ops.errors import ConfigError
from retrain_ops.registry.events import CHALLENGER, CHAMPION, PREVIOUS
from retrain_ops.registry.protocol import next_rollback
from retrain_ops.run import Run
from retrain_ops.workspace import LOCK_PATIENCE_S


def roll_back(
    run: Run,
    version: str | None = None,
    *,
    effective_from: datetime | None = None,
    dry_run: bool = False,
    patience_s: float = LOCK_PATIENCE_S,
) -> dict[str, Any]:
    """Takes `@champion` off `version`, or off the newest promotion; repeated, it changes nothing.

    Args:
        run: any run of the model.
        version: the version to take off.
        effective_from: when the change counts; by default now.
        dry_run: list the writes as `plan`, and make none.
        patience_s: how long to wait for the model's lock.

    Raises:
        ConfigError: nobody serves.
        ConflictError: that version replaced nobody.
        BusyError: another run held the model's lock.
    """
    with run.workspace.lock(patience_s=patience_s):
        number = version or _newest_promoted(run)
        now = datetime.now(UTC)
        when = effective_from or now
        if dry_run:
            plan = run.registry.plan(
                lambda world: next_rollback(world, number, effective_from=when, recorded_at=now)
            )
            return {"model": run.model, "plan": [write.to_json() for write in plan]}
        event = run.registry.rollback(number, effective_from=when, recorded_at=now)
    aliases = dict(run.registry.snapshot().aliases)
    return {"model": run.model, "rolled_back": number if event else None, "aliases": aliases}


def _newest_promoted(run: Run) -> str:
    """The version promoted last, though a rollback may have taken it off: a repeated command
    then finds nothing to do instead of flipping further back."""
    newest = run.registry.snapshot().newest
    if newest is None:
        raise ConfigError(f"{run.model} has no @{CHAMPION} to roll back")
    return newest.failed or newest.version


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
