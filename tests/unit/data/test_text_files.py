"""CSV and JSON lines say what Parquet says, or say what is wrong with them."""

import json
from datetime import UTC, datetime

import pytest

from devtools.source_kinds import FILES, with_source
from devtools.synthetic import CLASSES, FIRST, SPEC, toy_run, write_days
from retrain_ops.data.source import sha256_of_rows
from retrain_ops.errors import ConfigError, DataError
from tests.unit.data.test_files import read
from tests.unit.data.test_source import BEFORE

NUMERIC = ("a", "b")
HEAD = "request_id,event_time,a,b,c,late\n"
AT = "2020-01-01T06:00:00Z"


def spec_of(kind, **keys):
    return with_source(SPEC, {"kind": f'"{kind}"', "path": '"rows"'} | keys)


@pytest.fixture
def source(tmp_path):
    """Writes the first day's text and opens the source on it."""

    def make(text, kind="csv", **keys):
        folder = tmp_path / "rows" / f"day={FIRST}"
        folder.mkdir(parents=True, exist_ok=True)
        data = text if isinstance(text, bytes) else text.encode()
        (folder / f"rows.{kind}").write_bytes(data)
        return toy_run(tmp_path, None, FIRST, spec=spec_of(kind, **keys)).source

    def rows(*arguments, **keys):
        source = make(*arguments, **keys)
        return source.read([FIRST], columns=["a", "b", "c", "late"], before=BEFORE)

    return rows


@pytest.mark.parametrize("kind", FILES)
def test_equal_values_give_the_equal_hash(tmp_path, kind):
    write_days(tmp_path / "rows", 2)
    expected = read(tmp_path)
    keys = FILES[kind](tmp_path / "rows", tmp_path / kind)
    found = read(tmp_path, with_source(SPEC, keys))
    assert sha256_of_rows(found, NUMERIC) == sha256_of_rows(expected, NUMERIC)
    assert found.drop_columns(NUMERIC).equals(expected.drop_columns(NUMERIC))


def test_a_csv_keeps_texts_as_they_are_written(source):
    lines = [
        f'007,{AT},1,,NA,1\n"a\nb",{AT},2.5,NaN,,\n',
        '"a ""b"" c",2020-01-01 08:00:00+02:00,-1e3,inf,"",0\n',
    ]
    table = source(b"\xef\xbb\xbf" + (HEAD + "".join(lines)).encode())
    assert table["request_id"].to_pylist() == ["007", "a\nb", 'a "b" c']
    assert table["c"].to_pylist() == ["NA", None, ""]
    assert table["a"].to_pylist() == [1.0, 2.5, -1000.0]
    assert str(table["b"].to_pylist()) == "[None, nan, inf]"
    assert table["late"].to_pylist() == [1, None, 0]
    assert set(table["event_time"].to_pylist()) == {datetime(2020, 1, 1, 6, tzinfo=UTC)}


def test_the_options_of_a_csv(source):
    text = HEAD.replace(",", ";") + f"1;{AT};NA;2;x;true\n"
    table = source(text, options='{ delimiter = ";", null = "NA" }')
    assert (table["a"].null_count, table["late"].to_pylist()) == (1, [1])


def test_the_last_text_of_a_csv_may_hold_lines_and_quotes(source):
    head = HEAD.replace("c,late", "late,c")
    for text, end in (("a\nb", "\n"), ('a\n"b"', ""), ("\n", "\n"), ("", ""), ("a\r\n", "\r\n")):
        cell = '"' + text.replace('"', '""') + '"'
        table = source(f"{head}1,{AT},1,2,0,{cell}{end}")
        assert table["c"].to_pylist() == [text]


def test_a_class_is_the_characters_of_its_cell_or_folder(tmp_path):
    """Whatever the other cells of a file hold: `01` is one class on all days."""
    spec = with_source(CLASSES, {"kind": '"csv"', "path": '"rows"'})
    for name, head, cells in (
        ("a", HEAD, ("01", "02")),
        ("b", HEAD, ("01", "A2")),
        ("c", HEAD, ("True", "1.50")),
        ("late=02", HEAD.replace(",late", ""), ("", "")),
    ):
        folder = tmp_path / "rows" / f"day={FIRST}" / ("" if len(name) == 1 else name)
        folder.mkdir(parents=True, exist_ok=True)
        lines = (f"{name}{i},{AT},1,2,x,{cell}".rstrip(",") for i, cell in enumerate(cells))
        (folder / f"{name[0]}.csv").write_text(head + "\n".join(lines) + "\n")
    source = toy_run(tmp_path, None, FIRST, spec=spec).source
    found = source.read([FIRST], columns=["a", "b", "c", "late"], before=BEFORE)
    assert sorted(found["late"].to_pylist()) == sorted(
        ["01", "02", "01", "A2", "True", "1.50", "02", "02"]
    )


def test_json_lines_may_leave_rows_empty_and_name_times_and_numbers(source):
    rows = [
        {"request_id": "2020-01-01", "event_time": AT, "a": 1, "b": None, "c": 5, "late": True},
        {"request_id": "2020-01-02", "event_time": AT, "a": 2.5, "c": 6},
    ]
    table = source("\n".join(map(json.dumps, rows)) + "\n\n", "jsonl")
    assert table["request_id"].to_pylist() == ["2020-01-01", "2020-01-02"]
    assert table["c"].to_pylist() == ["5", "6"]
    assert table["late"].to_pylist() == [1, None]
    assert source("\n", "jsonl").num_rows == 0
    assert source(HEAD).num_rows == 0


@pytest.mark.parametrize(
    ("zone", "expected"),
    [("UTC", datetime(2020, 1, 1, 6, tzinfo=UTC)), ("Asia/Tokyo", None)],
)
def test_a_time_without_an_offset_is_on_the_clock_of_the_spec(source, zone, expected):
    row = "1,2020-01-01 06:00:00,1,2,x,1\n"
    with pytest.raises(DataError, match=r"rows.csv: event_time is timestamp.*\[source\] time_zone"):
        source(HEAD + row)
    (found,) = source(HEAD + row, time_zone=f'"{zone}"')["event_time"].to_pylist()
    assert found == (expected or datetime(2019, 12, 31, 21, tzinfo=UTC))


@pytest.mark.parametrize("clock", ["2020-03-08 02:30:00", "2020-11-01 01:30:00"])
def test_a_time_that_a_clock_shows_twice_or_never_is_refused(source, clock):
    with pytest.raises(DataError, match="clock of America/New_York shows twice or never"):
        source(f"{HEAD}1,{clock},1,2,x,1\n", time_zone='"America/New_York"')


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("", "csv", "rows.csv cannot be read as CSV: Empty CSV file"),
        (HEAD + "1,2\n", "csv", "Expected 6 columns, got 2"),
        (HEAD.replace("a,b", "a,a"), "csv", "rows.csv has no column b"),
        (HEAD.replace("late", "a"), "csv", "has no column late"),
        (HEAD.replace("\n", ",a\n"), "csv", "more than one column a"),
        (
            f"{HEAD}1,yesterday,1,2,x,1\n",
            "csv",
            "event_time is string, and not an ISO",
        ),
        (f"{HEAD}1,,1,2,x,1\n", "csv", "event_time is null in 1 row"),
        (
            f'{HEAD}1,{AT},1,2,x,1\n2,{AT},1,2,x,"1\n3,{AT},1,2,y,0\n',
            "csv",
            "row 2 opens a quote in column 'late' that is never closed, at '1'",
        ),
        ("[1]\n", "jsonl", "rows.jsonl cannot be read as JSON lines"),
        ('{"a": 1}\n{"a": "x"}\n', "jsonl", "changed from number to string"),
        (f'{{"request_id": "1", "event_time": "{AT}", "a": 1}}\n', "jsonl", "no column b, c, late"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_name(source, text, kind, words):
    with pytest.raises(DataError, match=words) as caught:
        source(text, kind)
    assert f"day={FIRST}/rows.{kind}" in str(caught.value)


def test_a_kind_that_nobody_knows_is_an_error_of_the_spec(tmp_path):
    run = toy_run(tmp_path, None, FIRST, spec=with_source(SPEC, {"kind": '"xml"'}))
    words = r"line 6: \[source\] kind: 'xml' is no kind of source; known kinds: parquet, csv"
    with pytest.raises(ConfigError, match=words):
        run.source.days()


def test_the_spec_refuses_what_cannot_be(tmp_path):
    for keys, words in (
        ({"time_zone": '"Mars"'}, "time_zone: 'Mars' is no zone"),
        ({"path": '""'}, "path: is required and missing"),
        (
            {"kind": '"csv"', "options": '{ nul = "NA" }'},
            "a CSV does not read nul; it reads delimiter, null",
        ),
        (
            {"kind": '"csv"', "options": '{ delimiter = "||" }'},
            "delimiter must be one ASCII character",
        ),
        (
            {"kind": '"csv"', "options": '{ delimiter = "" }'},
            "delimiter must be one ASCII character",
        ),
    ):
        with pytest.raises(ConfigError, match=words):
            toy_run(tmp_path, None, FIRST, spec=with_source(SPEC, keys))
