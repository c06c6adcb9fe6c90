"""What people, nightly runs and looks do to one registered model, by the registry's own calls.

Each operation is a whole command: run again with the same arguments after it was killed it
finishes what it began, and after it ended it changes nothing. It returns the event by which the
champion changed, if it changed one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any, Literal

from retrain_ops.decisions import champion as judged_against
from retrain_ops.registry.events import (
    APPROVAL_TAG,
    CHAMPION,
    ENDED_STATES,
    UNSERVED_STATES,
    Event,
    Version,
    utc_text,
)
from retrain_ops.registry.registry import Registry

FIRST = date(2020, 1, 6)
SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Operation:
    """A command: its name in `OPERATIONS`, the window and bytes it is about, its nominal time."""

    name: str
    day: int
    digest: str
    at: int

    @property
    def window_end(self) -> date:
        """The window's end."""
        return FIRST + timedelta(days=self.day)

    @property
    def instant(self) -> datetime:
        """When it counts."""
        return datetime(2020, 2, 1, tzinfo=UTC) + timedelta(hours=self.at)


@dataclass
class Records:
    """What the keys of one workspace keep: by key, the champion that its first step named."""

    champions: dict[date, Mapping[str, Any]] = field(default_factory=dict)
    judged: list[tuple[str, ...]] = field(default_factory=list)


Act = Callable[[Registry, Operation, Records], Event | None]


def key_of(registry: Registry, operation: Operation) -> str:
    """The retrain key."""
    return f"{registry.name}/{operation.window_end}"


def _sha(registry: Registry, operation: Operation) -> str:
    return f"{key_of(registry, operation)} {operation.digest}"


def _version(registry: Registry, operation: Operation) -> Version | None:
    return registry.version_with(
        retrain_key=key_of(registry, operation), model_sha256=_sha(registry, operation)
    )


def _register(registry: Registry, operation: Operation, _: Records) -> None:
    tags = {
        "retrain_key": key_of(registry, operation),
        "execution_date": operation.window_end.isoformat(),
        "model_sha256": _sha(registry, operation),
    }
    registry.register(run_id="", source="s3://nowhere/model", tags=tags, description="")


def _open(registry: Registry, operation: Operation, _: Records) -> None:
    """As promote_challenger opens: one at a time, never behind, a key once."""
    registry.finish()
    world = registry.world()
    version = _version(registry, operation)
    if version is None or version.state != "registered" or version.opened_at is not None:
        return
    window = world.snapshot.newest_promoted_window()
    same = (v for v in world.versions if v.retrain_key == version.retrain_key)
    behind = window is not None and version.window_end <= window
    queued = any(v.is_open for v in world.versions)
    if not (behind or queued or any(v.state in ENDED_STATES for v in same)):
        registry.open_shadow(version, opened_at=operation.instant)


def _in_shadow(registry: Registry, operation: Operation) -> Version | None:
    """The candidate whose shadow is over: its end is nominal, and never that of its opening."""
    registry.finish()
    candidate = registry.open_candidate()
    if candidate is None or candidate.state != "shadow" or candidate.opened_at is None:
        return None
    return candidate if candidate.opened_at < operation.instant else None


def _pass(registry: Registry, operation: Operation, _: Records) -> None:
    candidate = _in_shadow(registry, operation)
    if candidate is not None:
        registry.set_state(candidate, "shadow_passed")


def _fail(registry: Registry, operation: Operation, _: Records) -> None:
    candidate = _in_shadow(registry, operation)
    if candidate is not None:
        registry.close(candidate, "failed", closed_at=operation.instant)


def _promote(registry: Registry, operation: Operation, _: Records) -> Event | None:
    """As promote_champion: what waits serves, unless a newer window does."""
    registry.finish()
    candidate = registry.open_candidate()
    if candidate is None or candidate.state == "canary":
        return None
    if candidate.tags.get(APPROVAL_TAG) == "rejected":
        registry.close(candidate, "rejected", closed_at=operation.instant)
    elif candidate.state == "shadow_passed":
        return _promoted(registry, operation, candidate)
    return None


def _promoted(registry: Registry, operation: Operation, candidate: Version) -> Event | None:
    kind: Literal["bootstrap", "promote"] = "promote"
    if registry.snapshot().newest is None:
        kind = "bootstrap"
    event = registry.promote(
        candidate,
        kind=kind,
        effective_from=operation.instant,
        recorded_at=operation.instant,
        share=None if kind == "bootstrap" else SHARE,
    )
    if event is None:
        registry.close(candidate, "expired", closed_at=operation.instant)
    return event


def _keep(registry: Registry, operation: Operation, _: Records) -> None:
    registry.finish()
    candidate = registry.open_candidate()
    if candidate is not None and candidate.state == "canary":
        registry.set_state(candidate, "promoted", closed_at=operation.instant)


def _roll_back(registry: Registry, operation: Operation, _: Records) -> Event | None:
    """The version promoted last."""
    return registry.rollback(effective_from=operation.instant, recorded_at=operation.instant)


def _roll_back_version(registry: Registry, operation: Operation, _: Records) -> Event | None:
    version = _version(registry, operation)
    if version is None:
        return None
    return registry.rollback(
        version, effective_from=operation.instant, recorded_at=operation.instant
    )


def _answer(registry: Registry, operation: Operation, verdict: str) -> Version | None:
    """The first answer stands; its verdict is written last."""
    registry.finish()
    candidate = registry.open_candidate()
    if candidate is None or candidate.state == "canary":
        return None
    if APPROVAL_TAG not in candidate.tags:
        registry.set_tag(candidate, f"retrain.{verdict}_by", "amy")
        registry.set_tag(candidate, f"retrain.{verdict}_at", utc_text(operation.instant))
        registry.set_tag(candidate, APPROVAL_TAG, verdict)
    return registry.version(candidate.number)


def _approve(registry: Registry, operation: Operation, records: Records) -> Event | None:
    _answer(registry, operation, "approved")
    return _promote(registry, operation, records)


def _reject(registry: Registry, operation: Operation, records: Records) -> Event | None:
    _answer(registry, operation, "rejected")
    return _promote(registry, operation, records)


def _force(registry: Registry, operation: Operation, records: Records) -> Event | None:
    """As `promote --version N --force`."""
    registry.finish()
    version = _version(registry, operation)
    candidate = registry.open_candidate()
    if version is None or version.state not in UNSERVED_STATES:
        return None
    if candidate is not None and candidate.number != version.number:
        return None
    if version.opened_at is None:
        registry.open_shadow(version, opened_at=operation.instant)
    registry.set_state(registry.version(version.number), "shadow_passed")
    return _promote(registry, operation, records)


def _night(registry: Registry, operation: Operation, records: Records) -> Event | None:
    """A whole day: settle what waits, judge, register, open."""
    _pass(registry, operation, records)
    event = _promote(registry, operation, records)
    _judge(registry, operation, records)
    _register(registry, operation, records)
    _open(registry, operation, records)
    return event


def _judge(registry: Registry, operation: Operation, records: Records) -> None:
    """check_drift names the key's champion; evaluate counts by it; the decision names it."""
    run: Any = _key(registry, operation, records)
    if operation.window_end not in records.champions:
        champion = judged_against.decide_champion(run)
        named = {"champion": judged_against.champion_record(champion) if champion else None}
        records.champions[operation.window_end] = named
    counted, decided = judged_against.champion_of_key(run), judged_against.champion_of_key(run)
    first = records.champions[operation.window_end]["champion"]
    named_first = first["model_sha256"] if first else ""
    records.judged.append((named_first, *(v.model_sha256 if v else "" for v in (counted, decided))))


def _key(registry: Registry, operation: Operation, records: Records) -> Any:
    """As much of a run as the champion of a key is decided with."""
    workspace = SimpleNamespace(
        key_path=lambda end, name: name,
        recover_json=lambda *_: None,
        recover=lambda *_: None,
        absolute=str,
    )
    return SimpleNamespace(
        registry=registry,
        workspace=workspace,
        window=SimpleNamespace(end=operation.window_end),
        instant=operation.instant + timedelta(days=1),
        retrain_key=key_of(registry, operation),
        require=lambda _: records.champions[operation.window_end],
        path=str,
    )


def _repair(registry: Registry, operation: Operation, _: Records) -> None:
    registry.verify(repair=True)


# -- by hand, in MLflow's own pages ------------------------------------------------------


def _delete(registry: Registry, operation: Operation, _: Records) -> None:
    version = _version(registry, operation)
    if version is not None:
        registry.client.delete_model_version(registry.name, version.number)


def _move_alias(registry: Registry, operation: Operation, _: Records) -> None:
    version = _version(registry, operation)
    if version is not None and registry.snapshot().newest is not None:
        registry.client.set_registered_model_alias(registry.name, CHAMPION, version.number)


OPERATIONS: dict[str, Act] = {
    "register": _register,
    "open": _open,
    "pass": _pass,
    "fail": _fail,
    "promote": _promote,
    "keep": _keep,
    "rollback": _roll_back,
    "rollback of a version": _roll_back_version,
    "approve": _approve,
    "reject": _reject,
    "promote by force": _force,
    "night": _night,
    "judge": _judge,
    "verify --repair": _repair,
    "delete a version by hand": _delete,
    "move @champion by hand": _move_alias,
}
WEIGHTS = {"night": 10, "pass": 4, "promote": 4, "promote by force": 3, "keep": 3, "judge": 2}
BY_HAND = ("delete a version by hand", "move @champion by hand")
