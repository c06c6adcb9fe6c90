"""The commands by which people look at the registry, and change who serves.

Each goes through the promotion protocol under the model's lock; `--dry-run`
prints what would be written, in order, and writes nothing.
"""

from __future__ import annotations

import argparse
import getpass
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any, Literal

from retrain_ops.errors import ConfigError, ConflictError, NotYet
from retrain_ops.registry.changes import Promotion, Rollback
from retrain_ops.registry.events import World
from retrain_ops.registry.registry import (
    APPROVAL_TAG,
    REPLACES_TAG,
    Event,
    Version,
    utc_text,
)
from retrain_ops.rollout.approval import UNNAMED, give_answer
from retrain_ops.rollout.by_hand import roll_back
from retrain_ops.rollout.promotion import close_answered, promote_candidate
from retrain_ops.run import Run

AddCommand = Callable[[str, Callable[[argparse.Namespace], dict[str, Any]], str], Any]
EXIT_FAILED = 1
EXIT_NOT_YET = 75
ANSWER_CODES = (
    "exit 0: that is the answer, now or since before; 1: it was answered otherwise, or has "
    "expired; 2: no candidate waits"
)


def add_commands(add: AddCommand) -> None:
    """Registers the commands; `options.open(options)` gives the run."""
    add("history", _history, "every change of @champion, from the audit events")
    for name, text in (("approve", "promoted once its shadow has passed"), ("reject", "closed")):
        answer = add(name, _answer, f"answer for the open candidate: it is {text}; {ANSWER_CODES}")
        answer.set_defaults(approved=name == "approve")
        answer.add_argument("--version", help="the version that is meant (default: the candidate)")
        answer.add_argument("--by", help="who answers (default: you)")
    promote = add("promote", _promote, "promote a version by the protocol, also past its gates")
    promote.add_argument("--version", help="the version (default: the open candidate)")
    how = promote.add_mutually_exclusive_group()
    how.add_argument("--force", action="store_true", help="past all gates and its shadow")
    how.add_argument(
        "--replace-superseded",
        action="store_true",
        help="open a shadow for the newer bytes of the very window that serves",
    )
    rollback = add("rollback", _rollback, "give @champion back to the champion it replaced")
    rollback.add_argument(
        "--version", help="the version to take off (default: the newest that was promoted)"
    )
    verify = add("verify", _verify, "compare aliases, tags, events and versions; exit 1 if not ok")
    verify.add_argument("--repair", action="store_true", help="write what is missing")
    for command in (promote, rollback):
        command.add_argument("--dry-run", action="store_true", help="list the writes, make none")


def _open(options: argparse.Namespace) -> Run:
    run: Run = options.open(options)
    return run


def _me() -> str:
    """The user of this process; containers have users without a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return UNNAMED


def _now(run: Run, options: argparse.Namespace) -> datetime:
    """When a change by hand counts: now, or at the instant of the day that was named."""
    return run.instant if options.date else datetime.now(UTC)


# -- looking -----------------------------------------------------------------------------


def _history(options: argparse.Namespace) -> dict[str, Any]:
    run = _open(options)
    world = run.registry.world()
    return {
        "model": run.model,
        "aliases": dict(world.snapshot.aliases),
        "events": [_event_facts(world, event) for event in world.snapshot.events],
    }


def _event_facts(world: World, event: Event) -> dict[str, Any]:
    version = world.holder(event.version)
    names = ("epoch", "kind", "version", "previous", "effective_from", "recorded_at", "failed")
    return {
        **{name: getattr(event, name) for name in names},
        "window_end": event.window_end,
        "retrain_key": version.retrain_key if version else None,
        "state": version.state if version else "deleted",
    }


def _verify(options: argparse.Namespace) -> dict[str, Any]:
    run = _open(options)
    # Looking needs no lock: the workspace may be read-only, or gone.
    with run.workspace.lock() if options.repair else nullcontext():
        found = run.registry.verify(repair=options.repair)
    output: dict[str, Any] = {"model": run.model, **found.to_json()}
    return output if found.ok else {**output, "exit_code": EXIT_FAILED}


# -- changing ----------------------------------------------------------------------------


def _answer(options: argparse.Namespace) -> dict[str, Any]:
    """The answer of a person, who may give it while the shadow still lasts."""
    run = _open(options)
    with run.workspace.lock():
        version = _candidate(run, options.version)
        wanted = "approved" if options.approved else "rejected"
        when = _now(run, options)
        by = options.by or _me()
        answer = give_answer(run, version, approved=options.approved, by=by, at=when)
        if answer.verdict != wanted:
            raise ConflictError(
                f"version {version.number} was {answer.verdict} by {answer.by} at "
                f"{utc_text(answer.at)}; the first answer stands"
            )
        if answer.verdict == "rejected" and version.is_open:
            close_answered(run, version, answer)
        output = _promoted(run, version)
    aliases = dict(run.registry.snapshot().aliases)
    return {**output, "answer": answer.to_json(), "aliases": aliases}


def _candidate(run: Run, number: str | None) -> Version:
    """The version that waits for an answer, or will when its shadow has passed, or had its answer.

    Raises:
        ConfigError: there is none, or another one than was meant.
    """
    if number is not None and APPROVAL_TAG in (named := run.registry.version(number)).tags:
        return named
    candidate = run.registry.open_candidate()
    if candidate is None or candidate.state == "canary":
        raise ConfigError(f"no candidate of {run.model} waits for an answer")
    if number not in (None, candidate.number):
        raise ConfigError(f"version {candidate.number} of {run.model} waits, not version {number}")
    return candidate


def _promote(options: argparse.Namespace) -> dict[str, Any]:
    run = _open(options)
    with run.workspace.lock():
        version = _chosen(run, options)
        if options.dry_run:
            return {"model": run.model, "version": version.number, "plan": _plan(run, version)}
        if options.replace_superseded:
            _open_replacement(run, version)
        else:
            _decide(run, version, options)
        output = _promoted(run, version)
    return {**output, "aliases": dict(run.registry.snapshot().aliases)}


def _chosen(run: Run, options: argparse.Namespace) -> Version:
    """The version that is meant.

    Raises:
        ConfigError: there is none, or another candidate is open.
    """
    candidate = run.registry.open_candidate()
    if options.version is None and options.replace_superseded:
        return _replacement(run)
    if options.version is None and candidate is None:
        raise ConfigError(f"{run.model} has no open candidate; name a version by --version")
    version = run.registry.version(options.version) if options.version else candidate
    assert version is not None
    if candidate is not None and candidate.number != version.number:
        raise ConfigError(
            f"version {candidate.number} of {run.model} is {candidate.state}: there is one "
            "candidate at a time; reject it or roll it back first"
        )
    if not (version.is_open or options.force or options.replace_superseded):
        raise ConfigError(
            f"version {version.number} is {version.state}, no candidate; --force promotes it "
            "past all gates"
        )
    return version


def _replacement(run: Run) -> Version:
    """The newest version of the champion's key whose bytes are others."""
    world = run.registry.world()
    newest = world.snapshot.newest
    champion = world.holder(newest.version) if newest else None
    if champion is None:
        raise ConfigError(f"{run.model} has no champion to replace")
    waiting = [v for v in world.versions if v.retrain_key == champion.retrain_key]
    waiting = [v for v in waiting if v.state == "registered"]
    if not waiting:
        raise ConfigError(
            f"{champion.retrain_key} has no other bytes than those that serve: run its day again"
        )
    return waiting[-1]


def _open_replacement(run: Run, version: Version) -> None:
    """Shadow for other bytes of the window that serves; the rollout steps do the rest."""
    newest = run.registry.snapshot().newest
    champion = run.registry.version(newest.version) if newest else None
    same = champion is not None and champion.retrain_key == version.retrain_key
    if champion is None or not same or version.state != "registered":
        raise ConfigError(
            f"version {version.number} ({version.retrain_key}, {version.state}) does not replace "
            f"the champion {champion.retrain_key if champion else 'that does not exist'}"
        )
    if champion.is_open:
        raise ConfigError(f"version {champion.number} is still in its canary: roll it back instead")
    run.registry.set_tag(version, REPLACES_TAG, champion.number)
    run.registry.open_shadow(version, opened_at=run.instant)


def _decide(run: Run, version: Version, options: argparse.Namespace) -> None:
    """What a person said becomes tags of the version: the protocol reads nothing else."""
    if version.state == "canary":
        raise ConfigError(f"version {version.number} is in its canary already")
    give_answer(run, version, approved=True, by=_me(), at=_now(run, options))
    if options.force and version.state not in ("registered", "shadow", "shadow_passed"):
        raise ConfigError(f"version {version.number} is {version.state}, which is for ever")
    if options.force:
        if version.opened_at is None:
            run.registry.open_shadow(version, opened_at=run.instant)
        run.registry.set_state(run.registry.version(version.number), "shadow_passed")


def _promoted(run: Run, version: Version) -> dict[str, Any]:
    """Promotes what has passed its shadow; says what is still awaited."""
    before = run.registry.version(version.number)
    output = {"model": run.model, "version": version.number, "promoted": False}
    if before.state == "shadow":
        return {**output, "state": "shadow", "message": "promoted when its shadow has passed"}
    if before.state != "shadow_passed":
        return {**output, "state": before.state}
    try:
        look = promote_candidate(run)
    except NotYet as waiting:
        return {**output, "state": before.state, "message": str(waiting), "exit_code": EXIT_NOT_YET}
    after = run.registry.version(version.number)
    return {**output, "promoted": look.verdict == "promoted", "state": after.state}


def _plan(run: Run, version: Version) -> list[dict[str, Any]]:
    """What its promotion would write."""
    share = run.spec.canary.share if run.registry.snapshot().newest else None

    kind: Literal["bootstrap", "promote"] = "bootstrap" if share is None else "promote"
    change = Promotion(version, kind, run.instant, datetime.now(UTC), share)
    return [write.to_json() for write in run.registry.plan(change)]


def _rollback(options: argparse.Namespace) -> dict[str, Any]:
    run = _open(options)
    when = _now(run, options)
    if options.dry_run:
        plan = run.registry.plan(Rollback(options.version, when, datetime.now(UTC)))
        return {"model": run.model, "plan": [write.to_json() for write in plan]}
    return roll_back(run, options.version, effective_from=when)
