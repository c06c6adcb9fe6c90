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


def _content(name: str) -> dict[Any, Any]:
    loaded: dict[Any, Any] = yaml.safe_load((ROOT / f".github/workflows/{name}.yml").read_text())
    return loaded


def _shell_steps(name: str) -> dict[str, dict[str, Any]]:
    jobs = _content(name)["jobs"].values()
    return {s["name"]: s for job in jobs for s in job.get("steps", ()) if "run" in s}


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


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_a_shell_step_is_valid_and_takes_no_text_from_outside(file: Path) -> None:
    for name, step in _shell_steps(file.stem).items():
        subprocess.run(["bash", "-n"], input=step["run"], text=True, check=True)
        assert "${{" not in step["run"], f"{name}: pass it through env, where it cannot be code"


def test_every_workflow_meets_the_schema_of_workflows() -> None:
    """The schema comes with check-jsonschema, so nothing is fetched."""
    command = [sys.executable, str(ROOT / "tools" / "environments.py"), "wheel"]
    python = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    check = [str(Path(python).parent / "check-jsonschema")]
    check += ["--builtin-schema", "vendor.github-workflows", *map(str, FILES)]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
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
        '#!/bin/sh\necho "$@" > arguments\n'
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


@pytest.mark.parametrize(
    ("code", "green", "told"),
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
    command: Path, tmp_path: Path, code: int, green: bool, told: str
) -> None:
    (tmp_path / "code").write_text(str(code))
    path = f"{command}{os.pathsep}{os.environ['PATH']}"
    done = _run(_shell_steps("schedule")["Retrain"], tmp_path, PATH=path, SPEC="a.toml", DATE="")
    assert (done.returncode == 0) is green, done.stderr
    assert told in done.stdout
    assert (tmp_path / "arguments").read_text().strip() == "run --spec a.toml"
    assert (tmp_path / "summary.md").read_text() == "[OK] toy\n"
    assert json.loads((tmp_path / "result.json").read_text()) == {"summary": "[OK] toy"}


def test_the_nightly_step_takes_a_date(command: Path, tmp_path: Path) -> None:
    (tmp_path / "code").write_text("0")
    path = f"{command}{os.pathsep}{os.environ['PATH']}"
    hostile = '2013-08-14"; touch owned; "'
    step = _shell_steps("schedule")["Retrain"]
    _run(step, tmp_path, PATH=path, SPEC="a.toml", DATE=hostile)
    assert (tmp_path / "arguments").read_text().strip() == f"run --spec a.toml --date {hostile}"
    assert not (tmp_path / "owned").exists()


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
    steps = _shell_steps("schedule")
    assert "pip wheel --no-deps --wheel-dir build/dist ." in steps["Build"]["run"]
    assert '"$(ls build/dist/retrain_ops-*.whl)[gx,slack]"' in steps["Install"]["run"]
    for name in (path.name for path in (ROOT / ".github" / "workflows").glob("*.yml")):
        text = (ROOT / ".github" / "workflows" / name).read_text()
        assert not re.search(r"pip install[^\n]*['\" ]retrain-ops\b", text)  # no index serves it


def test_the_tests_are_those_of_ci_run() -> None:
    assert _shell_steps("test")["Tests"]["run"].strip() == ".ci/run"
    assert (ROOT / ".ci" / "run").exists()
