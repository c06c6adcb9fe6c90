"""docs/glossary.md has every name that whole worlds leave behind, and none that no code knows."""

from __future__ import annotations

import re

import pytest

from devtools.pages import ROOT
from devtools.worlds import FIRST_DAY, PROMOTION, SPEC, STORIES, Prepared, Story, _later, day, play

PAGE = ROOT / "docs" / "glossary.md"
NAMES = set(re.findall(r"`([^`]+)`", PAGE.read_text()))
OTHER_METRIC = SPEC.replace("[gate]", '[gate]\nmetric = "recall"')
PLAYED = (
    *(s for s in STORIES if s.name in ("rollback", "approve", "reject", "a canary that harms")),
    Story("another metric", (FIRST_DAY,), PROMOTION, (day(_later(1)),), OTHER_METRIC),
)


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    prepared = Prepared(tmp_path_factory.mktemp("glossary"))
    found = []
    for story in PLAYED:
        world = prepared.world(story)
        play(world, story)
        found.append(world)
    return found


def section(heading: str) -> set[str]:
    """The names in the first column of a section's tables, or anywhere in it."""
    text = PAGE.read_text().split(f"## {heading}")[1].split("\n## ")[0]
    return set(re.findall(r"`([^`]+)`", text))


def pattern(name: str) -> re.Pattern[str]:
    """A name of the page with its `<places>` open."""
    return re.compile(
        re.sub(r"<[^>]+>", "[^/]+", re.escape(name).replace(r"\<", "<").replace(r"\>", ">"))
    )


def unknown(found: set[str], listed: set[str]) -> set[str]:
    """What no name of the page covers."""
    known = [pattern(name) for name in listed]
    return {name for name in found if not any(p.fullmatch(name) for p in known)}


def test_metrics_and_parameters(worlds):
    runs = [run for world in worlds for run in world.server.runs.values()]
    metrics = {name for run in runs for name in run.metrics}
    assert unknown(metrics, section("Metrics of a run in MLflow")) == set()
    assert {"f1_champion", "recall_challenger", "oof_log_loss"} <= metrics
    params = {name for run in runs for name in run.params}
    assert unknown(params, section("Parameters of a run")) == set()


def test_tags(worlds):
    tags = {name for world in worlds for run in world.server.runs.values() for name in run.tags}
    tags |= {name for world in worlds for v in world.server.versions.values() for name in v.tags}
    tags |= {name for world in worlds for m in world.server.models.values() for name in m.tags}
    tags |= {n for world in worlds for e in world.server.experiments.values() for n in e.tags}
    assert unknown(tags, NAMES) == set()
    assert {"retrain.state", "retrain.approved_by", "retrain.rejected_at"} <= tags


def test_files(worlds):
    listed = section("Files of a window")
    found = set()
    for world in worlds:
        root = world.folder / "workspace"
        for file in (p for p in root.rglob("*") if p.is_file()):
            place = re.sub(
                r"^(data/processed/)?toy/(window_end=[^/]+/)?", "", f"{file.relative_to(root)}"
            )
            place = re.sub(r"^rollout/(?=attempts/|sha256/)", "", place)
            found.add("attempts/" if place.startswith("attempts/") else place)
    whole = {"part-0.parquet" if name.endswith("part-0.parquet") else name for name in listed}
    assert unknown(found, whole) == set()
    uploads = {key.split("/artifacts/", 1)[1] for world in worlds for key in world.server.artifacts}
    assert unknown(uploads, listed) == set()


def test_the_code_knows_every_name_of_the_page():
    code = "\n".join(path.read_text() for path in (ROOT / "retrain_ops").rglob("*.py"))
    for name in NAMES:
        if name.startswith("retrain."):
            stem = re.sub(r"_(by|at)$", "", name) if "ed_" in name else name
            stem = re.sub(r"(approved|rejected)$|<.*$", "", stem)
            assert stem in code, name
        if name.endswith(".json") and "/" not in name:
            step = name.removesuffix(".json")
            assert f'"{name}"' in code or f"/{name}" in code or f'"{step}"' in code, name
