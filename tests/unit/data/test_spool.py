"""Days that wait on disk until the types of all are known."""

import errno
from datetime import date, timedelta
from io import BytesIO

import numpy as np
import pyarrow as pa
import pytest

from devtools.synthetic import toy_run, write_days
from retrain_ops.data.spool import Spool, scratch
from retrain_ops.data.window_rows import pull_window
from retrain_ops.errors import SourceError

FIRST = date(2020, 1, 1)
SECOND = FIRST + timedelta(days=1)


def spool():
    return Spool(BytesIO(), numeric=("x",))


def test_days_come_oldest_first_and_the_parts_of_a_day_in_their_order():
    held = spool()
    for day, value in ((SECOND, 3), (FIRST, 1), (SECOND, 4), (FIRST, 2)):
        held.add(day, "a file", pa.table({"x": [value]}))
    assert held.days == {FIRST, SECOND}
    assert [table["x"].to_pylist() for table in held.tables()] == [[1, 2], [3, 4]]
    assert [table["x"].to_pylist() for table in held.tables()] == [[1, 2], [3, 4]]  # once more


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        (pa.array([1], pa.int8()), pa.array([2], pa.int64()), pa.int64()),
        (pa.array([1], pa.int64()), pa.array([0.5]), pa.float64()),
        (pa.array([None], pa.null()), pa.array([0.5], pa.float32()), pa.float32()),
        (pa.array([True]), pa.array([7], pa.int32()), pa.float64()),
    ],
)
def test_a_column_has_the_type_that_all_days_together_have(first, second, kind):
    for days in ((FIRST, SECOND), (SECOND, FIRST)):
        held = spool()
        held.add(days[0], "one", pa.table({"x": first}))
        held.add(days[1], "two", pa.table({"x": second}))
        tables = list(held.tables())
        assert [table.schema.field("x").type for table in tables] == [kind, kind]
        whole = pa.concat_tables(tables)["x"].to_pylist()
        expected = [first.to_pylist()[0], second.to_pylist()[0]]
        assert sorted(map(str, whole)) == sorted(
            str(pa.scalar(None if v is None else float(v), pa.float64()).cast(kind).as_py())
            for v in expected
        )


def test_types_that_do_not_go_together_name_both_places():
    held = spool()
    held.add(FIRST, "monday.parquet", pa.table({"x": ["a"]}))
    held.add(SECOND, "tuesday.parquet", pa.table({"x": [1]}))
    with pytest.raises(SourceError, match=r"int64 in tuesday\.parquet, and string in monday"):
        list(held.tables())


def test_nothing_kept_is_nothing_given_out():
    assert list(spool().tables()) == []


class Full(BytesIO):
    """A disk without room."""

    def write(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("retrain_ops.data.spool.gettempdir", lambda: "/scratch")
    with pytest.raises(OSError, match=r"No space left.*see TMPDIR.*/scratch"):
        Spool(Full(), numeric=()).add(FIRST, "a file", pa.table({"x": np.arange(1000)}))
    write_days(tmp_path / "rows", 20)
    run = toy_run(tmp_path, None, FIRST + timedelta(days=17))
    with pytest.raises(OSError, match=r"No space left.*see TMPDIR.*/scratch"):
        pull_window(run.source, run.window, Full())


def test_rows_that_pass_what_memory_takes_go_to_disk_and_come_back(monkeypatch):
    monkeypatch.setattr("retrain_ops.data.spool.IN_MEMORY", 4096)
    x = np.arange(5000)
    with scratch() as file:
        held = Spool(file, numeric=("x",))
        for day in (FIRST, SECOND):
            held.add(day, "a file", pa.table({"x": x}))
        assert file.name is not None  # in memory it has none
        assert [table["x"].to_pylist() for table in held.tables()] == [x.tolist()] * 2
