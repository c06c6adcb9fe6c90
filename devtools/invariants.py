"""What must be true of a registered model at rest, whoever did what to it before."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

from devtools.operations import Records
from retrain_ops.registry.events import (
    CHALLENGER,
    CHAMPION,
    OPEN_STATES,
    PREVIOUS,
    Event,
    World,
    utc_instant,
)
from retrain_ops.registry.protocol import doubled, follow
from retrain_ops.registry.registry import Registry

FAR = datetime(2100, 1, 1, tzinfo=UTC)
UNSERVED = ("failed", "expired", "rejected", "superseded")
# A person deleted what these are about; they say so, and nothing is blocked.
DELETED = ("was deleted: roll it back", "was deleted: the next watch_canary keeps the canary")


def violations(registry: Registry, returned: Sequence[Event], records: Records) -> list[str]:
    """What is not as it must be; `returned` are the events that commands gave back."""
    if registry.client.get_registered_model(registry.name) is None:
        return []
    world = registry.world()
    return [
        *_unrepaired(registry),
        *_aliases(world),
        *_epochs(world, returned),
        *_versions(world),
        *_repeated(registry, world),
        *(f"judged by three champions: {j}" for j in records.judged if len(set(j)) > 1),
    ]


def _unrepaired(registry: Registry) -> list[str]:
    found = registry.verify()
    told = [f for f in found.findings if not f.endswith(DELETED)]
    return [*told, *(f"still to be written: {w.to_json()}" for w in found.missing)]


def _aliases(world: World) -> list[str]:
    newest = world.snapshot.newest
    wanted = {CHAMPION: newest.version, PREVIOUS: newest.previous} if newest else {}
    if newest is not None and world.holder(newest.version) is None:
        return []  # the champion was deleted and there is nobody to go back to
    found = {k: v for k, v in world.snapshot.aliases.items() if k != CHALLENGER}
    wanted = {k: v for k, v in wanted.items() if world.holder(v) is not None}
    told = [] if found == wanted else [f"aliases are {found}, the newest event says {wanted}"]
    waiting = [v.number for v in world.versions if v.state in OPEN_STATES - {"canary"}]
    named = [n for k, n in world.snapshot.aliases.items() if k == CHALLENGER]
    return told + ([] if named == waiting else [f"@challenger is {named}, {waiting} wait"])


def _epochs(world: World, returned: Sequence[Event]) -> list[str]:
    """One event each, which stays as it was; promotions go forward in time."""
    events = {e.epoch: e for e in world.snapshot.events}
    told = [f"epoch {epoch} is lost" for epoch in world.snapshot.lost]
    told += [
        f"epoch {e.epoch} was answered as {e}, and is {events.get(e.epoch)}"
        for e in returned
        if events.get(e.epoch) != e
    ]
    windows = [date.fromisoformat(e.window_end) for e in world.snapshot.acts if e.promotes]
    if any(later <= earlier for earlier, later in itertools.pairwise(windows)):
        told.append(f"promotions went back: {windows}")
    return told


def _versions(world: World) -> list[str]:
    told = [f"{key} has two versions" for key in doubled(world.versions)]
    opened = [v.number for v in world.versions if v.is_open]
    told += [f"open at once: {opened}"] if len(opened) > 1 else []
    for version in world.versions:
        label = f"version {version.number} is {version.state}"
        promotion = world.snapshot.promotion_of(version.number, version.model_sha256)
        if version.state in UNSERVED and promotion is not None:
            told.append(f"{label}, and epoch {promotion.epoch} promoted it")
        if version.was_open_at(FAR) != version.is_open:
            told.append(f"{label} and was opened at {version.opened_at}, closed never")
        if version.state == "registered" and version.opened_at is not None:
            told.append(f"{label}, and opened")
    newest = world.snapshot.newest
    serving = world.holder(newest.version) if newest else None
    if serving is not None and serving.state not in ("canary", "promoted"):
        told.append(f"version {serving.number} serves and is {serving.state}")
    return told + [f"still to follow: {w.to_json()}" for w in follow(world)]


def _repeated(registry: Registry, world: World) -> list[str]:
    """A command that is repeated finds the event that holds."""
    told = []
    for event in world.snapshot.acts:
        version = world.holder(event.version)
        if not event.promotes or version is None:
            continue
        if world.snapshot.promotion_of(version.number, version.model_sha256) != event:
            continue  # of an earlier version that had this number
        again = registry.promote(
            version, kind="promote", effective_from=FAR, recorded_at=FAR, share=None
        )
        if again != event:
            told.append(f"promoted again: {again}, not {event}")
        undone = world.snapshot.rollback_of(event)
        if undone is not None:
            back = registry.rollback(version, effective_from=FAR, recorded_at=FAR)
            told += [] if back == undone else [f"rolled back again: {back}, not {undone}"]
    if registry.snapshot() != world.snapshot:
        told.append("repeated commands changed something")
    return told


def facts(registry: Registry) -> dict[str, Any]:
    """What of a registry does not depend on how often a command was begun."""
    if registry.client.get_registered_model(registry.name) is None:
        return {"versions": []}
    world, stem = registry.world(), f"{registry.name}/"
    shas = {v.number: _bare(v.model_sha256, stem) for v in world.versions}
    return {
        "versions": sorted(
            (_bare(v.model_sha256, stem), v.state, str(v.opened_at), str(v.closed_at))
            for v in world.versions
        ),
        "aliases": {k: shas.get(v) for k, v in world.snapshot.aliases.items()},
        "events": [
            (e.epoch, e.kind, _bare(e.model_sha256, stem), utc_instant(e.effective_from), e.share)
            for e in world.snapshot.events
        ],
    }


def _bare(text: str, stem: str) -> str:
    """Without the model's name, which differs between two worlds of one server."""
    return text.removeprefix(stem)
