"""Evidently's own report of the day: a page, a snapshot, and a run in its workspace."""

from __future__ import annotations

import hashlib
import logging
from typing import Any

from retrain_ops.comparison.evidently import EvidentlyDrift
from retrain_ops.run import Run
from retrain_ops.workspace import canonical_json

log = logging.getLogger(__name__)

SCORES_FILE = "evidently.json"
SNAPSHOT_FILE = "evidently_snapshot.json"
PAGE_FILE = "evidently.html"
_PUBLISHED_FILE = "evidently_published.json"


def keep_evidently(run: Run, found: EvidentlyDrift) -> None:
    """Keeps the report of a day, unless the one that is there has the same scores.

    A snapshot has random ids and names the time of its making, so it is written again only when
    there is something new in it. Whatever goes wrong at the workspace is logged, and tried again
    by the day's next run: the day does not depend on it.
    """
    if found.snapshot is None:
        return
    record = found.to_record()
    changed = run.workspace.write_json(run.path(SCORES_FILE), record)
    if changed or not run.workspace.exists(run.path(PAGE_FILE)):
        snapshot, page = found.snapshot.dumps(), found.snapshot.get_html_str(as_iframe=False)
        run.workspace.write(run.path(SNAPSHOT_FILE), snapshot.encode())
        run.workspace.write(run.path(PAGE_FILE), page.encode())
    if run.spec.drift.evidently.workspace:
        try:
            _publish(run, found.snapshot, hashlib.sha256(canonical_json(record)).hexdigest())
        except Exception as problem:
            log.warning("%s: not in Evidently's workspace: %s", run.retrain_key, problem)


def _publish(run: Run, snapshot: Any, digest: str) -> None:
    """The day's run in the workspace; the one of other scores that was there before goes."""
    known = run.read(_PUBLISHED_FILE) or {}
    if known.get("scores_sha256") == digest:
        return
    home = _workspace(run.spec.drift.evidently.workspace)
    name = run.spec.drift.evidently.project or run.model
    project = next(iter(home.search_project(name)), None) or home.create_project(name)
    made = home.add_run(project.id, snapshot)
    if known.get("project") == str(project.id):
        home.delete_run(project.id, known["run"])
    record = {"scores_sha256": digest, "project": str(project.id), "run": str(made.id)}
    run.workspace.overwrite_json(run.path(_PUBLISHED_FILE), record)


def _workspace(place: str) -> Any:
    from evidently.ui.workspace import RemoteWorkspace, Workspace

    return RemoteWorkspace(place) if "://" in place else Workspace.create(place)
