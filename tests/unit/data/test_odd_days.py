"""A day that is not like the others is named; one that is only busy, or as last year, is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from devtools.synthetic import AMOUNTS, FIRST, SPEC, toy_run, write_days
from retrain_ops.data.odd_days import DayCounts, count_days, counts_of_reference, odd_days
from retrain_ops.data.reference import build_reference
from retrain_ops.data.source import Source
from retrain_ops.data.window_rows import window_rows
from retrain_ops.errors import SourceError, ValidationError
from retrain_ops.spec.spec import parse_spec
from retrain_ops.spec.window import DAY
from retrain_ops.steps.validate_data import warnings_of

END = FIRST + timedelta(days=16)
DAYS = [FIRST + timedelta(days=i) for i in range(16)]


@pytest.fixture
def run(tmp_path):
    write_days(tmp_path / "rows", 16)
    return toy_run(tmp_path, None, END)


@pytest.fixture
def rows(run):
    return window_rows(run.source, run.window)[0]


def reference(table):
    return build_reference(table, numeric=["a", "b"], categorical=["c"], slices=[], bins=10)


def of_day(table, day):
    return pc.equal(table[DAY], pa.scalar(day))


def with_values(table, name, day, value):
    """The table with one column set to a value on one day."""
    scalar = pa.scalar(value, type=table.schema.field(name).type)
    column = pc.if_else(of_day(table, day), scalar, table[name])
    return table.set_column(table.schema.get_field_index(name), name, column)


def kinds(run, table, usual=None):
    now = count_days(table, run.spec, run.window.days)
    return [(odd.kind, odd.text) for odd in odd_days(now, usual, run.window)]


def test_an_ordinary_window_is_not_odd(run, rows):
    assert kinds(run, rows) == []
    assert kinds(run, rows, counts_of_reference(reference(rows))) == []


@pytest.mark.parametrize("with_champion", [False, True])
def test_a_day_with_a_twentieth_of_the_rows_is_named(run, rows, with_champion):
    usual = counts_of_reference(reference(rows)) if with_champion else None
    kept = pc.or_(
        pc.invert(of_day(rows, DAYS[3])),
        pc.less(pc.utf8_slice_codeunits(rows["request_id"], 11), "00015"),
    )
    assert kinds(run, rows.filter(kept), usual) == [
        ("rows", "2020-01-04 has 15 rows, 5% of the 300 of the median day")
    ]


def test_a_day_without_any_row_is_named(run, rows):
    found = kinds(run, rows.filter(pc.invert(of_day(rows, DAYS[3]))))
    assert found == [("rows", "2020-01-04 has 0 rows, 0% of the 300 of the median day")]


def test_a_day_with_ten_times_the_rows_is_named(run, rows):
    more = pa.concat_tables([rows, *[rows.filter(of_day(rows, DAYS[3]))] * 9])
    assert kinds(run, more) == [
        ("rows", "2020-01-04 has 3000 rows, 1000% of the 300 of the median day")
    ]


def test_what_the_champion_learnt_from_is_not_odd(run):
    usual = DayCounts(tuple(DAYS[:4]), [300, 300, 300, 10], {"a": [0, 0, 0, 10]})
    none = [0] * 16
    quiet = DayCounts(tuple(DAYS), [300] * 15 + [10], {"a": [*none[1:], 10]}, none, none)
    assert odd_days(quiet, usual, run.window) == []
    assert [o.kind for o in odd_days(quiet, None, run.window)] == ["rows", "nulls"]


@pytest.mark.parametrize("name", ["a", "c"])
def test_a_column_that_is_gone_on_a_day_is_named(run, rows, name):
    usual = counts_of_reference(reference(rows))
    gone = with_values(rows, name, DAYS[3], None)
    assert kinds(run, gone, usual) == [
        ("nulls", f"2020-01-04: {name} is missing in 300 of 300 rows, on the median day in 0.0%")
    ]


def test_a_column_that_no_day_has_is_named_where_nobody_serves_yet(run, rows):
    for day in DAYS:
        rows = with_values(rows, "a", day, None)
    assert kinds(run, rows) == [("nulls", "a is missing in all 4800 rows of the window")]
    assert kinds(run, rows, counts_of_reference(reference(rows))) == []


def test_nan_is_missing_too(run, rows):
    (odd,) = kinds(run, with_values(rows, "a", DAYS[3], float("nan")))
    assert odd[0] == "nulls"


@pytest.mark.parametrize("value", [0, 1])
def test_a_day_of_one_class_is_named(run, rows, value):
    ((kind, text),) = kinds(run, with_values(rows, "late", DAYS[3], value))
    assert kind == "label_rate"
    assert text.startswith(f"2020-01-04: {300 * value} of 300 labels are 1, on the median day ")


def test_labels_that_are_missing_are_named_only_on_days_that_should_have_them(run, rows):
    gone = with_values(rows, "late", DAYS[3], None)
    assert kinds(run, gone) == [
        ("labels", "2020-01-04: 0 of 300 rows have a label, on the median day 100%")
    ]
    assert gone.filter(of_day(gone, run.window.unlabelled[0]))["late"].null_count == 300


def test_the_spec_makes_a_failure_of_a_warning(run, rows):
    odd = with_values(rows, "a", DAYS[3], None)
    (text,) = warnings_of(run.spec, run.window, odd, None)
    assert text.startswith("2020-01-04: a is missing")
    strict = replace(run.spec, validate=replace(run.spec.validate, refuse_days=("nulls",)))
    with pytest.raises(ValidationError, match=r"1 odd day.*2020-01-04: a is missing in 300"):
        warnings_of(strict, run.window, odd, None)
    other = replace(run.spec, validate=replace(run.spec.validate, refuse_days=("rows", "labels")))
    assert warnings_of(other, run.window, odd, None) == (text,)


def test_many_odd_days_are_counted_and_the_first_are_named(run, rows):
    for day in DAYS[:6]:
        rows = with_values(with_values(rows, "a", day, None), "b", day, None)
    found = warnings_of(run.spec, run.window, rows, None)
    assert len(found) == 11
    assert found[-1] == "and 2 more odd days"


def test_the_new_keys_change_no_hash_at_their_defaults(tmp_path):
    plain = parse_spec(SPEC, where="toy.toml", folder=tmp_path)
    text = SPEC.replace("label_delay_days = 2", "label_delay_days = 2\nmax_stray_share = 1.0")
    text = text.replace(
        "min_rows = 100\nlabel_rate", "min_rows = 100\nrefuse_days = []\nlabel_rate"
    )
    assert parse_spec(text, where="toy.toml", folder=tmp_path).sha256() == plain.sha256()
    strict = text.replace("= 1.0", "= 0.5")
    assert parse_spec(strict, where="toy.toml", folder=tmp_path).sha256() != plain.sha256()


# -- rows that do not lie where their partition says --------------------------------------


def moved(run, count, by):
    """Moves the first `count` rows of the window's last day."""
    import pyarrow.parquet as pq

    day = run.window.days[-1].isoformat()
    path = f"{run.spec.source.path}/day={day}/part-0.parquet"
    table = pq.read_table(path)
    first = pa.array([i < count for i in range(table.num_rows)])
    time = pc.if_else(first, pc.add(table["event_time"], pa.scalar(by)), table["event_time"])
    pq.write_table(table.set_column(1, "event_time", time), path)


@pytest.mark.parametrize(
    ("by", "outside", "late"),
    [
        (timedelta(hours=-19, minutes=-53), 0, 0),  # 10:07 of the day before in UTC+14
        (timedelta(days=-1), 40, 0),
        (timedelta(days=2), 40, 40),
        (timedelta(days=1), 0, 40),
    ],
)
def test_strays_are_counted(run, by, outside, late):
    moved(run, 40, by)
    table, strays = window_rows(run.source, run.window)
    assert (strays.rows, strays.outside, strays.late) == (16 * 300, outside, late)
    assert table.num_rows == 16 * 300 - late


def test_a_share_that_is_met_exactly_is_no_stray_too_many(run):
    moved(run, 48, timedelta(days=2))  # 1 % of 4,800
    strict = replace(run.spec, source=replace(run.spec.source, max_stray_share=0.01))
    strays = window_rows(Source(strict), run.window)[1]
    assert (strays.late, strays.warnings()) == (48, [])
    stricter = replace(run.spec, source=replace(run.spec.source, max_stray_share=0.0099))
    with pytest.raises(
        SourceError, match=r"of 4800 rows 48 lie outside .*max_stray_share = 0\.0099"
    ):
        window_rows(Source(stricter), run.window)


def test_more_than_one_percent_is_worth_a_warning(run):
    moved(run, 49, timedelta(days=2))
    assert window_rows(run.source, run.window)[1].warnings() == [
        "49 of 4800 rows of the window (1.0%) lie outside their partition's day in every time zone",
        "49 of 4800 rows of the window (1.0%) lie at or after the run's instant and are left out",
    ]


def test_a_day_whose_amounts_are_all_one_is_odd(tmp_path):
    write_days(tmp_path / "rows", 16, label="amounts")
    run = toy_run(tmp_path, None, END, spec=AMOUNTS)
    rows = window_rows(run.source, run.window)[0]
    assert kinds(run, rows) == []
    day = run.window.train[3]
    filled = with_values(rows, "late", day, 0.0)
    text = f"{day}: all 300 labels are 0, on most days they differ"
    assert kinds(run, filled) == [("label_rate", text)]
    place = rows.schema.get_field_index("late")
    nothing = rows.set_column(place, "late", pc.multiply(rows["late"], 0.0))
    assert kinds(run, nothing) == []  # that is how this label is
