"""Whatever happens, one JSON document on standard output, and an exit code that fits."""

import json
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import retrain_ops.steps.pull_data
from devtools.synthetic import SPEC, write_days
from retrain_ops import __version__
from retrain_ops.cli.command import run_of
from retrain_ops.cli.main import build_parser, main
from retrain_ops.errors import ConfigError, NotYet, RetrainError, is_expected, text_of
from retrain_ops.models import resolve_trainer

UNFORESEEN = [
    KeyError("colour"),
    TypeError("no"),
    ZeroDivisionError("x"),
    AttributeError("fit"),
    RuntimeError("the device is lost"),
    ValueError("shapes differ"),
    SystemExit(3),
    AssertionError(),
]


@pytest.fixture
def step(tmp_path, capsys):
    """Runs pull_data by the command line: exit code, document, standard error."""
    write_days(tmp_path / "rows", 22)
    (tmp_path / "toy.toml").write_text(SPEC)
    places = ["--workspace", str(tmp_path / "ws"), "--tracking-uri", "http://127.0.0.1:9"]

    def run():
        spec = ["--spec", str(tmp_path / "toy.toml"), "--date", "2020-01-21", "--threads", "1"]
        code = main(["run", "--step", "pull_data", *spec, *places])
        shown = capsys.readouterr()
        return code, json.loads(shown.out), shown.err

    return run


def test_what_a_step_prints_stays_out_of_the_document(step, monkeypatch):
    whole = retrain_ops.steps.pull_data.pull_data

    def talkative(run):
        print("tree 1")
        return whole(run)

    monkeypatch.setattr(retrain_ops.steps.pull_data, "pull_data", talkative)
    code, output, err = step()  # which reads the document
    assert (code, output["steps"][0]["step"]) == (0, "pull_data")
    assert "tree 1" in err


@pytest.mark.parametrize("command", ["run", "check"])
def test_an_empty_date_is_not_today(tmp_path, capsys, command):
    (tmp_path / "toy.toml").write_text(SPEC)
    spec = [str(tmp_path / "toy.toml")]
    places = ["--workspace", str(tmp_path / "ws"), "--tracking-uri", "http://127.0.0.1:9"]
    options = ["--spec", *spec, *places] if command == "run" else spec
    assert main([command, *options, "--date", ""]) == 2
    assert "'' is not a date" in json.loads(capsys.readouterr().out)["message"]
    assert not (tmp_path / "ws").exists()


@pytest.mark.parametrize("command", ["run", "check", "explain"])
def test_a_model_name_that_cannot_be_one(tmp_path, capsys, command):
    (tmp_path / "toy.toml").write_text(SPEC)
    spec = [str(tmp_path / "toy.toml")]
    places = ["--workspace", str(tmp_path / "ws"), "--date", "2020-01-21"]
    options = spec if command == "check" else ["--spec", *spec, *places]
    assert main([command, *options, "--model", "a/b"]) == 2
    assert "model 'a/b': use letters" in json.loads(capsys.readouterr().out)["message"]


@pytest.mark.parametrize("problem", UNFORESEEN, ids=lambda p: type(p).__name__)
def test_an_error_that_nobody_foresaw_keeps_the_document(step, monkeypatch, problem):
    def broken(run):
        raise problem

    monkeypatch.setattr(retrain_ops.steps.pull_data, "pull_data", broken)
    code, output, err = step()
    assert code == 1
    (entry,) = output["steps"]
    assert (entry["step"], entry["status"]) == ("pull_data", "failed")
    assert entry["message"] == output["message"] == text_of(problem)
    assert output["message"].startswith(type(problem).__name__)
    assert "Traceback" in err
    assert "in broken" in err


def test_an_error_outside_a_step_keeps_the_document_too(tmp_path, capsys, monkeypatch):
    def broken(path, **_):
        raise LookupError("gone")

    (tmp_path / "toy.toml").write_text(SPEC)
    monkeypatch.setattr("retrain_ops.run.load_spec", broken)
    assert main(["run", "--spec", str(tmp_path / "toy.toml"), "--workspace", str(tmp_path)]) == 1
    shown = capsys.readouterr()
    output = json.loads(shown.out)
    assert output == {"error": "LookupError", "message": "LookupError: gone", "status": "failed"}
    assert "Traceback" in shown.err


def test_a_wrong_spec_is_a_document_without_a_traceback(tmp_path, capsys):
    (tmp_path / "toy.toml").write_text(SPEC.replace("n_estimators = 20", 'n_estimators = "many"'))
    assert main(["run", "--spec", str(tmp_path / "toy.toml"), "--workspace", str(tmp_path)]) == 2
    shown = capsys.readouterr()
    assert json.loads(shown.out)["status"] == "failed"
    assert "toy.toml, line 27: [train] n_estimators: must be a number" in shown.err
    assert "Traceback" not in shown.err


def test_errors_raised_on_purpose_have_no_traceback():
    assert all(is_expected(p) for p in (RetrainError("x"), ConfigError("x"), OSError("x")))
    assert is_expected(MemoryError())
    assert is_expected(KeyboardInterrupt())
    assert not any(is_expected(p) for p in UNFORESEEN)


FILE = "day=2020-01-09/part-0.parquet"


def without(name):
    return lambda table: table.drop_columns([name])


def retyped(name, kind):
    return lambda table: table.set_column(
        table.column_names.index(name), name, table[name].cast(kind)
    )


def texts(name):
    return lambda table: table.set_column(
        table.column_names.index(name), name, pa.array(["high"] * table.num_rows)
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without("b"), "has no column b"),
        (without("late"), "has no column late"),
        (lambda t: t.append_column("c", t["c"]), "has more than one column c"),
        (retyped("event_time", pa.timestamp("us")), "a timestamp with a time zone"),
        (texts("event_time"), "event_time is string"),
        (texts("a"), "column 'a' is string"),
        (texts("late"), "column 'late' is string"),
        (None, "cannot be read as Parquet"),
    ],
)
def test_a_wrong_source_is_named_by_day_file_and_column(step, tmp_path, caplog, change, words):
    file = tmp_path / "rows" / FILE
    if change is None:
        file.write_bytes(b"PAR1 and nothing else")
    else:
        pq.write_table(change(pq.read_table(file, partitioning=None)), file)
    code, output, err = step()
    assert code == 20
    assert FILE in output["message"]
    assert words in output["message"]
    assert "Traceback" not in err
    assert caplog.text.count("[FAILED]") == 1
    assert not (tmp_path / "ws" / "toy" / "window_end=2020-01-21" / "pull_data.json").exists()


@pytest.mark.parametrize("command", ["run", "status", "approve", "explain"])
def test_unknown_arguments_show_the_commands_own_usage(capsys, command):
    assert main([command, "--spec", "x.toml", "--date", "2020-01-01", "--colour", "red"]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"usage: retrain-ops {command} ")
    assert "--workspace" in err
    assert "unrecognized arguments: --colour red" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "required: command"),
        (["train"], "invalid choice: 'train'"),
        (["run"], "required: --spec"),
        (["run", "--spec", "x.toml", "--threads", "many"], "0 to 1024, it is 'many'"),
        (["run", "--spec", "x.toml", "--threads", "-1"], "0 to 1024, it is '-1'"),
        (["run", "--spec", "x.toml", "--threads", "1025"], "0 to 1024, it is '1025'"),
        (["promote", "--spec", "x.toml", "--version", "0"], "no version's number"),
        (["export", "--spec", "x", "--version", "1", "--format", "pmml"], "invalid choice: 'pmml'"),
    ],
)
def test_a_wrong_command_line_is_a_document_for_programs(capsys, monkeypatch, arguments, words):
    assert main(arguments) == 2
    shown = capsys.readouterr()
    document = json.loads(shown.out)
    assert (document["status"], document["error"]) == ("failed", "UsageError")
    assert words in document["message"]
    assert shown.err.startswith("usage: retrain-ops")
    assert words in shown.err
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert main(arguments) == 2
    assert capsys.readouterr().out == ""


def test_the_version_is_said(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"retrain-ops {__version__}\n"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise ValueError('no GPU')", "ValueError: no GPU .*own_trainer.py, line 1"),
        ("import sys; sys.exit(3)", "SystemExit: 3 .*own_trainer.py, line 1"),
        ("from numpy import nosuch", "ImportError: cannot import name 'nosuch'.*line 1"),
        ("def train(", "SyntaxError: .*own_trainer.py, line 1.$"),
        ("x = 1", "has no attribute 'train'"),
        ("import nosuch", "No module named 'nosuch'"),
    ],
)
def test_a_trainer_whose_module_cannot_be_loaded_is_named(tmp_path, monkeypatch, code, words):
    (tmp_path / "own_trainer.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "own_trainer", raising=False)
    with pytest.raises(ConfigError, match=f"trainer 'own_trainer:train': train cannot .*{words}"):
        resolve_trainer("own_trainer:train")


def test_waiting_is_no_failure(capsys, monkeypatch, tmp_path):
    from datetime import UTC, datetime

    def waits(path, **_):
        raise NotYet("later", until=datetime(2020, 1, 1, tzinfo=UTC))

    monkeypatch.setattr("retrain_ops.run.load_spec", waits)
    assert main(["status", "--spec", "x.toml", "--workspace", str(tmp_path)]) == 75
    assert json.loads(capsys.readouterr().out)["status"] == "not_yet"


def test_a_backfill_by_hand_is_one_for_the_source_too(tmp_path):
    (tmp_path / "toy.toml").write_text(SPEC)
    where = ["--spec", str(tmp_path / "toy.toml"), "--workspace", str(tmp_path / "workspace")]
    arguments = ["run", *where, "--tracking-uri", "http://127.0.0.1:1"]
    for further, trigger in ([], "manual"), (["--backfill"], "backfill"):
        run = run_of(build_parser().parse_args([*arguments, *further]))
        assert run.context.trigger == trigger
