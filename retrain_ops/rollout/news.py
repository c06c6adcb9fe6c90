"""What happened to `@champion` is reported once, by whoever finishes it.

A step that promotes or rolls back may die before it can say so; another run, or a look, then
finishes the change. So which key reported an epoch is a file of the model; a key that is run
again reports again what it reported, and nobody else does.
"""

from __future__ import annotations

from collections.abc import Container

from retrain_ops.registry.events import Event
from retrain_ops.run import Run


def begin(run: Run) -> None:
    """What happened before this workspace was first used is no news here."""
    if run.workspace.recover_json(_path(run)) is None:
        events = run.registry.snapshot().acts
        run.workspace.overwrite_json(_path(run), {str(e.epoch): "" for e in events})


def unreported(run: Run, kinds: Container[str]) -> Event | None:
    """The newest event of these kinds if nobody has reported it, else what this key reported."""
    world = run.registry.world()
    acts = [e for e in reversed(world.snapshot.acts) if e.kind in kinds]
    acts = [e for e in acts if world.find(e.version) is not None]
    begin(run)
    reported = run.workspace.recover_json(_path(run)) or {}
    if acts and str(acts[0].epoch) not in reported:
        return acts[0]
    own = (e for e in acts if reported.get(str(e.epoch)) == run.retrain_key)
    return None if run.context.look else next(own, None)


def report(run: Run, event: Event) -> None:
    """Notes that this key reports the event."""
    known = run.workspace.recover_json(_path(run)) or {}
    if known.get(str(event.epoch)) != run.retrain_key:
        run.workspace.overwrite_json(_path(run), {**known, str(event.epoch): run.retrain_key})


def _path(run: Run) -> str:
    return f"{run.model}/reported.json"
