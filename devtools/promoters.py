"""Promotions that are killed, paused and raced against a real MLflow server.

A child process is ended by SIGKILL, or stopped by SIGSTOP and resumed late,
right after its n-th request was answered. Whatever it left is then replayed or
verified, and the registry must be at rest: aliases as the highest epoch says,
one version per key.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from retrain_ops.errors import ConflictError
from retrain_ops.mlflow.client import MlflowClient
from retrain_ops.registry.events import Version
from retrain_ops.registry.registry import Registry

FIRST = date(2013, 8, 5)
SOURCE = "s3://nowhere/model"
PROMOTERS = 16
TRIES = 60

Act = Callable[[Registry], object]
Strikes = Mapping[int, signal.Signals]


class Struck:
    """A connection that sends this process signals: `strikes[n]` once n calls were answered."""

    def __init__(self, connection: Any, strikes: Strikes) -> None:
        self.connection, self.strikes, self.calls = connection, strikes, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)

    def call(self, *args: Any, **kwargs: Any) -> Any:
        answer = self.connection.call(*args, **kwargs)
        self.calls += 1
        if self.calls in self.strikes:
            os.kill(os.getpid(), self.strikes[self.calls])
        return answer


def registry_at(url: str, model: str, strikes: Strikes | None = None) -> Registry:
    """The registry as one process has it, with its own connection."""
    client = MlflowClient(url, deadline=300.0)
    if strikes is not None:
        client._connection = Struck(client._connection, strikes)  # type: ignore[assignment]
    return Registry(client=client, name=model)


def in_child(act: Callable[[], object]) -> int:
    """Forks; the child runs `act` and ends with 0, or 1 when it raised. Its process id."""
    child = os.fork()
    if child:
        return child
    code = 0
    try:
        act()
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stderr.flush()
    os._exit(code)


def instant(day: date) -> datetime:
    """02:00 UTC of a day."""
    return datetime(day.year, day.month, day.day, 2, tzinfo=UTC)


def register(registry: Registry, day: date) -> Version:
    """The version of a day."""
    tags = {
        "retrain_key": f"{registry.name}/{day}",
        "execution_date": day.isoformat(),
        "model_sha256": f"bytes of {day}",
    }
    return registry.register(run_id="", source=SOURCE, tags=tags, description="")


def promote(registry: Registry, day: date, *, first: bool = False) -> object:
    """Register, open, pass, promote: each a no-op when it was done before."""
    version = register(registry, day)
    if version.state == "registered":
        registry.open_shadow(version, opened_at=instant(day))
        version = registry.version(version.number)
    if version.state == "shadow":
        registry.set_state(version, "shadow_passed")
    return registry.promote(
        version,
        kind="bootstrap" if first else "promote",
        effective_from=instant(day) + timedelta(days=0 if first else 1),
        recorded_at=datetime.now(UTC),
        share=None if first else 0.1,
    )


def roll_back(registry: Registry) -> object:
    """Gives the second day's promotion back."""
    now = datetime.now(UTC)
    return registry.rollback("2", effective_from=now, recorded_at=now)


# -- killed after every request --------------------------------------------------------


def _kill_everywhere(
    url: str, stem: str, prepare: Act, act: Act, wanted: dict[str, str], every: int
) -> int:
    """Kills `act` after its 1st, 2nd, ... request until it survives; the number of kills."""
    kills = 0
    while True:
        after = 1 + every * kills
        model = f"{stem}-{after}"
        prepare(registry_at(url, model))
        strike = {after: signal.SIGKILL}
        child = in_child(lambda m=model, s=strike: act(registry_at(url, m, s)))  # type: ignore[misc]
        _, status = os.waitpid(child, 0)
        replayed = registry_at(url, model)
        act(replayed)
        check_at_rest(replayed, wanted)
        if not os.WIFSIGNALED(status):
            if status != 0:
                raise RuntimeError(f"{model}: the child failed by itself")
            return kills
        kills += 1


def check_at_rest(registry: Registry, aliases: dict[str, str] | None = None) -> None:
    """Raises unless tags, aliases, claims and versions agree (and are as wanted)."""
    found = registry.verify()
    snapshot = registry.snapshot()
    newest = snapshot.newest
    if not found.ok or (newest and snapshot.aliases.get("champion") != newest.version):
        raise RuntimeError(f"{registry.name} is not at rest: {found.to_json()}")
    if aliases is not None and dict(snapshot.aliases) != aliases:
        raise RuntimeError(f"{registry.name}: {dict(snapshot.aliases)}, not {aliases}")
    alive = [v.retrain_key for v in registry.versions() if v.state != "superseded"]
    if len(alive) != len(set(alive)):
        raise RuntimeError(f"{registry.name}: a key has two versions: {alive}")


def prove_kills(url: str, stem: str = "kill", every: int = 1) -> dict[str, int]:
    """Kill -9 after every single request of bootstrap, promotion and rollback, then replay."""
    second = FIRST + timedelta(days=7)

    def one(registry: Registry) -> None:
        promote(registry, FIRST, first=True)

    def two(registry: Registry) -> None:
        one(registry)
        promote(registry, second)

    begin = {"champion": "1"}
    after = {"champion": "2", "previous": "1"}
    acts: dict[str, tuple[Act, Act, dict[str, str]]] = {
        "bootstrap": (lambda _: None, one, begin),
        "promotion": (one, lambda registry: promote(registry, second), after),
        "rollback": (two, roll_back, begin),
    }
    return {
        name: _kill_everywhere(url, f"{stem}-{name}", *parts, every) for name, parts in acts.items()
    }


# -- raced --------------------------------------------------------------------------------


@dataclass
class Race:
    """What a race of promoters left. Times in seconds."""

    promoters: int = 0
    killed: int = 0
    paused: int = 0
    conflicts: int = 0
    late_told: int = 0
    epochs: int = 0
    repaired_writes: int = 0
    rounds_to_repair: int = 0
    seconds: float = 0.0
    verify_seconds: list[float] = field(default_factory=list)


def _promoter(
    url: str, model: str, place: int, folder: Path, strike: Strikes | None, lock: Path | None
) -> None:
    """One process: its day through the protocol, again after every conflict."""
    registry = registry_at(url, model, strike)
    day = FIRST + timedelta(days=7 * (place // 2 + 1))  # two promoters for every key
    conflicts = 0
    chance = random.Random(f"{model} {place}")
    time.sleep(place * 0.1)  # the forward rule would leave little to race for otherwise
    with open(lock, "w") if lock else contextlib.nullcontext() as handle:
        for _ in range(TRIES):
            if handle is not None:
                fcntl.flock(handle, fcntl.LOCK_EX)
            try:
                _promote_and_perhaps_regret(registry, day, regret=place % 4 == 1)
                break
            except ConflictError:
                conflicts += 1
            finally:
                if handle is not None:
                    fcntl.flock(handle, fcntl.LOCK_UN)
            time.sleep(chance.uniform(0.0, 0.2))
    (folder / f"{place}.json").write_text(json.dumps({"conflicts": conflicts}))


def _promote_and_perhaps_regret(registry: Registry, day: date, *, regret: bool) -> None:
    """Without a shadow: sixteen candidates at once would close each other."""
    version = register(registry, day)
    now = datetime.now(UTC)
    event = registry.promote(
        version, kind="promote", effective_from=instant(day), recorded_at=now, share=None
    )
    if regret and event is not None:
        registry.rollback(version, effective_from=now, recorded_at=now)


def _strikes(at: int, place: int, killed: list[int], paused: list[int]) -> Strikes | None:
    """Every second one that is paused makes one more request when it wakes up, and dies."""
    if place in killed:
        return {at: signal.SIGKILL}
    if place not in paused:
        return None
    dies = paused.index(place) % 2 == 0
    return {at: signal.SIGSTOP} | ({at + 1: signal.SIGKILL} if dies else {})


def race(
    url: str, model: str, folder: Path, *, locked: bool, promoters: int = PROMOTERS, told: Race
) -> None:
    """One round: all at once, some killed, some stopped until the others are done."""
    folder.mkdir(parents=True)
    promote(registry_at(url, model), FIRST, first=True)
    chance = random.Random(model)
    struck = chance.sample(range(promoters), max(2, promoters // 4))
    killed, paused = struck[: len(struck) // 2], struck[len(struck) // 2 :]
    if locked:
        paused = []  # one that sleeps with the lock in its hand only makes the others wait
    begun = time.monotonic()
    children = {}
    for place in range(promoters):
        strike = _strikes(chance.randint(1, 20), place, killed, paused)
        lock = folder / "lock" if locked else None
        children[place] = in_child(
            lambda p=place, s=strike, k=lock: _promoter(url, model, p, folder, s, k)  # type: ignore[misc]
        )
    for place in [p for p in children if p not in paused]:
        os.waitpid(children[place], 0)
    for place in paused:  # all others are done: whatever these still write comes late
        _wake(children[place])
    told.seconds += time.monotonic() - begun
    _count(registry_at(url, model), folder, killed, paused, told)
    told.promoters += promoters


def _wake(child: int) -> None:
    """Continues a child until it is over: a slow one may stop only after the first call."""
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        os.kill(child, signal.SIGCONT)
        time.sleep(0.05)


def _count(
    registry: Registry, folder: Path, killed: list[int], paused: list[int], told: Race
) -> None:
    """Verify repairs what the last writers left; then the model must be at rest."""
    begun = time.monotonic()
    found = registry.verify(repair=True)
    told.verify_seconds.append(round(time.monotonic() - begun, 2))
    told.repaired_writes += len(found.repaired)
    told.rounds_to_repair += bool(found.repaired)
    check_at_rest(registry)
    told.epochs += registry.snapshot().epoch
    told.killed += len(killed)
    told.paused += len(paused)
    for file in folder.glob("*.json"):
        conflicts = json.loads(file.read_text())["conflicts"]
        told.conflicts += conflicts
        told.late_told += bool(conflicts) and int(file.stem) in paused


def prove_races(
    url: str, folder: Path, *, rounds: int, promoters: int = PROMOTERS
) -> dict[str, Any]:
    """Rounds without any lock, and as many within it, where nobody may meet a conflict."""
    free, locked = Race(), Race()
    for number in range(rounds):
        name = f"race-{promoters}-{number}"
        race(url, name, folder / name, locked=False, promoters=promoters, told=free)
        name = f"locked-{promoters}-{number}"
        race(url, name, folder / name, locked=True, promoters=promoters, told=locked)
    if locked.conflicts:
        raise RuntimeError(f"{locked.conflicts} conflicts although every writer held the lock")
    return {"without_lock": _figures(free), "inside_lock": _figures(locked)}


def _figures(told: Race) -> dict[str, Any]:
    slowest = max(told.verify_seconds)
    figures = {k: getattr(told, k) for k in Race.__dataclass_fields__ if k != "verify_seconds"}
    return {**figures, "seconds": round(told.seconds, 1), "slowest_verify_seconds": slowest}
