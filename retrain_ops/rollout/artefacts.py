"""The files of the versions that serve or may come to: MLflow must have them, as registered."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace

from retrain_ops.comparison.scoring import (
    SHA256_TAGS,
    kept_file,
    mlmodel_of,
    registered_sha256,
)
from retrain_ops.errors import ConflictError, CorruptError, RemoteError
from retrain_ops.registry.events import Version, World
from retrain_ops.registry.protocol import Write, open_candidates
from retrain_ops.registry.registry import Verification
from retrain_ops.run import Run
from retrain_ops.spec.train import NATIVE

MLMODEL = "MLmodel"


def verify(run: Run, *, repair: bool = False) -> Verification:
    """`Registry.verify`, and whether MLflow has the files of champion, previous and candidate.

    A file that MLflow lost, or that is not what was registered, is uploaded again by `repair`
    from the workspace; if that does not have its bytes either, it is a finding.
    """
    found = run.registry.verify(repair=repair)
    findings, missing = _check(run, run.registry.world())
    if repair:
        for write in missing:
            _upload(run, write)
        found = replace(found, repaired=(*found.repaired, *missing))
        findings, missing = _check(run, run.registry.world())
    return replace(
        found,
        findings=(*found.findings, *findings),
        missing=(*found.missing, *missing),
    )


def _check(run: Run, world: World) -> tuple[tuple[str, ...], tuple[Write, ...]]:
    findings, missing = [], []
    for version in _needed(world):
        try:
            for name, sha256 in _lost(run, version):
                if _bytes(run, version, name) is not None:
                    missing.append(Write("artefact", name, sha256, version.number))
                else:
                    findings.append(_gone(run, version, name))
        except ConflictError as problem:
            findings.append(str(problem))
    return tuple(findings), tuple(missing)


def _needed(world: World) -> tuple[Version, ...]:
    """Who serves, who it goes back to, and who is open, each once."""
    newest = world.snapshot.newest
    named = (newest.version, newest.previous) if newest else ()
    held = [version for n in named if (version := world.holder(n)) is not None]
    found = {v.number: v for v in (*held, *open_candidates(world)[:1])}
    return tuple(found.values())


def _lost(run: Run, version: Version) -> Iterator[tuple[str, str]]:
    """The files that MLflow does not have as they were registered, with their SHA-256."""
    for name in SHA256_TAGS:
        expected = registered_sha256(version, name)
        data = _stored(run, version, name)
        if data is None or hashlib.sha256(data).hexdigest() != expected:
            yield name, expected
    if _stored(run, version, MLMODEL) is None:
        yield MLMODEL, hashlib.sha256(_mlmodel(run, version)).hexdigest()


def _stored(run: Run, version: Version, name: str) -> bytes | None:
    try:
        return run.client.download_artifact(version.source, name)
    except (RemoteError, CorruptError):
        return None


def _bytes(run: Run, version: Version, name: str) -> bytes | None:
    """The file as it was registered, from the workspace."""
    if name == MLMODEL:
        return _mlmodel(run, version)
    return kept_file(run.workspace, version, name, look_only=True)


def _mlmodel(run: Run, version: Version) -> bytes:
    return mlmodel_of(run, version.tags.get("trainer", NATIVE), version.window_end)


def _upload(run: Run, write: Write) -> None:
    version = run.registry.version(write.version or "")
    data = _bytes(run, version, write.name)
    assert data is not None, "a write is planned for bytes that are there"
    run.client.upload_artifact(version.source, write.name, data)


def _gone(run: Run, version: Version, name: str) -> str:
    path = run.workspace.absolute(run.workspace.key_path(version.window_end, name))
    return (
        f"{name} of version {version.number} is not at {version.source} as it was registered, nor "
        f"at {path}: restore one of them, run {version.window_end} again, or roll back to another "
        "version"
    )
