"""The commands by which people look at the registry, and change who serves.

Each change goes through the promotion protocol under the model's lock; `--dry-run`
prints what would be written, in order, and writes nothing.
"""

from __future__ import annotations

import argparse
import getpass
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any, Literal

from retrain_ops.cli import tables
from retrain_ops.cli.command import (
    EXIT_FAILED,
    EXIT_NOT_YET,
    Command,
    run_of,
    version_named,
    version_number,
)
from retrain_ops.decisions.record import read_decision
from retrain_ops.errors import ConfigError, ConflictError, DataError, NotYet
from retrain_ops.registry.changes import Promotion
from retrain_ops.registry.events import (
    APPROVAL_TAG,
    REPLACES_TAG,
    UNSERVED_STATES,
    Event,
    Version,
    World,
    utc_instant,
    utc_text,
)
from retrain_ops.rollout.approval import UNNAMED, Answer, answer_of, give_answer
from retrain_ops.rollout.artefacts import verify
from retrain_ops.rollout.by_hand import roll_back
from retrain_ops.rollout.promotion import (
    close_answered,
    counts_from,
    promote_candidate,
    report_promotion,
)
from retrain_ops.run import Run
from retrain_ops.spec.window import parse_as_of

ANSWER_CODES = (
    "exit code 0: that is the answer, now or since earlier; 1: another answer was given, or the "
    "wait expired; 2: no candidate waits"
)
DAYS_SHOWN = 14


def _me() -> str:
    """The user of this process; containers have users without a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return UNNAMED


def _acting(options: argparse.Namespace) -> tuple[Run, datetime]:
    """The run of a change by hand, and when the change counts.

    That is `--as-of`, whose day is the run's then; else the instant of the day that was named,
    once it has come; else now.

    Raises:
        ConfigError: both are given, or `--as-of` is no time that has come.
    """
    now = datetime.now(UTC)
    if options.as_of is None:
        run = run_of(options)
        return run, min(run.instant, now) if options.date else now
    if options.date is not None:
        raise ConfigError("--as-of says the day too: leave --date out")
    when = parse_as_of(options.as_of, now)
    options.date = when.date().isoformat()
    return run_of(options), when


# -- looking -----------------------------------------------------------------------------


def _status(options: argparse.Namespace) -> dict[str, Any]:
    run = run_of(options)
    snapshot = run.registry.snapshot()
    candidate = run.registry.open_candidate()
    return {
        "model": run.model,
        "aliases": dict(snapshot.aliases),
        "candidate": _version_facts(candidate) if candidate else None,
        "events": [_event_facts(event) for event in snapshot.events],
        "days": [_day_facts(run, end) for end in run.workspace.list_keys()[-DAYS_SHOWN:]],
    }


def _version_facts(version: Version) -> dict[str, Any]:
    return {
        "version": version.number,
        "retrain_key": version.retrain_key,
        "state": version.state,
        "opened_at": version.opened_at.isoformat() if version.opened_at else None,
    }


def _day_facts(run: Run, end: date) -> dict[str, Any]:
    try:
        decision = read_decision(run.workspace, end)
    except DataError as problem:
        return {"window_end": end.isoformat(), "outcome": "damaged", "reason": str(problem)}
    return {
        "window_end": end.isoformat(),
        "outcome": decision["outcome"] if decision else "none",
        "reason": decision["reason"] if decision else None,
    }


def _history(options: argparse.Namespace) -> dict[str, Any]:
    run = run_of(options)
    world = run.registry.world()
    return {
        "model": run.model,
        "aliases": dict(world.snapshot.aliases),
        "events": [_change(world, event) for event in world.snapshot.events],
    }


def _change(world: World, event: Event) -> dict[str, Any]:
    version = world.holder(event.version)
    return {
        **_event_facts(event),
        "window_end": event.window_end,
        "retrain_key": version.retrain_key if version else None,
        "state": version.state if version else "deleted",
    }


def _event_facts(event: Event) -> dict[str, Any]:
    names = ("epoch", "kind", "version", "previous", "effective_from", "recorded_at", "failed")
    return {name: getattr(event, name) for name in names}


def _verify(options: argparse.Namespace) -> dict[str, Any]:
    run = run_of(options)
    # Looking needs no lock: the workspace may be read-only, or gone.
    with run.workspace.lock() if options.repair else nullcontext():
        found = verify(run, repair=options.repair)
    output: dict[str, Any] = {"model": run.model, **found.to_json()}
    return output if found.ok else {**output, "exit_code": EXIT_FAILED}


# -- changing ----------------------------------------------------------------------------


def _answer(options: argparse.Namespace) -> dict[str, Any]:
    """The answer of a person, who may give it while the shadow still lasts."""
    run, when = _acting(options)
    with run.workspace.lock():
        version = _candidate(run, options.version)
        wanted = "approved" if options.approved else "rejected"
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
    """The version that waits for an answer, will once its shadow has passed, or has its answer.

    Raises:
        ConfigError: there is none, or a version other than the one meant.
    """
    if number is not None and APPROVAL_TAG in (named := version_named(run, number)).tags:
        return named
    run.registry.finish()
    candidate = run.registry.open_candidate()
    if candidate is None or candidate.state == "canary":
        return _answered_last(run)
    if number not in (None, candidate.number):
        raise ConfigError(f"version {candidate.number} of {run.model} waits, not version {number}")
    return candidate


def _answered_last(run: Run) -> Version:
    """The last candidate, if it had its answer: the same command, run again, finds it."""
    opened = [v for v in run.registry.versions() if v.opened_at is not None]
    last = max(opened, key=lambda v: (v.opened_at, int(v.number)), default=None)
    if last is None or APPROVAL_TAG not in last.tags:
        raise ConfigError(f"no candidate of {run.model} waits for an answer")
    return last


def _promote(options: argparse.Namespace) -> dict[str, Any]:
    run, when = _acting(options)
    with nullcontext() if options.dry_run else run.workspace.lock():
        if not options.dry_run:
            run.registry.finish()
        version = _chosen(run, options)
        if options.as_of is not None and not _serves(run, version):
            _check_order(run, when)
        if options.dry_run:
            plan = _plan(run, version, when, options)
            return {"model": run.model, "version": version.number, **plan}
        if options.replace_superseded:
            _open_replacement(run, version)
        else:
            _decide(run, version, when, force=options.force)
        output = _promoted(run, version)
    return {**output, "aliases": dict(run.registry.snapshot().aliases)}


def _check_order(run: Run, when: datetime) -> None:
    """A promotion cannot count from before the change that it follows."""
    newest = run.registry.snapshot().newest
    taken = utc_instant(newest.effective_from) if newest else when
    if when < taken:
        raise ConfigError(
            f"@champion of {run.model} last moved at {utc_text(taken)}: a promotion cannot count "
            f"from {utc_text(when)}, which lies before"
        )


def _chosen(run: Run, options: argparse.Namespace) -> Version:
    """The version meant.

    Raises:
        ConfigError: there is none, or another candidate is open.
    """
    candidate = run.registry.open_candidate()
    if options.version is None and options.replace_superseded:
        return _replacement(run)
    if options.version is None and candidate is None:
        raise ConfigError(f"{run.model} has no open candidate; name a version by --version")
    version = version_named(run, options.version) if options.version else candidate
    assert version is not None
    if candidate is not None and candidate.number != version.number:
        raise ConfigError(
            f"version {candidate.number} of {run.model} is {candidate.state}: there is one "
            "candidate at a time; reject it or roll it back first"
        )
    known = version.is_open or _serves(run, version)
    if not (known or options.force or options.replace_superseded):
        raise ConfigError(
            f"version {version.number} is {version.state}, no candidate; --force promotes it "
            "past all gates"
        )
    return version


def _replacement(run: Run) -> Version:
    """The newest version of the champion's key with other bytes."""
    world = run.registry.world()
    newest = world.snapshot.newest
    champion = world.holder(newest.version) if newest else None
    if champion is None:
        raise ConfigError(f"{run.model} has no champion to replace")
    waiting = [v for v in world.versions if v.retrain_key == champion.retrain_key]
    waiting = [v for v in waiting if v.state == "registered"]
    if not waiting:
        raise ConfigError(
            f"{champion.retrain_key} has no bytes but those that serve: run its day again"
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


def _decide(run: Run, version: Version, when: datetime, *, force: bool) -> None:
    """A person's decision becomes tags of the version: the protocol reads nothing else."""
    if _serves(run, version):
        return  # the command was run before, and did it
    if version.state not in UNSERVED_STATES:
        raise ConfigError(f"version {version.number} is {version.state}, which is final")
    give_answer(run, version, approved=True, by=_me(), at=when)
    if force:
        if version.opened_at is None:
            run.registry.open_shadow(version, opened_at=run.instant)
        run.registry.set_state(run.registry.version(version.number), "shadow_passed")


def _serves(run: Run, version: Version) -> bool:
    newest = run.registry.snapshot().newest
    return newest is not None and newest.promotes and newest.version == version.number


def _promoted(run: Run, version: Version) -> dict[str, Any]:
    """Promotes what has passed its shadow; says what it still waits for."""
    before = run.registry.version(version.number)
    output = {"model": run.model, "version": version.number, "promoted": False}
    if before.state == "shadow":
        return {**output, "state": "shadow", "message": "promoted once its shadow has passed"}
    if _serves(run, before):
        report_promotion(run)  # if a command that died has not
        return {**output, "promoted": True, "state": before.state}
    if before.state != "shadow_passed":
        return {**output, "state": before.state}
    try:
        look = promote_candidate(run)
    except NotYet as waiting:
        return {**output, "state": before.state, "message": str(waiting), "exit_code": EXIT_NOT_YET}
    after = run.registry.version(version.number)
    return {**output, "promoted": look.verdict == "promoted", "state": after.state}


def _plan(
    run: Run, version: Version, when: datetime, options: argparse.Namespace
) -> dict[str, Any]:
    """What its promotion would write, once its shadow has passed: as of the instant that it would
    count from."""
    now = datetime.now(UTC)
    answer = None if options.replace_superseded else Answer("approved", _me(), when)
    answer = answer_of(run, version, when) or answer
    if answer is not None and answer.verdict != "approved" and not _serves(run, version):
        closed = f"{answer.verdict} by {answer.by} at {utc_text(answer.at)}: it would be closed"
        return {"plan": [], "message": closed}
    bootstrap = run.registry.snapshot().newest is None
    kind: Literal["bootstrap", "promote"] = "bootstrap" if bootstrap else "promote"
    opened = replace(version, opened_at=version.opened_at or run.instant)
    counts = counts_from(run, opened, answer, bootstrap=bootstrap)
    change = Promotion(version, kind, counts, now, None if bootstrap else run.spec.canary.share)
    return {"plan": [write.to_json() for write in run.registry.plan(change)]}


def _rollback(options: argparse.Namespace) -> dict[str, Any]:
    run, when = _acting(options)
    return roll_back(run, options.version, effective_from=when, dry_run=options.dry_run)


# -- the commands ------------------------------------------------------------------------


def _approve_options(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(approved=True)
    _answer_options(parser)


def _reject_options(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(approved=False)
    _answer_options(parser)


def _answer_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--version", type=version_number, help="the version meant (default: the open candidate)"
    )
    parser.add_argument("--by", help="who answers (default: you)")
    _as_of_option(parser)


def _promote_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--version", type=version_number, help="the version (default: the open candidate)"
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--force", action="store_true", help="past all gates and its shadow")
    how.add_argument(
        "--replace-superseded",
        action="store_true",
        help="open a shadow for newer bytes of the very window that serves",
    )
    _as_of_option(parser)
    _dry_run_option(parser)


def _rollback_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--version",
        type=version_number,
        help="the version to take off (default: the one promoted last)",
    )
    _as_of_option(parser)
    _dry_run_option(parser)


def _as_of_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--as-of",
        metavar="TIME",
        help="when it counts, to play the past: a date (the end of that day, UTC) or an instant "
        "with its time zone (default: now)",
    )


def _dry_run_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="list the writes, make none")


def _verify_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repair", action="store_true", help="write what is missing")


COMMANDS = (
    Command(
        "status", _status, "who serves, what is open, what the days decided", table=tables.status
    ),
    Command(
        "history",
        _history,
        "every change of @champion, from the audit events",
        table=tables.history,
    ),
    Command(
        "approve",
        _answer,
        f"approve the open candidate: it is promoted once its shadow has passed; {ANSWER_CODES}",
        _approve_options,
    ),
    Command(
        "reject",
        _answer,
        f"reject the open candidate: it is closed for good; {ANSWER_CODES}",
        _reject_options,
    ),
    Command(
        "promote",
        _promote,
        "promote a version by the protocol, past its gates if need be",
        _promote_options,
    ),
    Command(
        "rollback", _rollback, "give @champion back to the champion it replaced", _rollback_options
    ),
    Command(
        "verify",
        _verify,
        "compare aliases, tags, events, versions and their files; exit code 1 when they disagree",
        _verify_options,
    ),
)
