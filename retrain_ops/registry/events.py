"""What the registry says: versions and the events that changed `@champion`, read from tags."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, date, datetime
from typing import Any, Literal, TypeVar, get_args

from retrain_ops.errors import ConflictError
from retrain_ops.mlflow.types import ModelVersion

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"

# In their order: of two that late writers leave on one version, the further one holds.
State = Literal[
    "registered",  # trained and judged, never opened
    "shadow",  # candidate: scores beside the champion
    "shadow_passed",  # candidate: waits for promotion or approval
    "superseded",  # closed: another version of the same key took its place
    "expired",  # closed: nobody approved, or evidence never came
    "failed",  # closed: the shadow failed
    "rejected",  # closed: a person said no
    "canary",  # @champion with a share of the traffic
    "promoted",  # closed: served, and stayed
    "rolled_back",  # closed: live metrics fell
]
RANK: Mapping[str, int] = {state: rank for rank, state in enumerate(get_args(State))}
OPEN_STATES: frozenset[str] = frozenset({"shadow", "shadow_passed", "canary"})
UNSERVED_STATES: frozenset[str] = frozenset({"registered", "shadow", "shadow_passed"})
SERVED_STATES: frozenset[str] = frozenset({"canary", "promoted", "rolled_back"})
# For ever: a key of which a version is in one of these never opens a candidate again.
ENDED_STATES: frozenset[str] = frozenset(
    {"promoted", "failed", "expired", "rejected", "rolled_back"}
)

EVENT_TAG = "retrain.event."
INTENT_TAG = "retrain.intent."  # where a version stands, a tag a state; the four below follow it
STATE_TAG = "retrain.state"
OPENED_TAG = "retrain.opened_at"
CLOSED_TAG = "retrain.closed_at"
SHARE_TAG = "retrain.canary_share"
APPROVAL_TAG = "retrain.approval"  # approved or rejected: a person's answer
ASKED_AT_TAG = "retrain.approval_asked_at"
SHADOW_DAYS_TAG = "retrain.shadow_days"
REPLACES_TAG = "retrain.replaces"  # the served version of the same key that a person replaces

YEARS = range(1900, 3000)


def utc_text(instant: datetime) -> str:
    """An instant as tags and records write it: ISO 8601, UTC, whole seconds."""
    return instant.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def utc_instant(text: str) -> datetime:
    """The instant that :func:`utc_text` wrote.

    Raises:
        ValueError: it is none, has no time zone, or lies where days cannot be added.
    """
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    if instant.year not in YEARS:
        raise ValueError(f"{text!r} is no time of a window")
    return instant


def _json(text: str) -> dict[str, Any]:
    """The JSON object in a tag, which anybody may have written.

    Raises:
        ValueError: it is none, or nested deeper than anything of ours.
    """
    try:
        value = json.loads(text)
    except RecursionError as problem:
        raise ValueError(f"{text[:80]!r} is nested too deep") from problem
    if not isinstance(value, dict):
        raise ValueError(f"{text[:80]!r} is no object")
    return value


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Intent:
    """Where a version stands on its way, or is to stand.

    It is one tag, so no reader meets half a change: it is written before its effects (the tags
    that people and routers read, the aliases), and whoever comes next finishes those. Each state
    has a tag of its own and the furthest one holds, so a writer that was paused and wakes up late
    overwrites nothing: the last writer wins a tag, and another state is another tag. `life`
    counts how often bytes came back that others had superseded; each life begins anew.
    `model_sha256` says which bytes stand there: MLflow may give the number of a deleted version
    again, and a late writer knows the number alone. Releases before it wrote none.
    """

    state: State
    opened_at: str | None = None
    closed_at: str | None = None
    life: int = 0
    model_sha256: str = ""

    @property
    def tag(self) -> str:
        """The tag of the version that keeps it."""
        return f"{INTENT_TAG}{self.life}.{self.state}"

    @property
    def order(self) -> tuple[int, int]:
        """Of several the one with the highest holds."""
        return self.life, RANK[self.state]

    def to_json(self) -> str:
        """One line of canonical JSON."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Intent:
        """The intent that :meth:`to_json` wrote.

        Raises:
            ValueError: it is not one.
        """
        value = _json(text)
        opened, closed, life = (value.get(name) for name in ("opened_at", "closed_at", "life"))
        for instant in (opened, closed):
            if instant is not None:
                utc_instant(instant)
        sha256 = value.get("model_sha256", "")
        if type(life) is not int or not isinstance(sha256, str):
            raise ValueError(text)
        return cls(_state(value.get("state")), opened, closed, life, sha256)


@dataclass(frozen=True, slots=True)
class Version:
    """A model version, read from its tags.

    `junk` are the tags of ours that hold what we never write; they are read as if absent.
    """

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
    junk: tuple[str, ...] = ()
    life: int = 0

    @property
    def intent(self) -> Intent:
        """Where it stands, as one value."""
        return Intent(
            self.state,
            utc_text(self.opened_at) if self.opened_at else None,
            utc_text(self.closed_at) if self.closed_at else None,
            self.life,
            self.model_sha256,
        )

    @property
    def has_intent(self) -> bool:
        """Whether a tag says where it stands; an older release wrote none."""
        return any(name.startswith(INTENT_TAG) for name in self.tags)

    @property
    def unreadable(self) -> tuple[str, ...]:
        """Tags that should hold an intent and do not."""
        return tuple(name for name in self.junk if name.startswith(INTENT_TAG))

    def with_tags(self, tags: Mapping[str, str]) -> Version:
        """The same version with other tags."""
        return _read(self.number, self.run_id, self.source, tags)

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
    """What the tags of a version say.

    Raises:
        ConflictError: neither `execution_date` nor `retrain_key` says which window it is of.
    """
    return _read(version.version, version.run_id, version.source, version.tags)


def _read(number: str, run_id: str, source: str, tags: Mapping[str, str]) -> Version:
    junk: list[str] = []
    known = _intents(tags, junk)
    sha256 = _bytes_of(tags, known)
    intents = [i for i in known if fits(i.model_sha256, sha256)]
    junk += [i.tag for i in known if i not in intents]
    if not intents or junk:
        shown = _shown_intent(tags, junk)
        intents.append(replace(shown, life=max((i.life for i in intents), default=0)))
    intent = max(intents, key=lambda i: i.order)
    window_end = _window_end(number, tags, junk)
    if not tags["retrain_key"].endswith(f"/{window_end.isoformat()}"):
        junk.append("retrain_key")
    return Version(
        number=number,
        run_id=run_id,
        source=source,
        retrain_key=tags["retrain_key"],
        window_end=window_end,
        model_sha256=sha256,
        state=intent.state,
        opened_at=utc_instant(intent.opened_at) if intent.opened_at else None,
        closed_at=utc_instant(intent.closed_at) if intent.closed_at else None,
        tags=tags,
        junk=tuple(junk),
        life=intent.life,
    )


def _intents(tags: Mapping[str, str], junk: list[str]) -> list[Intent]:
    """What the intents of a version say; a tag of another name than its own is junk."""
    found = []
    for name in tags:
        intent = _tag(tags, name, Intent.from_json, junk) if name.startswith(INTENT_TAG) else None
        if intent is not None and intent.tag == name:
            found.append(intent)
        elif intent is not None:
            junk.append(name)
    return sorted(found, key=lambda i: i.order)


def _bytes_of(tags: Mapping[str, str], intents: Sequence[Intent]) -> str:
    """The SHA-256 of its model: as it was registered, should a hand have spoilt the tag since."""
    named = [i.model_sha256 for i in intents]
    registered = [i.model_sha256 for i in intents[:1] if i.order == (0, 0)]
    return next(filter(None, (*registered, tags.get("model_sha256"), *named)), "")


def fits(named: str, held: str) -> bool:
    """Whether a hash that a record names can be the one that a version holds; "" is not known."""
    return "" in (named, held) or named == held


def _shown_intent(tags: Mapping[str, str], junk: list[str]) -> Intent:
    """What the tags for people say, where no intent does: an older release wrote only those.

    It set `opened_at` first: opened and still `registered` is an opening that was cut short.
    """
    state = _tag(tags, STATE_TAG, _state, junk) or "registered"
    opened = _tag(tags, OPENED_TAG, utc_instant, junk)
    closed = _tag(tags, CLOSED_TAG, utc_instant, junk)
    if state == "registered" and opened is not None and STATE_TAG not in junk:
        state = "shadow"
    return Intent(state, utc_text(opened) if opened else None, utc_text(closed) if closed else None)


def _tag(tags: Mapping[str, str], name: str, read: Callable[[str], T], junk: list[str]) -> T | None:
    """What a tag holds; None when it is absent or, then named in `junk`, holds something else."""
    if name not in tags:
        return None
    try:
        return read(tags[name])
    except (ValueError, TypeError):
        junk.append(name)
        return None


def _window_end(number: str, tags: Mapping[str, str], junk: list[str]) -> date:
    named = _tag(tags, "execution_date", date.fromisoformat, junk)
    if named is not None:
        return named
    try:
        return date.fromisoformat(tags["retrain_key"].rpartition("/")[2])
    except ValueError as problem:
        raise ConflictError(
            f"version {number}: its tags execution_date and retrain_key name no day "
            f"({tags.get('execution_date')!r}, {tags['retrain_key']!r}); set execution_date to "
            "its window end, or delete the version"
        ) from problem


def _state(text: object) -> State:
    known: dict[str, Any] = {s: s for s in get_args(State)}
    if not isinstance(text, str) or text not in known:
        raise ValueError(f"{text!r} is no state; known: {', '.join(known)}")
    state: State = known[text]
    return state


Kind = Literal["bootstrap", "promote", "rollback", "void"]
KINDS = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Event:
    """One change of `@champion`.

    `effective_from` is nominal time (when the change counts for decisions),
    `recorded_at` the wall clock. `failed` is set by a rollback alone. A `void`
    event changed nothing: it spends an epoch whose version was closed or deleted
    between the decision and the fence. MLflow gives the number of a deleted version
    again; `model_sha256` says which one the event means. `opened_at` is that of the
    candidacy which a promotion decided upon.
    """

    epoch: int
    kind: Kind
    version: str
    previous: str | None
    window_end: str
    effective_from: str
    recorded_at: str
    share: float | None = None
    failed: str | None = None
    model_sha256: str = ""
    opened_at: str | None = None

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
            event = cls(**{k: v for k, v in _json(text).items() if k in names})
            event._check()
            return event
        except (ValueError, TypeError) as problem:
            raise ConflictError(
                f"a tag {EVENT_TAG}* holds {text[:80]!r}, which is no event of the promotion "
                "protocol; remove it by hand if somebody wrote it by hand"
            ) from problem

    def _check(self) -> None:
        numbers = {self.version, self.previous, self.failed} - {None}
        texts = all(isinstance(n, str) for n in numbers) and isinstance(self.model_sha256, str)
        if type(self.epoch) is not int or self.kind not in KINDS or not texts or not self.version:
            raise ValueError("a member is not of its type")
        if self.share is not None:
            float(self.share)
        date.fromisoformat(self.window_end)
        for instant in (self.effective_from, self.recorded_at, self.opened_at):
            if instant is not None:
                utc_instant(instant)

    @property
    def tag(self) -> str:
        """The tag of the registered model that keeps this event."""
        return f"{EVENT_TAG}{self.epoch:06d}"

    def means(self, version: Version | None) -> bool:
        """Whether it is about this version, not about a deleted one that had its number.

        Versions of ours are made with their hash: where it is missing, a hand removed it.
        """
        return version is not None and fits(self.model_sha256, version.model_sha256)

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

    `incarnation` distinguishes a registered model from an earlier one of its name. `junk` are
    tags that should hold an event and do not: their claims still say what they held.
    """

    aliases: Mapping[str, str]
    events: tuple[Event, ...]
    incarnation: int = 0
    junk: tuple[str, ...] = ()

    @property
    def lost(self) -> tuple[int, ...]:
        """Epochs below the highest of which no event is left: somebody removed or spoilt them."""
        known = {e.epoch for e in self.events}
        return tuple(epoch for epoch in range(1, self.epoch) if epoch not in known)

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
        """The champion that `version` replaced."""
        promotion = self.promotion_of(version)
        return promotion.previous if promotion else None

    def successor_of(self, event: Event) -> Event | None:
        """The event that ended what `event` began."""
        return next((e for e in self.acts if e.epoch > event.epoch), None)


def read_events(tags: Mapping[str, str]) -> tuple[tuple[Event, ...], tuple[str, ...]]:
    """The events among the tags of a registered model, by epoch; and the tags that hold none."""
    events, junk = [], []
    for tag, text in sorted(tags.items()):
        if not tag.startswith(EVENT_TAG):
            continue
        try:
            event = Event.from_json(text)
        except ConflictError:
            junk.append(tag)
            continue
        if tag == event.tag:
            events.append(event)
        else:
            junk.append(tag)
    return tuple(sorted(events, key=lambda e: e.epoch)), tuple(junk)


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
        return version if promotion is None or promotion.means(version) else None

    def with_event(self, event: Event) -> World:
        """The world as it is once `event` is recorded and nothing else was done."""
        events = sorted((*self.snapshot.events, event), key=lambda e: e.epoch)
        return replace(self, snapshot=replace(self.snapshot, events=tuple(events)))
