"""Generated histories: several actors on one registered model, killed, cut, paused and woken late.

A history is drawn from a seed. Each actor runs its command in a thread of its own and only one
of them moves at a time, until it lets another one go on before one of its requests; so a seed
always gives the same interleaving. When all commands were begun, a person finishes the world:
what was cut off is run again, then `verify --repair`. The world is then held against what must
be true of every registry, and a serial history against the same one without disturbance.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from devtools.doubles.registry_server import Client, ProcessDied, Server
from devtools.invariants import facts, violations
from devtools.operations import BY_HAND, OPERATIONS, WEIGHTS, Operation, Records
from retrain_ops.errors import NetworkError, RemoteError, RetrainError
from retrain_ops.mlflow.client import MlflowClient
from retrain_ops.registry.events import CHAMPION, Event
from retrain_ops.registry.registry import Registry

WRITES = ("create_", "set_", "delete_", "ensure_")
FAULTS = ("killed before", "killed after", "cut before", "cut after", "answered twice")
CUT_OFF = ("ProcessDied", "NetworkError", "RemoteError")
TRIES = 20
SHOWN = 5

MakeClient = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class History:
    """What is done, in order of its beginning, and how it is disturbed."""

    seed: int
    operations: tuple[Operation, ...]
    actors: int  # 1: one after another, each finished before the next begins
    fault: float  # how likely a write goes wrong
    pause: float  # how likely a request waits for others


def draw(seed: int) -> History:
    """The history of a seed."""
    chance = random.Random(seed)
    names = list(OPERATIONS)
    weights = [WEIGHTS.get(name, 1) for name in names]
    operations, newest = [], 0
    for at in range(chance.randint(4, 14)):
        name = chance.choices(names, weights)[0] if at else "night"
        if name in BY_HAND and chance.random() < 0.5:
            name = "night"
        newest += chance.random() < 0.5
        older = chance.random() < 0.2
        day = chance.randint(0, newest) if older else newest
        operations.append(Operation(name, day, chance.choice("aaab"), at))
    actors = chance.choice((1, 2, 2, 3, 4))
    return History(
        seed=seed,
        operations=tuple(operations),
        actors=actors,
        fault=chance.choice((0.0, 0.05, 0.15)) if actors > 1 else 0.2,
        pause=chance.choice((0.05, 0.2, 0.5)) if actors > 1 else 0.0,
    )


class Disturbed:
    """A client whose requests wait, and whose writes go wrong, as the dice fall."""

    def __init__(self, client: Any, play: Play, wait: Callable[[], None]) -> None:
        self._client, self._play, self._wait = client, play, wait

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        return partial(self._call, name, found) if callable(found) else found

    def _call(self, name: str, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self._wait()
        chance = self._play.chance
        wrong = name.startswith(WRITES) and chance.random() < self._play.history.fault
        fault = chance.choice(FAULTS) if wrong else ""
        if name == "set_registered_model_alias":
            self._play.check_alias(*args)
        if fault.endswith("before"):
            raise _problem(fault)
        answer = method(*args, **kwargs)
        if fault.endswith("after"):
            raise _problem(fault)
        return method(*args, **kwargs) if fault == "answered twice" else answer


def _problem(fault: str) -> BaseException:
    return ProcessDied() if fault.startswith("killed") else NetworkError(fault)


@dataclass
class Play:
    """A history under way: its dice, what each command came to, and what went wrong."""

    history: History
    make_client: MakeClient
    model: str
    chance: random.Random
    records: Records = field(default_factory=Records)
    events: list[Event] = field(default_factory=list)
    ended: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def registry(self, wait: Callable[[], None] | None) -> Registry:
        """A process's own; undisturbed without `wait`."""
        client = self.make_client()
        if wait is not None:
            client = Disturbed(client, self, wait)
        return Registry(client=client, name=self.model)

    def check_alias(self, _: str, alias: str, number: str) -> None:
        """@champion goes only to whom an event names; without others at work, the newest one."""
        acts = self.registry(None).snapshot().acts
        named = acts if self.history.actors > 1 else acts[-1:]
        if alias == CHAMPION and number not in {e.version for e in named}:
            self.faults.append(f"@champion moves to version {number}, the events are {acts}")

    def run(self, operation: Operation, wait: Callable[[], None] | None) -> bool:
        """One try of a command; False when it was cut off, so that a person has to repeat it."""
        disturbed = wait if operation.name not in BY_HAND else None
        act, how = OPERATIONS[operation.name], "done"
        try:
            event = act(self.registry(disturbed), operation, self.records)
            self.events += [event] if event else []
        except (ProcessDied, NetworkError, RemoteError, RetrainError) as problem:
            how = type(problem).__name__
        except Exception as problem:
            self.faults.append(f"{operation}: {problem!r}")
        self.ended[how] += 1
        return how not in CUT_OFF


class Actor:
    """A process: a thread that moves only while the play lets it."""

    def __init__(self, play: Play, operation: Operation) -> None:
        self.play, self.operation = play, operation
        self.done, self.killed, self.finished = False, False, False
        self.asleep = 0
        self._go, self._rest = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        self._go.acquire()
        try:
            self.finished = not self.killed and self.play.run(self.operation, self._wait)
        finally:
            self.done = True
            self._rest.release()

    def _wait(self) -> None:
        chance = self.play.chance
        if chance.random() >= self.play.history.pause:
            return
        self.asleep = chance.choice((0, 0, 1, 3, 10, 40))
        self._rest.release()
        self._go.acquire()
        if self.killed:
            raise ProcessDied

    def move(self) -> None:
        """Until it waits, or ends."""
        self._go.release()
        self._rest.acquire()
        if self.done:
            self._thread.join()

    def kill(self) -> None:
        """It does nothing any more."""
        self.killed = True
        self.move()


def _interleaved(play: Play) -> list[Operation]:
    """Runs the history; the commands that were cut off."""
    left, cut = list(play.history.operations), []
    actors: list[Actor] = []
    while left or actors:
        while left and len(actors) < play.history.actors:
            actors.append(Actor(play, left.pop(0)))
        awake = [a for a in actors if not a.asleep] or actors
        actor = play.chance.choice(awake)
        for other in actors:
            other.asleep = max(0, other.asleep - 1)
        if play.chance.random() < play.history.fault / 10:
            actor.kill()
        else:
            actor.move()
        if actor.done:
            actors.remove(actor)
            cut += [] if actor.finished else [actor.operation]
    return cut


def _serial(play: Play, disturbed: bool) -> None:
    """Each command again until it ends, then the next one."""
    for operation in play.history.operations:
        for _ in range(TRIES):
            if play.run(operation, (lambda: None) if disturbed else None):
                break
        else:
            play.run(operation, None)


def play_history(
    history: History, make_client: MakeClient | None = None, model: str = "m"
) -> tuple[list[str], Counter[str]]:
    """Plays a history and finishes it: (what it violates, how its commands ended)."""
    play = Play(history, make_client or _double(), model, random.Random(f"{history.seed} faults"))
    if history.actors > 1:
        for operation in _interleaved(play):
            play.run(operation, None)
    else:
        _serial(play, disturbed=True)
    _finish(play)
    found = [*play.faults, *violations(play.registry(None), play.events, play.records)]
    found += _next_days(play)
    if history.actors == 1 and not found:
        found += _differences(history, make_client, model, play)
    return found, play.ended


def _finish(play: Play) -> None:
    """As a person does: repair, and take a champion off that somebody deleted."""
    registry = play.registry(None)
    registry.verify(repair=True)
    world = registry.world()
    newest = world.snapshot.newest
    if newest is not None and world.holder(newest.version) is None:
        last = play.history.operations[-1]
        back = Operation("rollback", last.day, last.digest, last.at + 1)
        play.run(back, None)


def _next_days(play: Play) -> list[str]:
    """Nothing is blocked: what waits is settled, and the challenger of the next day serves."""
    world = play.registry(None).world()
    if world.snapshot.newest and world.holder(world.snapshot.newest.version) is None:
        return []  # the first champion was deleted: a person promotes another one by force
    last = max(o.day for o in play.history.operations) + 1
    names = [("pass", 0), ("promote", 0), ("keep", 0), ("night", 0), ("night", 1), ("keep", 1)]
    at = len(play.history.operations) + 1
    for later, (name, days) in enumerate(names):
        play.run(Operation(name, last + days, "a", at + later), None)
    newest = play.registry(None).snapshot().newest
    wanted = Operation("night", last, "a", at).window_end.isoformat()
    told = violations(play.registry(None), play.events, play.records)
    if newest is None or newest.window_end != wanted:
        told.append(f"the challenger of the next day ({wanted}) does not serve: {newest}")
    return [f"days later: {what}" for what in told]


def _differences(
    history: History, make_client: MakeClient | None, model: str, found: Play
) -> list[str]:
    """Against the same history that nothing disturbed."""
    calm = Play(history, make_client or _double(), f"{model}-calm", random.Random(0))
    _serial(calm, disturbed=False)
    _finish(calm)
    _next_days(calm)
    wanted, seen = facts(calm.registry(None)), facts(found.registry(None))
    return [f"{k}: {seen[k]}, undisturbed {v}" for k, v in wanted.items() if seen[k] != v]


def _double() -> MakeClient:
    server = Server()
    return lambda: Client(server)


def search(seeds: Sequence[int], make: MakeClient | None = None, stem: str = "m") -> dict[str, Any]:
    """Plays the histories of these seeds: counts, and the first that violate something.

    Args:
        seeds: one for each history.
        make: clients of one server that all histories share; by default each has a double.
        stem: how the names of the models begin.
    """
    ended: Counter[str] = Counter()
    actors: Counter[str] = Counter()
    violated: dict[int, list[str]] = {}
    for seed in seeds:
        history = draw(seed)
        found, how = play_history(history, make, f"{stem}{seed}")
        ended += how
        actors[f"{history.actors} actors"] += 1
        if found:
            violated[seed] = found
    return {
        "histories": len(seeds),
        "commands": sum(ended.values()),
        "violations": len(violated),
        "shown": dict(list(violated.items())[:SHOWN]),
        "ended": dict(ended),
        **actors,
    }


def search_server(url: str, seeds: Sequence[int], stem: str) -> dict[str, Any]:
    """The same on a real server, a model for each history."""
    return search(seeds, lambda: MlflowClient(url, deadline=300.0), stem)
