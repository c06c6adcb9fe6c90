"""Make sure a named environment exists and print the path of its Python.

    python tools/environments.py dev            build and test tools; this source tree
    python tools/environments.py airflow-3.3    Airflow, this project as a wheel
    python tools/environments.py mlflow-3.17    the MLflow server, nothing of ours
    python tools/environments.py docs           what builds the site; it reads the sources only

An environment is what a lock file in requirements/ says, made by uv with the Python that runs
this script. It lies below build/envs, or $RETRAIN_OPS_ENVS. A stamp holds the hash of what it
was made from, so a second call costs milliseconds; a file lock makes two calls at once safe.
Only the path goes to stdout. Needs nothing but Python 3.11.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "requirements"


class Failure(Exception):
    """A message for the user."""


@dataclass(frozen=True)
class Environment:
    """What an environment holds.

    `project`: "" = nothing of ours, "source" = this tree itself, "wheel" = built and installed.
    `extra`: further lock files, for what our own code needs beside the packages of the name.
    """

    project: str = ""
    extra: tuple[str, ...] = ()


ENVIRONMENTS = {
    "dev": Environment(project="source"),
    "serve": Environment(project="wheel"),
    "mlflow-3.17": Environment(),
    "mlflow-2.22": Environment(),
    "airflow-3.3": Environment(project="wheel", extra=("airflow-extra", "airflow-test")),
    "airflow-2.11": Environment(project="wheel", extra=("airflow-extra", "airflow-test")),
    "airflow-2.9": Environment(project="wheel", extra=("airflow-extra", "airflow-test")),
    "bench": Environment(project="source"),
    "prefect-3.8": Environment(project="wheel", extra=("prefect-extra", "prefect-test")),
    "dagster-1.13": Environment(project="wheel"),
    "kfp-2.17": Environment(project="wheel"),
    "evidently-0.7": Environment(project="wheel"),
    "wheel": Environment(),
    "bench-training": Environment(project="source"),
    "bench-day": Environment(project="source"),
    "bench-serving": Environment(),
    "docs": Environment(),
    "kserve": Environment(),
}


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def run(command: list[str], *, why: str, cwd: str | Path = ROOT) -> str:
    """Run to the end; on failure show what it printed and say what was being done."""
    # Trust the certificates of the system, as pip does: a company's proxy has its own.
    trusting = {"UV_SYSTEM_CERTS": "1", **os.environ}
    done = subprocess.run(
        command, cwd=cwd, env=trusting, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise Failure(f"{why} failed ({' '.join(command[:4])} ...):\n{done.stdout}{done.stderr}")
    return done.stdout


def home() -> Path:
    """Absolute, but with links kept: a virtual environment remembers its path."""
    chosen = os.environ.get("RETRAIN_OPS_ENVS")
    return Path(chosen).expanduser().absolute() if chosen else ROOT / "build" / "envs"


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """One process at a time; the kernel drops the lock of a process that dies."""
    home().mkdir(parents=True, exist_ok=True)
    with open(home() / f".{name}.lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another process that makes {name}")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def find_uv() -> str:
    """The uv on PATH when it works, else one installed beside the environments."""
    found = shutil.which("uv")
    if found and subprocess.run([found, "--version"], capture_output=True).returncode == 0:
        return found
    folder = home() / ".uv"
    private = folder / "bin" / "uv"
    with locked("uv"):
        if not private.exists():
            if importlib.util.find_spec("pip") is None:
                raise Failure(
                    f"neither uv nor pip is there for {sys.executable}. Install one of them:\n"
                    "  Debian/Ubuntu: apt-get install python3-pip\n"
                    "  Fedora:        dnf install python3-pip\n"
                    "  macOS:         brew install uv"
                )
            say("installing uv")
            # --target leaves a Python that its distribution manages untouched.
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--upgrade"]
            command += ["--target", str(folder), "-r", str(LOCKS / "uv.txt")]
            run(command, why="installing uv with pip")
    return str(private)


def lock_files(name: str) -> list[Path]:
    """The lock of that name, in the variant for Python 3.11 where there is one."""
    variant = LOCKS / f"{name}-py311.txt"
    main = variant if sys.version_info[:2] == (3, 11) and variant.exists() else None
    files = [main or LOCKS / f"{name}.txt"]
    files += [LOCKS / f"{extra}.txt" for extra in ENVIRONMENTS[name].extra]
    for file in files:
        if not file.is_file():
            raise Failure(f"the lock file {file.relative_to(ROOT)} is missing")
    return files


def digest(files: list[Path]) -> str:
    total = hashlib.sha256()
    for file in files:
        total.update(f"{file.relative_to(ROOT)}\0{file.stat().st_size}\0".encode())
        total.update(file.read_bytes())
    return total.hexdigest()


def project_files() -> list[Path]:
    """Everything that ends up in a wheel."""
    files = [ROOT / name for name in ("setup.py", "pyproject.toml", "README.md")]
    for folder in ("csrc", "retrain_ops"):
        files += [p for p in (ROOT / folder).rglob("*") if p.suffix in (".c", ".h", ".py", ".pyi")]
    return sorted(files)


def read_stamp(file: Path) -> dict[str, str]:
    try:
        stamp = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def write_stamp(file: Path, stamp: dict[str, str]) -> None:
    file.with_suffix(".tmp").write_text(json.dumps(stamp, indent=1))
    file.with_suffix(".tmp").replace(file)


def ensure(name: str) -> Path:
    """The Python of the environment, made or brought up to date where needed."""
    environment = ENVIRONMENTS[name]
    folder = home() / name
    python = folder / "bin" / "python"
    stamp_file = folder / "retrain_ops_stamp.json"
    wanted = {
        "packages": digest(lock_files(name)),
        "python": sys.version,
        "project": digest(project_files()) if environment.project == "wheel" else "",
        "tree": str(ROOT),
    }
    if read_stamp(stamp_file) == wanted and python.exists():
        return python
    wheel = build_wheel() if environment.project == "wheel" else None
    with locked(name):
        held = read_stamp(stamp_file)
        if held == wanted and python.exists():
            return python
        same = all(held.get(key) == wanted[key] for key in ("packages", "python"))
        stamp_file.unlink(missing_ok=True)
        if not (same and python.exists()):
            install_packages(name, folder, python)
        if environment.project == "source":
            link_source(folder, python)
        if wheel is not None:
            command = [find_uv(), "pip", "install", "--quiet", "--python", str(python)]
            run([*command, "--no-deps", "--reinstall", str(wheel)], why="installing the wheel")
            compile_bytecode(python, folder)
        write_stamp(stamp_file, wanted)
    return python


def install_packages(name: str, folder: Path, python: Path) -> None:
    say(f"making the environment {name} (once; a minute or two)")
    uv = find_uv()
    shutil.rmtree(folder, ignore_errors=True)
    command = [uv, "venv", "--quiet", "--no-python-downloads", "--python", sys.executable]
    run([*command, str(folder)], why=f"creating {folder}")
    command = [uv, "pip", "install", "--quiet", "--python", str(python)]
    for file in lock_files(name):
        command += ["-r", str(file)]
    run(command, why=f"installing {', '.join(f.name for f in lock_files(name))}")
    compile_bytecode(python, folder)


def compile_bytecode(python: Path, folder: Path) -> None:
    """Otherwise the first start of a server compiles thousands of files, and times out.

    Templates for other Python versions lie about in some packages and do not compile: no error.
    """
    command = [str(python), "-m", "compileall", "-q", "-j", "0", str(folder / "lib")]
    subprocess.run(command, capture_output=True, check=False)


def link_source(folder: Path, python: Path) -> None:
    """Put this tree on the path, with its metadata and its command."""
    run([str(python), "setup.py", "-q", "egg_info"], why="writing the project's metadata")
    site = next((folder / "lib").glob("python3*")) / "site-packages"
    (site / "retrain_ops_source.pth").write_text(f"{ROOT}\n")
    command = folder / "bin" / "retrain-ops"
    command.write_text(f'#!/bin/sh\nexec "{python}" -m retrain_ops.cli "$@"\n')
    command.chmod(0o755)


def build_wheel() -> Path:
    """Build with the tools of `dev`; one wheel serves every Python from 3.11 on."""
    key = digest(project_files())
    folder = ROOT / "build" / "wheel"
    python = ensure("dev")
    with locked("wheel"):
        ready = list((folder / key).glob("*.whl"))
        if ready:
            return ready[0]
        say("building the wheel")
        # setuptools never removes what has left the tree from build/lib.
        for stale in ROOT.glob("build/lib*/retrain_ops/**/*.py"):
            stale.unlink()
        shutil.rmtree(folder, ignore_errors=True)
        unfinished = folder / "unfinished"
        command = [str(python), "setup.py", "-q", "bdist_wheel", "--dist-dir", str(unfinished)]
        run(command, why="building the wheel")
        unfinished.rename(folder / key)
        return next((folder / key).glob("*.whl"))


def main(arguments: list[str]) -> int:
    if sys.version_info < (3, 11):
        say(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]} ({sys.executable})")
        return 1
    if len(arguments) != 1 or arguments[0] not in ENVIRONMENTS:
        say(f"usage: environments.py NAME, NAME one of {', '.join(ENVIRONMENTS)}")
        return 2
    try:
        print(ensure(arguments[0]))
    except Failure as failure:
        say(f"error: {failure}")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
