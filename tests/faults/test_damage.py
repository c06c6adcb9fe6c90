"""Damaged files of a workspace are mended by the next run, or named with what to do.

`python -m proofs damage` damages 500; here a sample, and what it once found.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from devtools.damage import BOOTSTRAP, CHANGED, Damaged, cases
from retrain_ops.workspace import Workspace

FOUND = (
    (BOOTSTRAP, "decision.json", "five bits flipped"),  # judged against itself
    (BOOTSTRAP, "promote_champion.json", "gone"),  # other events came since
    (CHANGED, "run.json", "other types, no hash"),
    (CHANGED, "model.rtm", "cut"),
)
SAMPLE = 9


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    return Damaged(tmp_path_factory.mktemp("damaged"))


@pytest.mark.parametrize(("end", "name", "change"), FOUND)
def test_what_was_not_mended_once_is(damaged, end, name, change):
    how, told = damaged.play(Path(f"toy/window_end={end}/{name}"), change, 1)
    assert how == "mended", told


def test_a_sample_of_every_kind_and_change(damaged):
    for number, (_, path, change) in islice(enumerate(cases(damaged.files)), 0, None, 41):
        if number > 41 * SAMPLE:
            return
        how, told = damaged.play(path, change, number)
        assert how != "wrong", (path, change, told)


def test_a_reader_that_trusts_what_it_finds_is_found(damaged, monkeypatch):
    monkeypatch.setattr(Workspace, "_checked_sha256", Workspace._sha256)
    path = Path(f"data/processed/toy/window_end={CHANGED}/part-0.parquet")
    ended = [damaged.play(path, "five bits flipped", seed)[0] for seed in range(3)]
    assert "wrong" in ended
