"""The page across days shows what the decisions and the registry say, and asks for nothing."""

from __future__ import annotations

import json
from datetime import timedelta
from types import SimpleNamespace

import pytest

from devtools.doubles.registry_server import Client, Server
from devtools.synthetic import FIRST, SPEC, bootstrap, toy_run, write_days
from retrain_ops.cli.main import main, run_day
from retrain_ops.decisions.record import compared, read_decision
from retrain_ops.report.days import SHARE_HEIGHT
from tests.unit.report.test_report import Page

BOOTSTRAP, CHANGED = FIRST + timedelta(days=17), FIRST + timedelta(days=36)
LAST = CHANGED + timedelta(days=9)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A bootstrap, a promotion, its canary to the end, and a gap of days between them."""
    folder, server = tmp_path_factory.mktemp("days"), Server()
    (folder / "toy.toml").write_text(SPEC)
    write_days(folder / "rows", 60, rule_changes=18, shift_from=18, shift=0.6)
    bootstrap(folder, Client(server), BOOTSTRAP)
    for days in range(10):
        run_day(toy_run(folder, Client(server), CHANGED + timedelta(days=days)))
    return SimpleNamespace(folder=folder, server=server)


@pytest.fixture
def report(world, monkeypatch, capsys, tmp_path):
    """Runs `retrain-ops report`: exit code, document, page."""
    monkeypatch.setattr("retrain_ops.run.MlflowClient", lambda uri: Client(world.server))

    def run(first=BOOTSTRAP, last=LAST, file=tmp_path / "page.html"):
        where = ["--spec", str(world.folder / "toy.toml"), "--tracking-uri", "http://x"]
        where += ["--workspace", str(world.folder / "workspace"), "--output", str(file)]
        code = main(["report", *where, "--from", str(first), "--to", str(last)])
        said = json.loads(capsys.readouterr().out)
        return code, said, file.read_text() if file.exists() else ""

    return run


def test_it_is_one_file_that_asks_for_nothing(report):
    code, said, html = report()
    assert (code, said["days"]) == (0, 11)
    Page(html)
    assert "default-src 'none'" in html
    assert "http" not in html.replace("http-equiv", "")
    assert "prefers-color-scheme: dark" in html


def test_a_page_that_cannot_be_written_is_named(report, tmp_path):
    file = tmp_path / "none" / "page.html"
    code, said, _ = report(file=file)
    assert (code, said["error"]) == (2, "ConfigError")
    assert f"{file} cannot be written (No such file or directory)" in said["message"]


def test_days_that_no_page_can_show_are_refused(report):
    code, said, html = report(last="9999-12-31")
    assert (code, html) == (2, "")
    assert "9999-12-31 lies in the future" in said["message"]
    code, said, html = report(first="0001-01-01", last="0001-01-05")
    assert (code, html) == (2, "")
    assert "no decision" in said["message"]


def test_every_day_is_there_with_its_numbers(world, report):
    html = report()[2]
    run = toy_run(world.folder, Client(world.server), CHANGED)
    for end in run.workspace.list_keys():
        decision = read_decision(run.workspace, end)
        assert f"<tr><td>{end}</td>" in html
        psi = decision["drift"]["psi_max"]
        if psi is not None:
            assert f"{end}: {decision['drift']['psi_max_feature']} {psi:.4f}" in html
        gate = compared(decision) if "gate" in decision else None
        if gate:
            for role in ("champion", "challenger"):
                assert f"{end}: {role} {gate[f'f1_{role}']:.4f}" in html
                assert f"{end}: {role} {decision['auc'][role]:.4f}" in html


def test_it_shows_who_served_with_which_share(world, report):
    html = report()[2]
    before = CHANGED
    assert f"<title>{BOOTSTRAP} to {before}: version 1 100%</title>" in html
    begin = CHANGED + timedelta(days=1)
    kept = next(v for v in toy_run(world.folder, Client(world.server), CHANGED).registry.versions()
                if v.number == "2").closed_at.date()  # fmt: skip
    last = kept - timedelta(days=1)
    assert f"<title>{begin} to {last}: version 2 10%, version 1 the rest</title>" in html
    assert f'height="{SHARE_HEIGHT * 0.1:.1f}"' in html
    assert f"<title>{kept} to {LAST}: version 2 100%</title>" in html
    assert "<td>promote</td><td>2</td>" in html


def test_days_outside_the_range_are_not_shown(report):
    code, said, html = report(CHANGED, CHANGED + timedelta(days=1))
    assert (code, said["days"]) == (0, 2)
    assert str(BOOTSTRAP) not in html.replace(f"toy/{BOOTSTRAP}", "")


@pytest.mark.parametrize(
    ("first", "last", "message"),
    [
        (LAST, CHANGED, "lies after"),
        (FIRST, FIRST, "no decision"),
        (FIRST, FIRST + timedelta(days=800), "801 days; a page shows 732"),
    ],
)
def test_a_range_that_shows_nothing_is_refused(report, first, last, message):
    code, said, html = report(first, last)
    assert (code, message in said["message"], html) == (2, True, ""), said
