"""The workflows are valid, and their shell steps do what they say."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ACTION = ROOT / ".github" / "actions" / "retrain" / "action.yml"


def _content(name: str) -> dict[Any, Any]:
    loaded: dict[Any, Any] = yaml.safe_load((ROOT / f".github/workflows/{name}.yml").read_text())
    return loaded


def _shell_steps(name: str) -> dict[str, dict[str, Any]]:
    jobs = _content(name)["jobs"].values()
    return {s["name"]: s for job in jobs for s in job.get("steps", ()) if "run" in s}


def _action_steps() -> dict[str, dict[str, Any]]:
    return {s["name"]: s for s in yaml.safe_load(ACTION.read_text())["runs"]["steps"] if "run" in s}


def _run(step: dict[str, Any], folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """As a runner does it: bash, ended by the first failure."""
    script = folder / "step.sh"
    script.write_text(step["run"])
    summary = {"GITHUB_STEP_SUMMARY": str(folder / "summary.md")}
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
        cwd=folder,
        env={**os.environ, **summary, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", [*(file.stem for file in FILES), "action"])
def test_a_shell_step_is_valid_and_takes_no_text_from_outside(name: str) -> None:
    for title, step in (_action_steps() if name == "action" else _shell_steps(name)).items():
        subprocess.run(["bash", "-n"], input=step["run"], text=True, check=True)
        assert "${{" not in step["run"], f"{title}: pass it through env, where it cannot be code"


@pytest.fixture(scope="module")
def tools() -> Path:
    """The folder of the linters. They bring their schemas along: nothing is fetched."""
    command = [sys.executable, str(ROOT / "tools" / "environments.py"), "wheel"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Path(done.stdout.strip()).parent


@pytest.mark.parametrize(
    ("linter", "files"),
    [
        (("check-jsonschema", "--builtin-schema", "vendor.github-workflows"), FILES),
        (("check-jsonschema", "--builtin-schema", "vendor.github-actions"), [ACTION]),
        (("actionlint",), FILES),
        (("zizmor", "--offline", "--quiet"), [*FILES, ACTION]),
    ],
    ids=["workflows", "action", "actionlint", "zizmor"],
)
def test_the_linters_find_nothing(tools: Path, linter: tuple[str, ...], files: list[Path]) -> None:
    command = [str(tools / linter[0]), *linter[1:], *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_a_workflow_may_read_and_every_job_ends(file: Path) -> None:
    content = _content(file.stem)
    assert content["permissions"] == {"contents": "read"}
    assert all("timeout-minutes" in job or "uses" in job for job in content["jobs"].values())


@pytest.fixture
def command(tmp_path: Path) -> Path:
    """A `retrain-ops` that ends as the file `code` says, and a `jq` where there is none."""
    place = tmp_path / "bin"
    place.mkdir()
    tool = place / "retrain-ops"
    tool.write_text(
        '#!/bin/sh\necho "$@" >> arguments\n'
        'echo "{\\"summary\\": \\"[OK] toy\\"}"\nexit $(cat code)\n'
    )
    tool.chmod(0o755)
    if shutil.which("jq") is None:
        jq = place / "jq"
        jq.write_text(
            "#!/usr/bin/env python3\nimport json, sys\n"
            "print(json.load(open(sys.argv[-1])).get('summary', 'no result'))\n"
        )
        jq.chmod(0o755)
    return place


def _path(command: Path) -> str:
    return f"{command}{os.pathsep}{os.environ['PATH']}"


@pytest.mark.parametrize(
    ("code", "green", "reported"),
    [
        (0, True, "::notice::[OK] toy"),
        (75, True, "::notice::not yet"),
        (20, False, "::error::the data failed validation"),
        (2, False, "::error::the spec or the command line is wrong"),
        (1, False, "::error::failed"),
        (137, False, "::error::failed"),
    ],
)
def test_the_nightly_step_goes_by_the_exit_code(
    command: Path, tmp_path: Path, code: int, green: bool, reported: str
) -> None:
    (tmp_path / "code").write_text(str(code))
    variables = {"PATH": _path(command), "SPEC": "a.toml", "DAY": "2013-08-14"}
    done = _run(_action_steps()["Retrain"], tmp_path, **variables)
    assert (done.returncode == 0) is green, done.stderr
    assert reported in done.stdout
    assert (tmp_path / "arguments").read_text() == "run --spec a.toml --date 2013-08-14\n"
    assert (tmp_path / "summary.md").read_text() == "[OK] toy\n"
    assert json.loads((tmp_path / "result.json").read_text()) == {"summary": "[OK] toy"}


@pytest.mark.parametrize(
    ("now", "date", "schedule", "day"),
    [
        ("2013-08-14 02:05", "", "5 2 * * *", "2013-08-14"),
        ("2013-08-14 23:59", "", "5 2 * * *", "2013-08-14"),
        ("2013-08-15 00:40", "", "5 2 * * *", "2013-08-14"),  # nearly a day late
        ("2013-09-01 00:10", "", "5 8,14,20 * * *", "2013-08-31"),  # the look of 20:05
        ("2013-09-01 08:09", "", "5 8,14,20 * * *", "2013-09-01"),
        ("2013-08-15 00:40", "", "", "2013-08-15"),  # asked for by hand
        ("2013-08-15 00:40", "", "*/10 * * * *", "2013-08-15"),
        ("2013-08-15 00:40", "2013-01-02", "5 2 * * *", "2013-01-02"),
    ],
)
def test_the_day_is_that_of_the_tick(
    tmp_path: Path, now: str, date: str, schedule: str, day: str
) -> None:
    clock = tmp_path / "bin" / "date"
    clock.parent.mkdir()
    clock.write_text(
        f"#!/bin/sh\n[ $# = 4 ] && exec {shutil.which('date')} -u -d '{now} UTC yesterday' $4\n"
        f"exec {shutil.which('date')} -u -d '{now} UTC' $2\n"
    )
    clock.chmod(0o755)
    output = tmp_path / "output"
    variables = {"PATH": _path(clock.parent), "GITHUB_OUTPUT": str(output)}
    done = _run(_action_steps()["Day"], tmp_path, DATE=date, SCHEDULE=schedule, **variables)
    assert done.returncode == 0, done.stderr
    assert output.read_text() == f"day={day}\n"


def test_a_hostile_date_is_an_argument_and_no_code(command: Path, tmp_path: Path) -> None:
    (tmp_path / "code").write_text("0")
    hostile = '2013-08-14"; touch owned; "'
    variables = {"PATH": _path(command), "SPEC": "a.toml", "DAY": hostile}
    _run(_action_steps()["Retrain"], tmp_path, **variables)
    assert (tmp_path / "arguments").read_text() == f"run --spec a.toml --date {hostile}\n"
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("code", [0, 1])
def test_a_day_without_a_report_is_no_second_error(
    command: Path, tmp_path: Path, code: int
) -> None:
    (tmp_path / "code").write_text(str(code))
    variables = {"PATH": _path(command), "SPEC": "a.toml", "DAY": "2013-08-14"}
    done = _run(_action_steps()["Report"], tmp_path, **variables)
    assert done.returncode == 0
    assert ("no report" in done.stdout) is (code == 1)


def test_no_waiting_run_is_dropped() -> None:
    """By default GitHub keeps one waiting run of a group and cancels the one before it."""
    group = _content("retrain")["concurrency"]
    assert group == {
        "group": "retrain-${{ inputs.spec }}",
        "cancel-in-progress": False,
        "queue": "max",
    }


@pytest.mark.parametrize(("tag", "green"), [("v1.2.3", True), ("v1.2.4", False), ("1.2.3", False)])
def test_a_release_is_named_by_its_tag(tmp_path: Path, tag: str, green: bool) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
    (tmp_path / "dist").mkdir()
    for name in ("retrain_ops-1.2.3-cp311-abi3-any.whl", "retrain_ops-1.2.3.tar.gz"):
        (tmp_path / "dist" / name).touch()
    done = _run(_shell_steps("release")["The tag names the version"], tmp_path, TAG=tag)
    assert (done.returncode == 0) is green


def test_the_build_publishes_what_make_wheel_leaves() -> None:
    steps = _shell_steps("build")
    assert steps["Build and try"]["run"].strip() == "make wheel"
    makefile = (ROOT / "Makefile").read_text()
    assert "tools/release/wheel.py" in makefile.partition("\nwheel:")[2]


def test_the_nightly_run_installs_the_wheel_it_has_built() -> None:
    steps = _shell_steps("retrain")
    assert "pip wheel --no-deps --wheel-dir build/dist ." in steps["Build"]["run"]
    assert '"$(ls build/dist/retrain_ops-*.whl)[gx,slack]"' in steps["Install"]["run"]
    for name in (path.name for path in (ROOT / ".github" / "workflows").glob("*.yml")):
        text = (ROOT / ".github" / "workflows" / name).read_text()
        assert not re.search(r"pip install[^\n]*['\" ]retrain-ops\b", text)  # no index serves it


def test_the_tests_are_those_of_ci_run() -> None:
    assert _shell_steps("test")["Tests"]["run"].strip() == ".ci/run"
    assert (ROOT / ".ci" / "run").exists()
