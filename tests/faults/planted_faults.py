"""What can be wrong with a spec, with the rows or around them, one fault a line.

`test_planted_faults.py` plants each in a world that serves, runs its day, and holds what comes
out against the line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

DAY = date(2020, 1, 19)
"""The window end of the spoilt day: the champion was trained on the one before."""
FILE = "day=2020-01-10/part-0.parquet"
"""A file of its training days, neither the first nor the last."""
NEW = "day=2020-01-16/part-0.parquet"
"""A file of its hold-out, which the drift check reads too."""


# -- the spec: exit code 2, file and line, no alert, no file -------------------------------


@dataclass(frozen=True)
class SpecFault:
    """`old` becomes `new` ("" appends it); the wrong key stands in the last line of `new`.

    The message begins with file, line and `place`; `words` stand somewhere behind.
    """

    old: str
    new: str
    place: str
    words: str


SPEC_FAULTS: dict[str, SpecFault] = {
    "unknown table": SpecFault("", "\n[gates]", "[gates]: ", "unknown table; known tables: model"),
    "unknown key": SpecFault("seed = 1", "sead = 1", "[model] sead: ", "known keys: name, problem"),
    "no name": SpecFault('name = "toy"\n', "", "[model] name: ", "required and missing"),
    "name with a slash": SpecFault('"toy"', '"a/b"', "[model] name: ", "letters"),
    "seed of text": SpecFault("seed = 1", 'seed = "1"', "[model] seed: ", "an integer, it is '1'"),
    "seed below 0": SpecFault("seed = 1", "seed = -1", "[model] seed: ", "must lie in [0"),
    "unknown trainer": SpecFault(
        "seed = 1", 'trainer = "catboost"', "[model] trainer: ", '"linear", "xgboost", '
    ),
    "trainer that cannot be loaded": SpecFault(
        "seed = 1", 'trainer = "no.such:train"', "[model] trainer: ", "No module named 'no'"
    ),
    "trainer that is no function": SpecFault(
        "seed = 1", 'trainer = "math:pi"', "[model] trainer: ", "pi is not a function"
    ),
    "n_estimators of text": SpecFault(
        "n_estimators = 20", 'n_estimators = "many"', "[train] n_estimators: ", "must be a number"
    ),
    "n_estimators of 0": SpecFault(
        "n_estimators = 20", "n_estimators = 0", "[train] n_estimators: ", "between 1 and"
    ),
    "learning_rate below 0": SpecFault("= 0.12", "= -3", "[train] learning_rate: ", "it is -3"),
    "subsample above 1": SpecFault(
        "subsample = 0.8", "subsample = 8", "[train] subsample: ", "it is 8"
    ),
    "max_bins above 255": SpecFault("max_bins = 63", "max_bins = 999", "[train] max_bins: ", "255"),
    "number too large": SpecFault(
        "max_bins = 63", "max_bins = 9223372036854775807", "[train] max_bins: ", "255"
    ),
    "unknown parameter": SpecFault(
        "max_bins = 63", "num_trees = 63", "[train] num_trees: ", "known parameters: "
    ),
    "train is no table": SpecFault("[train]", "[[train]]", "[train]: ", "table"),
    "numeric is no column": SpecFault(
        '["a", "b"]', '["a", "bb"]', "[features] numeric: ", "did you mean 'b'?"
    ),
    "numeric listed twice": SpecFault(
        '["a", "b"]', '["a", "a"]', "[features] numeric: ", "listed twice: a"
    ),
    "the label as a feature": SpecFault(
        '["a", "b"]', '["a", "late"]', "[features] numeric: ", "'late' is the source's own column"
    ),
    "the day as a feature": SpecFault(
        '["a", "b"]', '["a", "day"]', "[features] numeric: ", "the day of a row"
    ),
    "categorical is no column": SpecFault(
        'categorical = ["c"]',
        'categorical = ["d"]',
        "[features] categorical: ",
        "part-0.parquet has ",
    ),
    "no features": SpecFault(
        'numeric = ["a", "b"]\ncategorical = ["c"]', "numeric = []", "[features] numeric: ", "one"
    ),
    "label is no column": SpecFault('"late"', '"later"', "[source] label: ", "mean 'late'?"),
    "label is the time": SpecFault('"late"', '"event_time"', "[source] label: ", "must differ"),
    "time is no column": SpecFault(
        "label_delay_days = 2", 'event_time = "at"', "[source] event_time: ", "'at' is no column"
    ),
    "delay below 0": SpecFault(
        "label_delay_days = 2", "label_delay_days = -1", "[source] label_delay_days: ", "1 to 366"
    ),
    "variable that is not set": SpecFault(
        'path = "rows"', 'path = "${NO_SUCH}"', "[source] path: ", "variable NO_SUCH is not set"
    ),
    "no training days": SpecFault(
        "train_days = 10", "train_days = 0", "[window] train_days: ", "2 to"
    ),
    "no hold-out": SpecFault(
        "holdout_days = 5", "holdout_days = 0", "[window] holdout_days: ", "1 to"
    ),
    "hour 25": SpecFault(
        "holdout_days = 5", 'cutoff_time = "25:00"', "[window] cutoff_time: ", 'such as "02:00"'
    ),
    "drift of a stranger": SpecFault(
        "draws = 199", 'features = ["z"]', "[drift] features: ", "'z' is not a feature"
    ),
    "drift above the window": SpecFault(
        "current_days = 5", "current_days = 99", "[drift] current_days: ", "longer than the window"
    ),
    "threshold below 0": SpecFault(
        "draws = 199", "threshold = -1", "[drift] threshold: ", "above 0"
    ),
    "level above 1": SpecFault("draws = 199", "alpha = 2", "[drift] alpha: ", "0 and 1"),
    "unknown trigger": SpecFault(
        "draws = 199", 'trigger = "maybe"', "[drift] trigger: ", "one of 'literal', 'proven'"
    ),
    "rate upside down": SpecFault(
        "[0.05, 0.95]", "[0.9, 0.1]", "[validate] label_rate: ", "[low, high] within 0 to 1"
    ),
    "rate of one number": SpecFault(
        "label_rate = [0.05, 0.95]", "label_rate = [0.5]", "[validate] label_rate: ", "array of 2"
    ),
    "range of a stranger": SpecFault(
        "label_rate = [0.05, 0.95]",
        "ranges = { z = [0, 1] }",
        "[validate] ranges: ",
        "'z' is not a column that a run pulls",
    ),
    "range of a category": SpecFault(
        "", "\n[validate.ranges]\nc = [0, 1]", "[validate.ranges] c: ", "'c' is no numeric feature"
    ),
    "null share above 1": SpecFault(
        "label_rate = [0.05, 0.95]",
        "max_null_share = { a = 2 }",
        "[validate] max_null_share: ",
        "a: must lie in 0 to 1",
    ),
    "protected is no column": SpecFault(
        'protected = ["c"]', 'protected = ["race"]', "[gate] protected: ", "'race' is no column"
    ),
    "protected is the label": SpecFault(
        'protected = ["c"]', 'protected = ["late"]', "[gate] protected: ", "the source's own column"
    ),
    "watched is no column": SpecFault(
        'protected = ["c"]', 'watched = ["z"]', "[gate] watched: ", "'z' is no column of the source"
    ),
    "unknown mode": SpecFault('protected = ["c"]', 'mode = "x"', "[gate] mode: ", "'paired'"),
    "unknown metric": SpecFault('protected = ["c"]', 'metric = "auc"', "[gate] metric: ", "'f1'"),
    "confidence of 1.5": SpecFault(
        'protected = ["c"]', "confidence = 1.5", "[gate] confidence: ", "[0.5, 1)"
    ),
    "improvement of text": SpecFault(
        'protected = ["c"]', 'min_improvement = "1 %"', "[gate] min_improvement: ", "a number"
    ),
    "improvement that is no number": SpecFault(
        'protected = ["c"]', "min_improvement = nan", "[gate] min_improvement: ", "it is nan"
    ),
    "threshold that is no number": SpecFault(
        "draws = 199", "threshold = nan", "[drift] threshold: ", "it is nan"
    ),
    "improvement without end": SpecFault(
        'protected = ["c"]', "min_improvement = inf", "[gate] min_improvement: ", "it is inf"
    ),
    "costs without their metric": SpecFault(
        'protected = ["c"]', "costs = { fp = 1, fn = 2 }", "[gate] costs: ", "net_benefit"
    ),
    "guard of an unknown metric": SpecFault(
        'protected = ["c"]',
        'guards = [{ metric = "auc", max_drop = 0.1 }]',
        "[gate.guards] metric: ",
        "'net_benefit'",
    ),
    "shadow of no hours": SpecFault("max_flips = 0.95", "hours = 0", "[shadow] hours: ", "above 0"),
    "canary above all": SpecFault(
        "min_labelled = 100", "share = 2.0", "[canary] share: ", "(0, 1]"
    ),
    "canary that drops too far": SpecFault(
        "min_labelled = 100", "max_f1_drop = 3.0", "[canary] max_f1_drop: ", "f1 cannot change"
    ),
    "unknown expiry": SpecFault(
        "min_labelled = 100", 'on_expiry = "wait"', "[canary] on_expiry: ", "'rollback', 'keep'"
    ),
    "approval by nobody": SpecFault(
        "", '\n[rollout]\napproval = "maybe"', "[rollout] approval: ", "'auto', 'required'"
    ),
    "more windows than there are": SpecFault(
        "", "\n[degraded]\nof = 2\nwindows = 3", "[degraded] windows: ", "1 to `of`"
    ),
    "experiment of a number": SpecFault(
        "", "\n[registry]\nexperiment = 7", "[registry] experiment: ", "a string, it is 7"
    ),
}


# -- the rows: exit code 20, day and column, one alert --------------------------------------


@dataclass(frozen=True)
class RowFault:
    """`plant` spoils the folder of rows; `words` all stand in the first line of the message."""

    plant: Callable[[Path], None]
    words: Sequence[str]
    spec: tuple[str, str] = ("", "")


def _table(change: Callable[[pa.Table], pa.Table], file: str = FILE) -> Callable[[Path], None]:
    def plant(rows: Path) -> None:
        path = rows / file
        pq.write_table(change(pq.read_table(path, partitioning=None)), path)

    return plant


def _column(
    name: str, change: Callable[[pa.ChunkedArray], Any], file: str = FILE
) -> Callable[[Path], None]:
    def changed(table: pa.Table) -> pa.Table:
        return table.set_column(table.column_names.index(name), name, change(table[name]))

    return _table(changed, file)


def _every(change: Callable[[pa.Table], pa.Table]) -> Callable[[Path], None]:
    def plant(rows: Path) -> None:
        for file in sorted(rows.rglob("*.parquet")):
            pq.write_table(change(pq.read_table(file, partitioning=None)), file)

    return plant


def _bytes(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def plant(rows: Path) -> None:
        (rows / FILE).write_bytes(change((rows / FILE).read_bytes()))

    return plant


def _first(value: Any) -> Callable[[pa.ChunkedArray], pa.Array]:
    """The column with another first value."""
    return lambda column: pa.array([value, *column.to_pylist()[1:]], column.type)


def _no_day(rows: Path) -> None:
    (rows / FILE).unlink()
    (rows / FILE).parent.rmdir()


def _no_rows(rows: Path) -> None:
    _every(lambda table: table.slice(0, 0))(rows)


def _folder_for_a_file(rows: Path) -> None:
    (rows / FILE).unlink()
    (rows / FILE).mkdir()


def _doubled_column(table: pa.Table) -> pa.Table:
    return table.append_column("a", table["b"])


def _same_id(table: pa.Table) -> pa.Table:
    return table.set_column(0, "request_id", pa.array(["2020-01-09-00000"] * len(table)))


def _local(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.timestamp("us"))


def _texts(column: pa.ChunkedArray) -> pa.Array:
    return pa.array([f"about {value}" for value in column.to_pylist()])


def _filled(kind: pa.DataType, value: Any) -> Callable[[pa.ChunkedArray], pa.Array]:
    return lambda column: pa.array([value] * len(column), kind)


def _labels_of(value: int | None) -> Callable[[Path], None]:
    def changed(table: pa.Table) -> pa.Table:
        place = table.column_names.index("late")
        return table.set_column(place, "late", pa.array([value] * len(table), pa.int8()))

    return _every(changed)


def _unlabelled(table: pa.Table) -> pa.Table:
    place = table.column_names.index("late")
    return table.set_column(place, "late", pa.nulls(len(table), pa.int8()))


def _each(days: Sequence[str], change: Callable[[pa.Table], pa.Table]) -> Callable[[Path], None]:
    def plant(rows: Path) -> None:
        for day in days:
            _table(change, f"day=2020-01-{day}/part-0.parquet")(rows)

    return plant


BETWEEN = ("[0.05, 0.95]", "[0.0, 1.0]")
ROW_FAULTS: dict[str, RowFault] = {
    "a day that is not there": RowFault(_no_day, ("no rows for 2020-01-10", "day=<day>")),
    "no Parquet": RowFault(_bytes(lambda _: b"a,b\n1,2\n"), (FILE, "cannot be read as Parquet")),
    "a link to nothing": RowFault(
        lambda rows: (rows / NEW).with_name("b.parquet").symlink_to("gone"),
        (NEW.replace("part-0", "b"), "cannot be read as Parquet"),
    ),
    "an empty file": RowFault(_bytes(lambda _: b""), (FILE, "cannot be read as Parquet")),
    "a file cut short": RowFault(_bytes(lambda data: data[:-40]), (FILE, "cannot be read")),
    "a page of noise": RowFault(
        _bytes(lambda data: data[:200] + bytes(2000) + data[2200:]), (FILE, "cannot be read")
    ),
    "a folder for a file": RowFault(_folder_for_a_file, ("2020-01-10", "no rows")),
    "no rows at all": RowFault(_no_rows, ("2020-01-19", "no rows")),
    "a column is missing": RowFault(
        _table(lambda t: t.drop_columns(["b"])), (FILE, "has no column b")
    ),
    "a column is there twice": RowFault(_table(_doubled_column), (FILE, "more than one column a")),
    "a number became text": RowFault(_column("a", _texts), (FILE, "'a'", "string")),
    "a number became text in the newest days": RowFault(
        _column("a", _texts, NEW), (NEW, "'a'", "string")
    ),
    "a number became a list": RowFault(
        _column("a", _filled(pa.list_(pa.float32()), [1.0])), (FILE, "'a'", "list")
    ),
    "a number became a date": RowFault(
        _column("a", _filled(pa.date32(), date(2020, 1, 1))), (FILE, "'a'", "date32")
    ),
    "a number became a duration": RowFault(
        _column("a", _filled(pa.duration("s"), 7)), (FILE, "'a'", "duration")
    ),
    "all days of a number are text": RowFault(
        _every(lambda t: t.set_column(2, "a", _texts(t["a"]))), ("a", "string")
    ),
    "a category became a struct": RowFault(
        _column("c", _filled(pa.struct({"x": pa.int8()}), {"x": 1})), (FILE, "'c'", "struct")
    ),
    "a category with fractions": RowFault(
        _column("c", _filled(pa.float64(), 0.5)), (FILE, "'c'", "fractions")
    ),
    "a category that is no UTF-8": RowFault(
        _column("c", _filled(pa.binary(), b"\xff")), (FILE, "'c'", "not UTF-8")
    ),
    "a time without a zone": RowFault(
        _column("event_time", _local), (FILE, "event_time", "with a time zone")
    ),
    "a time of text": RowFault(
        _column("event_time", _texts), (FILE, "event_time is string", "ISO 8601 time")
    ),
    "a time that is missing": RowFault(
        _column("event_time", _first(None)), (FILE, "event_time is null in 1 row(s)")
    ),
    "a label of text": RowFault(
        _column("late", _filled(pa.string(), "yes")), (FILE, "'late'", "string")
    ),
    "a label of 2": RowFault(_column("late", _first(2)), ("late", "2")),
    "a label of amounts": RowFault(
        _every(lambda t: t.set_column(5, "late", pa.array(np.arange(300.0)))), ("late",)
    ),
    "labels all alike": RowFault(_labels_of(1), ("late", "1"), BETWEEN),
    "no label in the hold-out": RowFault(
        _each(("13", "14", "15", "16", "17"), _unlabelled), ("known late on 5 days",)
    ),
    "no label at all": RowFault(_labels_of(None), ("late",), BETWEEN),
    "label rate above its range": RowFault(
        lambda rows: None, ("late", "expect_column_mean_to_be_between"), ("0.95]", "0.06]")
    ),
    "a request id twice in a day": RowFault(
        _column("request_id", _first("2020-01-10-00007")),
        ("1 row(s) repeat a request_id, '2020-01-10-00007' on 2020-01-10",),
    ),
    "a request id twice in a window": RowFault(
        _table(_same_id), ("300 row(s) repeat", "'2020-01-09-00000' on 2020-01-09 and 2020-01-10")
    ),
    "a request without an id": RowFault(
        _column("request_id", _first(None)), (FILE, "request_id is null in 1 row(s)")
    ),
    "too few rows": RowFault(
        lambda rows: None,
        ("row_count", "9999"),
        ("min_rows = 100\nlabel", "min_rows = 9999\nlabel"),
    ),
    "too many rows": RowFault(
        lambda rows: None,
        ("row_count", "150"),
        ("min_rows = 100\nlabel", "min_rows = 100\nmax_rows = 150\nlabel"),
    ),
    "a number outside its range": RowFault(
        _column("a", _first(999.0)),
        ("a: expect_column_values_to_be_between", "999"),
        ("", "\n[validate.ranges]\na = [-9, 9]"),
    ),
    "a missing value where none may be": RowFault(
        _column("b", _first(None)),
        ("b: expect_column_values_to_not_be_null",),
        ("min_rows = 100\nlabel", 'min_rows = 100\nnot_null = ["b"]\nlabel'),
    ),
    "a column all missing": RowFault(
        _column("b", _filled(pa.float32(), None)),
        ("b: expect_column_values_to_not_be_null",),
        ("", "\n[validate.max_null_share]\nb = 0.05"),
    ),
    "no source": RowFault(
        lambda rows: None, ("no rows for 2020-01-14", "elsewhere"), ('"rows"', '"elsewhere"')
    ),
}
