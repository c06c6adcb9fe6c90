"""The scripts that prepare a machine: what is missing is installed, or named."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tools import environments, system_packages

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def lacking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without jansson, until the file that is returned exists."""
    marker = tmp_path / "jansson"
    needs = tuple(
        dataclasses.replace(
            need, present=marker.exists if need.what.endswith("jansson") else lambda: True
        )
        for need in system_packages.NEEDS
    )
    monkeypatch.setattr(system_packages, "NEEDS", needs)
    return marker


def test_what_is_missing_is_named_for_every_system(
    lacking: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert system_packages.main(["build"]) == 1
    told = capsys.readouterr().err
    for command in (
        "apt-get install libjansson-dev",
        "dnf install jansson-devel",
        "brew install jansson",
    ):
        assert command in told


def test_root_on_debian_installs_what_is_missing_and_only_that(
    lacking: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apt = tmp_path / "bin" / "apt-get"
    apt.parent.mkdir()
    apt.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\ncase "$*" in *libjansson*) : > {lacking};; esac'
    )
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{apt.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert system_packages.main(["build"]) == 0
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[0].endswith("update")
    assert calls[1].endswith("install -y --no-install-recommends libjansson-dev")


def test_nothing_is_said_or_called_when_nothing_is_missing(
    lacking: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lacking.touch()
    assert system_packages.main(["test"]) == 0
    assert capsys.readouterr() == ("", "")


def test_every_environment_has_its_lock_files() -> None:
    for name in environments.ENVIRONMENTS:
        assert all(file.is_file() for file in environments.lock_files(name))
    variant = environments.lock_files("airflow-3.3")[0].name
    expected = "airflow-3.3-py311.txt" if sys.version_info[:2] == (3, 11) else "airflow-3.3.txt"
    assert variant == expected


def test_without_uv_and_pip_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RETRAIN_OPS_ENVS", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert environments.main(["dev"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "apt-get install python3-pip" in err


def test_a_wrong_name_lists_the_right_ones() -> None:
    command = [sys.executable, "tools/environments.py", "airflow"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "airflow-3.3" in done.stderr


@pytest.fixture
def pretended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Environments that cost nothing to make; the list holds the name of each one made."""
    made: list[str] = []

    def pretend(name: str, folder: Path, python: Path) -> None:
        made.append(name)
        python.parent.mkdir(parents=True, exist_ok=True)
        python.touch()

    monkeypatch.setenv("RETRAIN_OPS_ENVS", str(tmp_path))
    monkeypatch.setattr(environments, "install_packages", pretend)
    return made


def test_an_environment_is_made_once_however_often_and_by_however_many(
    pretended: list[str],
) -> None:
    def ensure() -> None:
        environments.ensure("mlflow-3.17")

    threads = [threading.Thread(target=ensure) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pretended == ["mlflow-3.17"]


def test_another_lock_file_or_an_unfinished_environment_is_made_anew(
    pretended: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = environments.ensure("mlflow-3.17")
    (python.parent.parent / "retrain_ops_stamp.json").write_text("{")
    environments.ensure("mlflow-3.17")
    locks = tmp_path / "locks"
    shutil.copytree(environments.LOCKS, locks)
    monkeypatch.setattr(environments, "LOCKS", locks)
    monkeypatch.setattr(environments, "ROOT", tmp_path)
    (locks / "mlflow-3.17.txt").write_text("mlflow==3.17.3\n")
    environments.ensure("mlflow-3.17")
    assert pretended == ["mlflow-3.17"] * 3
