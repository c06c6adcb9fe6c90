"""Which files hold which day: folders, hive keys around and within them, patterns, hidden names."""

import re
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from devtools.source_kinds import with_source
from devtools.synthetic import FIRST, SPEC, toy_run, write_days
from retrain_ops.data.sources.files import DayFiles
from retrain_ops.errors import DataError, SourceError
from tests.unit.data.test_source import BEFORE

ENDINGS = (".parquet",)


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


def found(path, partition="day"):
    files = DayFiles(str(path), partition, ENDINGS)
    return {day: [file.name for file in files.of_day(day)] for day in files.days()}


def test_a_folder_a_day_and_hive_folders_within_it(tmp_path):
    touch(
        tmp_path,
        "day=2020-01-01/b.parquet",
        "day=2020-01-01/a.parquet",
        "day=2020-01-01/country=US/c.parquet",
        "day=2020-01-01/old/d.parquet",
        "day=2020-01-01/_SUCCESS",
        "day=2020-01-01/.a.parquet.crc",
        "day=2020-01-01/_temporary/e.parquet",
        "day=2020-01-02/a.csv",
        "day=nonsense/a.parquet",
        "_delta_log/a.parquet",
        "notes.parquet",
    )
    first = ["day=2020-01-01/" + name for name in ("a.parquet", "b.parquet")]
    assert found(tmp_path) == {
        date(2020, 1, 1): [*first, "day=2020-01-01/country=US/c.parquet"],
        date(2020, 1, 2): [],
    }


def test_hive_folders_around_a_day_and_days_in_three_parts(tmp_path):
    touch(
        tmp_path,
        "country=US/day=2020-01-01/a.parquet",
        "country=DE/day=2020-01-01/a.parquet",
        "country=DE/day=2020-01-02/_a.parquet",
    )
    both = ["country=DE/day=2020-01-01/a.parquet", "country=US/day=2020-01-01/a.parquet"]
    assert found(tmp_path) == {date(2020, 1, 1): both}
    touch(
        tmp_path,
        "day=2020-01-01/b.parquet",
        "day=2020-01-01/country=FR/a.parquet",
        "year=2020/month=1/day=1/c.parquet",
        "note=1",
    )
    fr = ["day=2020-01-01/b.parquet", "day=2020-01-01/country=FR/a.parquet"]
    every = [*both, *fr, "year=2020/month=1/day=1/c.parquet"]
    assert found(tmp_path) == {date(2020, 1, 1): every}


def test_a_day_is_read_however_its_folder_spells_it(tmp_path):
    names = ["day=2020%2D01%2D01/a.parquet", "day=2020-01-01/b.parquet", "day=20200101/c.parquet"]
    touch(tmp_path, *names, "day=latest/d.parquet", "day=20200102/e.parquet")
    assert found(tmp_path) == {
        date(2020, 1, 1): names,
        date(2020, 1, 2): ["day=20200102/e.parquet"],
    }
    split = tmp_path / "split"
    touch(split, "year=2020/month=01/day=09/a.parquet", "year=2020/month=1/day=10/a.parquet")
    assert list(found(split)) == [date(2020, 1, 9), date(2020, 1, 10)]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("day=*/*.parquet", ["day=2020-01-01/a.parquet", "day=2020-01-02/b.parquet"]),
        ("**/*.parquet", ["day=2020-01-01/a.parquet", "day=2020-01-02/b.parquet"]),
        ("day=2020-01-0[2-9]/?.parquet", ["day=2020-01-02/b.parquet"]),
        ("day=2020-01-0[!2-9]/*", ["day=2020-01-01/a.parquet"]),
        ("exports/rows_*.parquet", ["rows_2020-01-03.parquet"]),
        ("day=*/nothing*", []),
    ],
)
def test_patterns_of_paths(tmp_path, pattern, names):
    touch(
        tmp_path,
        "day=2020-01-01/a.parquet",
        "day=2020-01-01/_SUCCESS",
        "day=2020-01-02/b.parquet",
        "day=2020-01-02/.hidden.parquet",
        "exports/rows_2020-01-03.parquet",
    )
    if pattern == "**/*.parquet":
        (tmp_path / "exports" / "rows_2020-01-03.parquet").unlink()
    assert [name for files in found(tmp_path / pattern).values() for name in files] == names


@pytest.mark.parametrize("name", ["rows.parquet", "2020-01-01_to_2020-01-02.parquet"])
def test_a_file_without_its_day_is_named(tmp_path, name):
    touch(tmp_path, name)
    with pytest.raises(DataError, match=rf"{name} does not say its day: it must lie in day="):
        found(tmp_path / "*.parquet")


def partition_by_c(rows):
    """Moves the column `c` of each day from its file into folders."""
    for folder in sorted(rows.glob("day=*")):
        table = pq.ParquetFile(folder / "part-0.parquet").read()
        (folder / "part-0.parquet").unlink()
        for level in ("x", "y"):
            below = folder / f"c={level}"
            below.mkdir()
            part = table.filter(pc.equal(table["c"], level)).drop_columns(["c"])
            pq.write_table(part, below / "part-0.parquet")


def read(folder, spec=SPEC):
    source = toy_run(folder, None, FIRST, spec=spec).source
    return source.read(source.days(), columns=["a", "b", "c", "late"], before=BEFORE)


@pytest.mark.parametrize("name", ["b.parquet", "country=US", "country=US/b.parquet"])
@pytest.mark.parametrize("path", ["rows", "rows/day=*/**"])
def test_a_link_to_nothing_is_named(tmp_path, path, name):
    write_days(tmp_path / "rows", 3)
    folder = tmp_path / "rows" / f"day={FIRST}"
    link = folder / name
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(tmp_path / "gone")
    source = toy_run(tmp_path, None, FIRST, spec=SPEC.replace('"rows"', f'"{path}"')).source
    with pytest.raises(SourceError, match=re.escape(str(link))):
        source.read([FIRST], columns=["a"], before=None)


@pytest.mark.parametrize("path", ["rows", "rows/day=*/**"])
def test_a_day_that_is_a_link_to_nothing_is_named(tmp_path, path):
    write_days(tmp_path / "rows", 3)
    link = tmp_path / "rows" / "day=2020-01-04"
    link.symlink_to(tmp_path / "gone")
    source = toy_run(tmp_path, None, FIRST, spec=SPEC.replace('"rows"', f'"{path}"')).source
    with pytest.raises(SourceError, match=f"{link} is a link to {tmp_path}/gone, which is not"):
        source.read([date(2020, 1, 4)], columns=["a"], before=None, allow_missing=True)


def test_links_that_lead_somewhere_and_hidden_ones_are_none_of_those(tmp_path):
    write_days(tmp_path / "rows", 3)
    moved = (tmp_path / "rows" / "day=2020-01-03").rename(tmp_path / "elsewhere")
    (tmp_path / "rows" / "day=2020-01-03").symlink_to(moved)
    (moved / ".b.parquet").symlink_to("gone")
    (moved / "b.parquet").symlink_to("part-0.parquet")
    (moved / "notes").symlink_to("gone")
    days = found(tmp_path / "rows")
    assert days[date(2020, 1, 3)] == [f"day=2020-01-03/{n}.parquet" for n in ("b", "part-0")]
    assert found(tmp_path / "rows" / "day=*" / "*.parquet") == days


def test_hive_folders_are_columns_where_files_have_none(tmp_path):
    write_days(tmp_path / "rows", 2)
    expected = read(tmp_path)
    partition_by_c(tmp_path / "rows")
    toy_run(tmp_path, None, FIRST).source.check_columns([FIRST])
    assert read(tmp_path).equals(expected)
    pattern = with_source(SPEC, {"path": '"rows/*/*/*.parquet"'})
    assert read(tmp_path, pattern).equals(expected)


def test_a_folder_of_a_number_is_one(tmp_path):
    write_days(tmp_path / "rows", 1)
    day = tmp_path / "rows" / f"day={FIRST}"
    table = pq.ParquetFile(day / "part-0.parquet").read().drop_columns(["b"])
    (day / "part-0.parquet").unlink()
    for value in ("b=1.5", "b=__HIVE_DEFAULT_PARTITION__"):
        (day / value).mkdir()
        pq.write_table(table.slice(0, 3), day / value / "part-0.parquet")
    assert read(tmp_path)["b"].to_pylist().count(1.5) == 3
    assert read(tmp_path)["b"].null_count == 3
    (day / "b=1.5").rename(day / "b=many")
    with pytest.raises(DataError, match="b=many is no number"):
        read(tmp_path)


def test_two_days_whose_types_differ_are_both_named_past_days_of_nulls(tmp_path):
    write_days(tmp_path / "rows", 3)
    for number, column in enumerate([pa.nulls(300), None, pa.array(["1"] * 300)]):
        if column is not None:
            file = tmp_path / "rows" / f"day=2020-01-0{number + 1}" / "part-0.parquet"
            table = pq.ParquetFile(file).read()
            pq.write_table(table.set_column(3, "b", column), file)
    expected = r"column 'b' is string in .*day=2020-01-03.*float in .*day=2020-01-02"
    with pytest.raises(DataError, match=expected):
        read(tmp_path)


@pytest.mark.parametrize(
    ("folder", "values", "refused"),
    [
        ("c=north", ["north", "south"], "'south'"),
        ("c=north", ["north", "north"], None),
        ("c=north", ["north", None], "None"),
        ("c=true", [True, False], "False"),
        ("c=__HIVE_DEFAULT_PARTITION__", [None, None], None),
        ("b=3", [3, 4], "4"),
        ("b=03", [3.0, 3.0], None),
        ("b=many", [3.0, 3.0], "3.0"),
        ("b=__HIVE_DEFAULT_PARTITION__", [float("nan"), None], None),
    ],
)
def test_a_column_that_contradicts_its_folder_is_named(tmp_path, folder, values, refused):
    write_days(tmp_path / "rows", 1, rows=2)
    day = tmp_path / "rows" / f"day={FIRST}"
    table = pq.ParquetFile(day / "part-0.parquet").read()
    (day / "part-0.parquet").unlink()
    (day / folder).mkdir()
    column = pa.array(values)
    place = table.schema.get_field_index(folder[0])
    pq.write_table(table.set_column(place, folder[0], column), day / folder / "a.parquet")
    if refused is None:
        assert read(tmp_path).num_rows == 2
        return
    expected = f"a.parquet: its column {folder[0]} says {refused}, its folder {folder[2:]}: move"
    with pytest.raises(SourceError, match=expected):
        read(tmp_path)
