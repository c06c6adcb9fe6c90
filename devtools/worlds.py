"""Small whole worlds whose commands can be killed before and after every single write.

A world is a folder (rows, spec, workspace) and an MLflow that lives in memory. A command runs in
a forked child by the code of `retrain-ops`; a fault ends the child as SIGKILL would, in the
middle of whatever it does: no handler runs, no file is closed. What had reached the server by
then is what the next command meets. Writes are counted over both, the registry's and the files'.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import json
import os
import pickle
import re
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from devtools.doubles.registry_server import Client, Server
from devtools.synthetic import FIRST, SPEC, write_day, write_days
from retrain_ops.registry.events import APPROVAL_TAG
from retrain_ops.registry.registry import Registry
from retrain_ops.workspace import Workspace

KILLED = 137
OFFLINE = ("explain", "replay-decision")  # commands that need no server
BOOTSTRAP = FIRST + timedelta(days=17)
CHANGED = FIRST + timedelta(days=36)
MEMORY = '\n[memory]\ncapacity = 30\nreplay_by = "importance"\n'
LEARN = SPEC.replace("seed = 1\n", 'seed = 1\ntrainer = "logistic"\n')
LEARN = LEARN[: LEARN.index("[train]")] + "[learn]\n\n" + LEARN[LEARN.index("[gate]") :]
REQUIRED = '\n[rollout]\napproval = "required"\n'

Command = tuple[str, ...]
Fault = tuple[int, str]  # the n-th write from 1, "before" or "after"


class _Faults:
    """Counts writes, and ends this process at one of them."""

    def __init__(self, at: Fault | None, die: Callable[[], None]) -> None:
        self.count, self.at, self.die = 0, at, die

    def before(self) -> None:
        self.count += 1
        self.reach("before")

    def reach(self, when: str) -> None:
        if self.at == (self.count, when):
            self.die()


@dataclass
class World:
    """A model's folder and its MLflow; `messages` is what went to Slack, in order."""

    folder: Path
    server: Server = field(default_factory=Server)

    @property
    def messages(self) -> list[str]:
        """What went to Slack, in order."""
        path = self.folder / "messages.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line) for line in lines]

    @property
    def registry(self) -> Registry:
        """A reader's view."""
        return Registry(client=Client(self.server), name="toy")  # type: ignore[arg-type]

    def copy(self, folder: Path) -> World:
        """The same world elsewhere; its rows are those of this one until somebody writes them."""
        shutil.copytree(self.folder, folder, symlinks=True, ignore=lambda *_: {"rows"})
        (folder / "rows").symlink_to((self.folder / "rows").resolve())
        return World(folder, copy.deepcopy(self.server))

    def do(self, command: Command, fault: Fault | None = None) -> tuple[int, int]:
        """Runs a command of `retrain-ops` in a child: (exit code, writes)."""
        report = self.folder / "report.pickle"
        child = os.fork()
        if child == 0:
            self._child(command, fault, report)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        with open(report, "rb") as file:
            self.server, writes = pickle.load(file)
        return code, writes

    def must_do(self, command: Command) -> int:
        """Runs a command that has to succeed, or to wait for time to pass: its writes."""
        code, writes = self.do(command)
        if code not in (0, 75):
            raise RuntimeError(f"{' '.join(command)} ended with {code}")
        return writes

    def _child(self, command: Command, fault: Fault | None, report: Path) -> None:
        def leave(code: int) -> None:
            with open(report, "wb") as file:
                pickle.dump((self.server, faults.count), file)
            os._exit(code)

        faults = _Faults(fault, lambda: leave(KILLED))
        code = 70
        try:
            code = self._run(command, faults)
        except BaseException:
            traceback.print_exc()
        leave(code)

    def _run(self, command: Command, faults: _Faults) -> int:
        import retrain_ops.run
        from retrain_ops.cli import main as cli

        def client(*_: object) -> Client:
            return Client(self.server, fault=lambda _, when: _count(faults, when))

        retrain_ops.run.MlflowClient = client  # type: ignore[misc,assignment]
        _leave_out_what_is_slow()
        _count_files(faults)
        _collect_messages(self.folder / "messages.jsonl")
        where = ("--spec", str(self.folder / "toy.toml"))
        where += ("--workspace", str(self.folder / "workspace"))
        where += () if command[0] in OFFLINE else ("--tracking-uri", "http://x")
        with open(os.devnull, "w") as quiet, contextlib.redirect_stdout(quiet):
            if command[0] == "look":
                return _look(command, self.folder)
            return int(cli.main([command[0], *where, *command[1:]]))


def _warm_up() -> None:
    """Imports and compiles what every child would again."""
    import scipy.special  # noqa: F401

    import retrain_ops.cli.main  # noqa: F401
    from retrain_ops import report
    from retrain_ops.steps.runner import STEPS

    for step in STEPS:
        importlib.import_module(f"retrain_ops.steps.{step}")
    for template in ("page.html.j2", "days.html.j2"):
        report._template(template)


def _leave_out_what_is_slow() -> None:
    """Nothing here cuts the power, and Great Expectations writes nothing."""
    from retrain_ops.data.expectations import ValidationReport
    from retrain_ops.steps import validate_data

    passed = ValidationReport(success=True, failures=(), evaluated=1)
    validate_data.validate_table = lambda *_, **__: passed  # type: ignore[attr-defined]
    os.fsync = lambda _: None


def _count(faults: _Faults, when: str) -> None:
    if when == "before":
        faults.before()
    else:
        faults.reach("after")


def _count_files(faults: _Faults) -> None:
    whole = Workspace._replace

    def replace(self: Workspace, path: str, data: bytes) -> None:
        faults.before()
        whole(self, path, data)
        faults.reach("after")

    Workspace._replace = replace  # type: ignore[method-assign]


def _collect_messages(path: Path) -> None:
    import retrain_ops.notify

    def send(text: str, *, webhook_url: str | None) -> bool:
        with open(path, "a") as file:
            file.write(json.dumps(text) + "\n")
        return True

    for module in [m for name, m in sys.modules.items() if name.startswith("retrain_ops")]:
        if getattr(module, "send", None) is retrain_ops.notify.send:
            module.send = send  # type: ignore[attr-defined]
    retrain_ops.notify.send = send


def _look(command: Command, folder: Path) -> int:
    """What the rollout DAG does every 15 minutes."""
    from retrain_ops.errors import NotYet
    from retrain_ops.run import RunContext, open_run
    from retrain_ops.steps.runner import ROLLOUT, run_step

    run = open_run(
        folder / "toy.toml",
        date=date.fromisoformat(command[1]),
        workspace=str(folder / "workspace"),
        tracking_uri="http://x",
        context=RunContext(look=True),
    )
    for step in ROLLOUT:
        try:
            run_step(step, run)
        except NotYet:
            continue
    return 0


# -- stories ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Story:
    """A command in a world that earlier commands made, and what a person does the day after."""

    name: str
    before: tuple[Command, ...]
    command: Command
    after: tuple[Command, ...]
    spec: str = SPEC
    spoil: Callable[[World], None] = lambda world: None


def day(end: date, *options: str) -> Command:
    """A whole day."""
    return ("run", "--date", end.isoformat(), *options)


def learn(end: date, *options: str) -> Command:
    """The days up to this one, each learnt once."""
    return ("learn", "--date", end.isoformat(), *options)


def _later(days: int) -> date:
    return CHANGED + timedelta(days=days)


def _spoil_registry(world: World) -> None:
    """Aliases moved and an event removed, by hand."""
    client = Client(world.server)
    client.set_registered_model_alias("toy", "champion", "1")
    client.delete_registered_model_alias("toy", "previous")
    model = world.server.models["toy"]
    tags = {k: v for k, v in model.tags.items() if not k.endswith("000001")}
    world.server.models["toy"] = type(model)(
        name=model.name,
        aliases=model.aliases,
        tags=tags,
        creation_timestamp=model.creation_timestamp,
    )


def _reject(world: World) -> None:
    """A person's answer in MLflow's own pages: nobody is named, and no time."""
    Client(world.server).set_model_version_tag("toy", "2", APPROVAL_TAG, "rejected")


def _delete_replaced(world: World) -> None:
    """The version that the canary is compared with."""
    world.server.delete_version("toy", "1")


def _turn_back(world: World) -> None:
    """The labels' rule is the old one again: the new champion is wrong now."""
    rows = world.folder / "rows"
    source = rows.resolve()
    rows.unlink()
    shutil.copytree(source, rows)
    for index in range(37, 60):
        write_day(world.folder / "rows", FIRST + timedelta(days=index))


FIRST_DAY = day(BOOTSTRAP, "--bootstrap")
PROMOTION = day(CHANGED)
LEARN_FIRST = learn(BOOTSTRAP, "--bootstrap")
NEXT = (day(_later(1)),)
LATER = (day(_later(2)),)
AT = ("--date", _later(1).isoformat())
WAITING = SPEC + REQUIRED
STORIES = (
    Story("bootstrap", (), FIRST_DAY, (day(BOOTSTRAP + timedelta(days=1)),)),
    Story("promotion", (FIRST_DAY,), PROMOTION, NEXT),
    Story("a day that replays", (FIRST_DAY,), PROMOTION, NEXT, SPEC + MEMORY),
    Story("a day that learns", (LEARN_FIRST,), learn(CHANGED), (learn(_later(1)),), LEARN),
    Story("a forced day", (FIRST_DAY, PROMOTION), day(_later(1), "--force"), (day(_later(2)),)),
    Story("a backfilled day", (FIRST_DAY, PROMOTION), day(_later(-3), "--force"), NEXT),
    Story("rollback", (FIRST_DAY, PROMOTION), ("rollback", *AT), NEXT),
    Story("approve", (FIRST_DAY, PROMOTION), ("approve", "--by", "amy", *AT), NEXT, WAITING),
    Story("reject", (FIRST_DAY, PROMOTION), ("reject", "--by", "amy", *AT), NEXT, WAITING),
    Story(
        "promote by force",
        (FIRST_DAY, day(_later(-3), "--force")),
        ("promote", "--version", "2", "--force", "--date", _later(-2).isoformat()),
        (day(_later(-1)),),
        SPEC.replace("[gate]", "[gate]\nmin_improvement = 0.9"),
    ),
    Story(
        "verify --repair",
        (FIRST_DAY, PROMOTION),
        ("verify", "--repair"),
        NEXT,
        spoil=_spoil_registry,
    ),
    Story("a rejection in MLflow", (FIRST_DAY, PROMOTION), day(_later(1)), LATER, WAITING, _reject),
    Story(
        "a canary with nobody to go back to",
        (FIRST_DAY, PROMOTION),
        day(_later(1)),
        LATER,
        spoil=_delete_replaced,
    ),
    Story("a look", (FIRST_DAY, PROMOTION), ("look", _later(1).isoformat()), NEXT, WAITING),
    Story(
        "a canary that harms",
        (FIRST_DAY, PROMOTION, *(day(_later(n)) for n in range(1, 5))),
        day(_later(5)),
        (day(_later(6)),),
        spoil=_turn_back,
    ),
    Story(
        "a canary that is kept",
        (FIRST_DAY, PROMOTION, *(day(_later(n)) for n in range(1, 9))),
        day(_later(9)),
        (day(_later(10)),),
    ),
)


class Prepared:
    """Worlds just before a story's command; stories that begin alike share their beginning."""

    def __init__(self, folder: Path) -> None:
        _warm_up()
        self.folder = folder
        self._known: dict[tuple[str, tuple[Command, ...]], World] = {}

    def world(self, story: Story) -> World:
        """The world just before the story's command, new with every call."""
        world = self.after(story.spec, story.before).copy(self.place())
        story.spoil(world)
        return world

    def place(self) -> Path:
        """A folder that is not there yet."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=self.folder)) / "world"

    def after(self, spec: str, commands: tuple[Command, ...]) -> World:
        """The world after these commands, for copies only."""
        known = self._known.get((spec, commands))
        if known is None:
            known = self._grown(spec, commands) if commands else self._begun(spec)
            self._known[spec, commands] = known
        return known

    def _begun(self, spec: str) -> World:
        world = World(self.place())
        write_days(world.folder / "rows", 60, rule_changes=18, shift_from=18, shift=0.6)
        (world.folder / "toy.toml").write_text(spec)
        return world

    def _grown(self, spec: str, commands: tuple[Command, ...]) -> World:
        world = self.after(spec, commands[:-1]).copy(self.place())
        world.must_do(commands[-1])
        return world


def play(world: World, story: Story, faults: Sequence[Fault] = ()) -> dict[str, Any]:
    """The command, killed at each of `faults` in turn, until it ends; then the day after."""
    for fault in faults:
        world.do(story.command, fault)
    finish(world, story)
    return facts(world)


def finish(world: World, story: Story) -> int:
    """The command until it ends, then the day after: how many writes the command made."""
    writes = world.must_do(story.command)
    for command in story.after:
        world.must_do(command)
    return writes


def writes_of(world: World, story: Story, folder: Path) -> int:
    """How many writes the command makes when nothing disturbs it."""
    _, writes = world.copy(folder).do(story.command)
    return writes


def points(writes: int) -> list[Fault]:
    """Before and after every write."""
    return [(n, when) for n in range(1, writes + 1) for when in ("before", "after")]


def facts(world: World) -> dict[str, Any]:
    """All that a kill could have changed: who serves, what exists, what was decided and said."""
    registry = world.registry
    snapshot, found = registry.snapshot(), registry.verify()
    keys = {v.number: v.retrain_key for v in registry.versions()}
    workspace = world.folder / "workspace" / "toy"
    return {
        "aliases": {k: keys[v] for k, v in snapshot.aliases.items()},
        "events": [
            (e.kind, keys.get(e.version), keys.get(e.previous or ""), keys.get(e.failed or ""))
            for e in snapshot.acts
        ],
        "effective": [e.effective_from for e in snapshot.acts],
        "versions": [
            (v.retrain_key, v.model_sha256, v.state, v.opened_at, _timeless(f"{v.closed_at}"))
            for v in registry.versions()
        ],
        "runs": sorted((r.tags["retrain_key"], r.status) for r in world.server.runs.values()),
        "verify": (found.findings, found.missing),
        "decisions": _content(workspace, "decision.json"),
        "lines": _content(workspace, "summarise.json"),
        "promotions": _content(workspace, "promote_champion.json"),
        "canaries": _content(workspace, "watch_canary.json"),
        "messages": sorted({_timeless(message) for message in world.messages}),
    }


def _content(workspace: Path, name: str) -> dict[str, str]:
    return {str(p.parent.name): _timeless(p.read_text()) for p in workspace.glob(f"*/{name}")}


def _timeless(text: str) -> str:
    """Without instants of the wall clock: the stories play in 2020."""
    return re.sub(r"20(?:2[1-9]|[3-9]\d)-\d\d-\d\d[T ][\d:]+(?:Z|\+00:00)", "NOW", text)


def differences(expected: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """What is not as in the undisturbed world: (expected, found) by name."""
    return {k: (v, found[k]) for k, v in expected.items() if found[k] != v}
