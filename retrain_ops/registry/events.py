"""What the registry says: versions and the events that changed `@champion`, read from tags."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, date, datetime
from typing import Any, Literal

from retrain_ops.errors import ConflictError
from retrain_ops.mlflow.types import ModelVersion

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"

State = Literal[
    "registered",  # trained and judged, never opened
    "shadow",  # candidate: scores beside the champion
    "shadow_passed",  # candidate: waits for promotion or approval
    "canary",  # @champion with a share of the traffic
    "promoted",  # closed: served, and stayed
    "failed",  # closed: the shadow failed
    "expired",  # closed: nobody approved, or evidence never came
    "rejected",  # closed: a person said no
    "rolled_back",  # closed: live metrics fell
    "superseded",  # closed: another version of the same key took its place
]
OPEN_STATES: frozenset[str] = frozenset({"shadow", "shadow_passed", "canary"})
UNSERVED_STATES: frozenset[str] = frozenset({"registered", "shadow", "shadow_passed"})
SERVED_STATES: frozenset[str] = frozenset({"canary", "promoted", "rolled_back"})
# For ever: a key of which a version is in one of these never opens a candidate again.
ENDED_STATES: frozenset[str] = frozenset(
    {"promoted", "failed", "expired", "rejected", "rolled_back"}
)

EVENT_TAG = "retrain.event."
STATE_TAG = "retrain.state"
OPENED_TAG = "retrain.opened_at"
CLOSED_TAG = "retrain.closed_at"
SHARE_TAG = "retrain.canary_share"
APPROVAL_TAG = "retrain.approval"  # approved or rejected: a person's answer
ASKED_AT_TAG = "retrain.approval_asked_at"
SHADOW_DAYS_TAG = "retrain.shadow_days"
REPLACES_TAG = "retrain.replaces"  # the served version of the same key that a person replaces


def utc_text(instant: datetime) -> str:
    """An instant as tags and records write it: ISO 8601, UTC, whole seconds."""
    return instant.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def utc_instant(text: str) -> datetime:
    """The instant that :func:`utc_text` wrote."""
    return datetime.fromisoformat(text)


@dataclass(frozen=True, slots=True)
class Version:
    """A model version, read from its tags."""

    number: str
    run_id: str
    source: str
    retrain_key: str
    window_end: date
    model_sha256: str
    state: State
    opened_at: datetime | None
    closed_at: datetime | None
    tags: Mapping[str, str] = field(repr=False)

    @property
    def is_open(self) -> bool:
        """Whether its shadow, approval or canary is still under way."""
        return self.state in OPEN_STATES

    def was_open_at(self, instant: datetime) -> bool:
        """Whether it was the open candidate at a past instant."""
        if self.opened_at is None or self.opened_at > instant:
            return False
        return self.closed_at is None or self.closed_at > instant


def read_version(version: ModelVersion) -> Version:
    """What the tags of a version say."""
    tags = version.tags
    return Version(
        number=version.version,
        run_id=version.run_id,
        source=version.source,
        retrain_key=tags["retrain_key"],
        window_end=date.fromisoformat(tags["execution_date"]),
        model_sha256=tags.get("model_sha256", ""),
        state=_state(tags.get(STATE_TAG, "registered")),
        opened_at=utc_instant(tags[OPENED_TAG]) if OPENED_TAG in tags else None,
        closed_at=utc_instant(tags[CLOSED_TAG]) if CLOSED_TAG in tags else None,
        tags=tags,
    )


def _state(text: str) -> State:
    known: dict[str, Any] = {s: s for s in State.__args__}  # type: ignore[attr-defined]
    if text not in known:
        raise ConflictError(f"the tag {STATE_TAG} says {text!r}; known: {', '.join(known)}")
    state: State = known[text]
    return state


@dataclass(frozen=True, slots=True)
class Event:
    """One change of `@champion`.

    `effective_from` is nominal time (when the change counts for decisions),
    `recorded_at` the wall clock. `failed` is set by a rollback alone. A `void`
    event changed nothing: it spends an epoch whose version was closed or deleted
    between the decision and the fence. MLflow gives the number of a deleted version
    again; `model_sha256` tells whom the event means.
    """

    epoch: int
    kind: Literal["bootstrap", "promote", "rollback", "void"]
    version: str
    previous: str | None
    window_end: str
    effective_from: str
    recorded_at: str
    share: float | None = None
    failed: str | None = None
    model_sha256: str = ""

    def to_json(self) -> str:
        """One line of canonical JSON."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Event:
        """The event that :meth:`to_json` wrote; members it does not know are left out.

        Raises:
            ConflictError: it is not one.
        """
        names = {f.name for f in fields(cls)}
        try:
            return cls(**{k: v for k, v in json.loads(text).items() if k in names})
        except (ValueError, TypeError, AttributeError) as problem:
            raise ConflictError(
                f"a tag {EVENT_TAG}* holds {text[:80]!r}, which is no event of the promotion "
                "protocol; remove it by hand if somebody wrote it by hand"
            ) from problem

    @property
    def tag(self) -> str:
        """The tag of the registered model that keeps this event."""
        return f"{EVENT_TAG}{self.epoch:06d}"

    @property
    def promotes(self) -> bool:
        """Whether its version took `@champion` by it for the first time."""
        return self.kind in ("bootstrap", "promote")

    def same_intent(self, other: Event) -> bool:
        """Whether a replay of `other` would be this event."""
        return (self.kind, self.version, self.failed) == (other.kind, other.version, other.failed)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Aliases and events as one read of the registered model gave them.

    `incarnation` tells a registered model from an earlier one of the same name.
    """

    aliases: Mapping[str, str]
    events: tuple[Event, ...]
    incarnation: int = 0

    @property
    def epoch(self) -> int:
        """The highest epoch; 0 before the first event."""
        return self.events[-1].epoch if self.events else 0

    @property
    def acts(self) -> tuple[Event, ...]:
        """The events that changed something."""
        return tuple(e for e in self.events if e.kind != "void")

    @property
    def newest(self) -> Event | None:
        """The newest event: what the aliases must say."""
        return self.acts[-1] if self.acts else None

    def as_of(self, instant: datetime) -> Event | None:
        """The event in force at `instant`: the newest one effective at or before it."""
        past = [e for e in self.acts if utc_instant(e.effective_from) <= instant]
        return max(past, key=lambda e: e.epoch, default=None)

    def newest_promoted_window(self) -> date | None:
        """The newest window ever promoted, rolled back ones included."""
        return max(
            (date.fromisoformat(e.window_end) for e in self.acts if e.promotes), default=None
        )

    def promotion_of(self, version: str, model_sha256: str = "") -> Event | None:
        """The event by which a version (of these bytes) took `@champion`, if it ever did."""
        taken = (e for e in reversed(self.acts) if e.promotes and e.version == version)
        wanted = ("", model_sha256)
        return next((e for e in taken if not model_sha256 or e.model_sha256 in wanted), None)

    def rollback_of(self, promotion: Event) -> Event | None:
        """The event by which the version of `promotion` lost `@champion` for good."""
        later = (e for e in self.acts if e.epoch > promotion.epoch)
        return next((e for e in later if e.failed == promotion.version), None)

    def predecessor_of(self, version: str) -> str | None:
        """Whom `version` replaced when it took `@champion`."""
        promotion = self.promotion_of(version)
        return promotion.previous if promotion else None

    def successor_of(self, event: Event) -> Event | None:
        """The event that ended what `event` began."""
        return next((e for e in self.acts if e.epoch > event.epoch), None)


def read_events(tags: Mapping[str, str]) -> tuple[Event, ...]:
    """The events among the tags of a registered model, by epoch.

    Raises:
        ConflictError: a tag is no event, or not the one of its epoch.
    """
    found = {k: Event.from_json(v) for k, v in sorted(tags.items()) if k.startswith(EVENT_TAG)}
    for tag, event in found.items():
        if tag != event.tag:
            raise ConflictError(f"the tag {tag} holds the event of epoch {event.epoch}")
    return tuple(found.values())


@dataclass(frozen=True, slots=True)
class World:
    """All that the protocol decides upon: the model's snapshot and its versions, oldest first."""

    snapshot: Snapshot
    versions: tuple[Version, ...]

    def find(self, number: str | None) -> Version | None:
        """The version of that number, if it is (still) there."""
        return next((v for v in self.versions if v.number == number), None)

    def holder(self, number: str | None) -> Version | None:
        """The version that the events mean by `number`: not another one that has it now."""
        version = self.find(number)
        promotion = self.snapshot.promotion_of(number) if number else None
        return version if promotion is None or _is(version, promotion) else None

    def with_event(self, event: Event) -> World:
        """The world as it is once `event` is recorded and nothing else was done."""
        events = (*self.snapshot.events, event)
        return replace(self, snapshot=replace(self.snapshot, events=events))


def _is(version: Version | None, event: Event) -> bool:
    return version is not None and event.model_sha256 in ("", version.model_sha256)
