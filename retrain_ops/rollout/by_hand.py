"""Changes to the registry that a person or a task of theirs makes, under the model's lock."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from retrain_ops.errors import ConfigError
from retrain_ops.registry.changes import Rollback
from retrain_ops.registry.events import CHALLENGER, CHAMPION, PREVIOUS, Event
from retrain_ops.rollout import news
from retrain_ops.run import Run
from retrain_ops.workspace import LOCK_PATIENCE_S

log = logging.getLogger(__name__)


def roll_back(
    run: Run,
    version: str | None = None,
    *,
    effective_from: datetime | None = None,
    dry_run: bool = False,
    patience_s: float = LOCK_PATIENCE_S,
) -> dict[str, Any]:
    """Takes `@champion` off `version`, or off the newest promotion; repeated, it changes nothing.

    `rolled_back` is the version that lost `@champion`, by this call or by an earlier one; None
    when another version serves since.

    Args:
        run: any run of the model.
        version: the version to take off.
        effective_from: when the change counts; by default now.
        dry_run: list the writes as `plan`, and make none.
        patience_s: how long to wait for the model's lock.

    Raises:
        BusyError: another run held the model's lock.
        ConfigError: that version never took `@champion`, or only after `effective_from`; or
            nobody has it.
        ConflictError: that version replaced nobody.
    """
    now = datetime.now(UTC)
    change = Rollback(version, effective_from or now, now)
    if dry_run:
        plan = run.registry.plan(change)
        return {"model": run.model, "plan": [write.to_json() for write in plan]}
    with run.workspace.lock(patience_s=patience_s):
        event = run.registry.commit(change)
        if event is not None:
            _report(run, event)
    aliases = dict(run.registry.snapshot().aliases)
    rolled_back = None if event is None else event.failed
    return {"model": run.model, "rolled_back": rolled_back, "aliases": aliases}


def _report(run: Run, event: Event) -> None:
    """Notes that it was reported. It is done: a full disk must not make it look as if not."""
    try:
        news.report(run, event)
    except OSError as problem:
        log.warning("rolled back, and the next run says so once more: %s", problem)


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
        known = run.client.get_model_version_by_alias(run.model, alias)
        changed = known is None or known.version != version
        if changed:
            run.client.set_registered_model_alias(run.model, alias, version)
    return {"model": run.model, "alias": alias, "version": version, "changed": changed}
