"""The one process of a host that asks the registry who serves, and writes what it heard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace as replace_fields
from pathlib import Path

from retrain_ops.errors import ConflictError, CorruptError, text_of
from retrain_ops.models.tabular import load_model
from retrain_ops.registry.events import CHALLENGER, Event
from retrain_ops.registry.registry import Registry, Serving
from retrain_ops.serving.arms import Arm, fetch_arm
from retrain_ops.serving.state import Named, State, model_path, read_state, replace, write_state

SHOWN_CHANGES = 8


def said(event: Event) -> str:
    """A change of champion in words."""
    if event.kind == "rollback":
        return f"version {event.failed} was rolled back to version {event.version}"
    if event.previous is None:
        return f"version {event.version} became champion"
    how = "replaced" if event.share is None else f"began with {event.share:.0%} beside"
    return f"version {event.version} {how} version {event.previous}"


class Supervisor:
    """Keeps the state file of a folder what the registry says.

    One look is one call while nothing changes; a new event, moved aliases or an open canary cost
    a second one, for share and state of the champion. With `shadows` the model of @challenger,
    whose shadow or approval is under way, is kept too; one that cannot score is a problem and
    changes nothing else.

    Args:
        registry: who serves.
        columns: the features of the spec, which a model must have.
        folder: where the state lies.
        shadows: whether a challenger is to score.
    """

    def __init__(
        self, registry: Registry, columns: Sequence[str], folder: Path, *, shadows: bool = False
    ) -> None:
        self._registry, self._columns, self._folder = registry, tuple(columns), folder
        self._shadows = shadows
        self._seen: object = None
        self._shadow_problem: str | None = None

    def look(self) -> None:
        """Asks, and on a change fetches and tries the models before it replaces the state.

        Raises:
            ConflictError: nobody was promoted, a change is under way, or the challenger cannot
                be a shadow.
            ConfigError, CorruptError: a model cannot be served.
            NetworkError, RemoteError, OSError: the registry or the disk does not answer.
        """
        snapshot = self._registry.snapshot()
        seen = (snapshot.incarnation, snapshot.epoch, dict(snapshot.aliases))
        before = self._sound_state()
        if before is None or seen != self._seen:
            serving = self._registry.serving(snapshot)
            state = self._state(serving, snapshot.aliases.get(CHALLENGER), before)
            newest = snapshot.acts[-SHOWN_CHANGES:]
            state = replace_fields(state, changes=tuple((e.recorded_at, said(e)) for e in newest))
            if state != before:
                write_state(self._folder, state)
            self._seen = None if serving.share < 1.0 else seen
        if self._shadow_problem is not None:
            raise ConflictError(self._shadow_problem)

    def _sound_state(self) -> State | None:
        """The state, if it and its models can still be used."""
        try:
            state = read_state(self._folder)
        except CorruptError:
            return None
        if state is None:
            return None
        whole = all(model_path(self._folder, arm.sha256).exists() for arm in state.arms)
        return state if whole else None

    def _state(self, serving: Serving, challenger: str | None, before: State | None) -> State:
        split = serving.previous is not None and serving.share < 1.0
        champion = self._named(serving.champion, before)
        shadow = None if split or challenger == serving.champion else challenger
        return State(
            model=self._registry.name,
            epoch=serving.epoch,
            champion=champion,
            previous=self._named(serving.previous, before) if split and serving.previous else None,
            share=serving.share if split else 1.0,
            shadow=self._shadow(shadow, champion, before),
        )

    def _shadow(self, number: str | None, champion: Named, before: State | None) -> Named | None:
        """The challenger, if it can score what the champion answers."""
        self._shadow_problem = None
        if number is None or not self._shadows:
            return None
        try:
            named = self._named(number, before)
            both = [load_model(model_path(self._folder, m.sha256)) for m in (champion, named)]
            if both[0].objective != both[1].objective:
                raise CorruptError(
                    f"it predicts {both[1].objective}, the champion {both[0].objective}"
                )
        except Exception as problem:
            self._shadow_problem = f"version {number} is no shadow: {text_of(problem)}"
            return None
        return named

    def _named(self, number: str, before: State | None) -> Named:
        """The version, its model tried and in the folder."""
        registered = Named(number, self._registry.version(number).model_sha256)
        if before is not None and registered in before.arms:
            return registered
        arm: Arm = fetch_arm(self._registry, number, self._columns)
        replace(model_path(self._folder, arm.model.sha256), arm.model.to_bytes())
        return Named(number, arm.model.sha256)
