"""What happened to `@champion` is reported once, by whoever finishes it.

A step that promotes or rolls back may die before it can say so; another run, or a look, then
finishes the change. So which key reported an epoch is a file of the model; a key that is run
again reports again what it reported, and nobody else does.
"""

from __future__ import annotations

from collections.abc import Container, Mapping

from retrain_ops.registry.events import Event
from retrain_ops.run import Run


def begin(run: Run) -> None:
    """What happened before this workspace was first used is no news here."""
    if _known(run) is None:
        _write(run, {str(e.epoch): "" for e in run.registry.snapshot().acts})


def unreported(run: Run, kinds: Container[str]) -> Event | None:
    """The newest event of these kinds if nobody has reported it, else what this key reported."""
    world = run.registry.world()
    acts = [e for e in reversed(world.snapshot.acts) if e.kind in kinds]
    acts = [e for e in acts if world.find(e.version) is not None]
    begin(run)
    reported = _known(run) or {}
    if acts and str(acts[0].epoch) not in reported:
        return acts[0]
    own = (e for e in acts if reported.get(str(e.epoch)) == run.retrain_key)
    return None if run.context.look else next(own, None)


def report(run: Run, event: Event) -> None:
    """Notes that this key reports the event."""
    known = _known(run) or {}
    if known.get(str(event.epoch)) != run.retrain_key:
        _write(run, {**known, str(event.epoch): run.retrain_key})


def _known(run: Run) -> dict[str, str] | None:
    """The key that reported each epoch; None where nobody can say, as where the file is spoilt."""
    content = run.workspace.recover_json(_path(run), {"epochs": dict})
    return None if content is None else content["epochs"]


def _write(run: Run, epochs: Mapping[str, str]) -> None:
    """Under a name of its own, so that an empty object is seen to be damaged."""
    run.workspace.overwrite_json(_path(run), {"epochs": dict(epochs)})


def _path(run: Run) -> str:
    return f"{run.model}/reported.json"
