"""Make sure the system packages are there that a build, or the tests, need.

    python3 tools/system_packages.py build
    python3 tools/system_packages.py test

As root on Debian or Ubuntu, what is missing is installed with apt-get. Everywhere else the
script says exactly what to install, and ends 1. When nothing is missing it says nothing.
"""

from __future__ import annotations

import glob
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"


@dataclass(frozen=True)
class Need:
    """One thing, how to see that it is there, and the package that brings it."""

    what: str
    present: Callable[[], bool]
    debian: str
    fedora: str
    macos: str
    tests_only: bool = False


def has_library(name: str) -> bool:
    tool = shutil.which("pkg-config")
    return tool is not None and subprocess.run([tool, "--exists", name]).returncode == 0


def has_python_headers() -> bool:
    return (Path(sysconfig.get_path("include")) / "Python.h").is_file()


def has_installer() -> bool:
    return importlib.util.find_spec("pip") is not None or shutil.which("uv") is not None


def has_sanitizers() -> bool:
    """Whether the compiler finds its own libasan; gcc echoes the bare name when it does not."""
    compiler = shutil.which("gcc")
    if compiler is None:
        return shutil.which("clang") is not None
    done = subprocess.run(
        [compiler, "-print-file-name=libasan.so"], capture_output=True, text=True, check=False
    )
    return os.path.isabs(done.stdout.strip())


def has_postgres() -> bool:
    """Debian keeps initdb off PATH."""
    return shutil.which("initdb") is not None or bool(glob.glob("/usr/lib/postgresql/*/bin/initdb"))


NEEDS = (
    Need("a C compiler", lambda: shutil.which("gcc") is not None, "gcc libc6-dev", "gcc", "llvm"),
    Need(
        "pkg-config",
        lambda: shutil.which("pkg-config") is not None,
        "pkg-config",
        "pkgconf-pkg-config",
        "pkgconf",
    ),
    Need(
        "the headers of libcurl",
        lambda: has_library("libcurl"),
        "libcurl4-openssl-dev",
        "libcurl-devel",
        "curl",
    ),
    Need(
        "the headers of jansson",
        lambda: has_library("jansson"),
        "libjansson-dev",
        "jansson-devel",
        "jansson",
    ),
    Need(
        f"the headers of Python {VERSION}",
        has_python_headers,
        f"python{VERSION}-dev",
        f"python{VERSION}-devel",
        f"python@{VERSION}",
    ),
    Need("pip or uv", has_installer, "python3-pip", "python3-pip", "uv"),
    Need("the sanitizers", has_sanitizers, "gcc", "libasan libubsan", "llvm", tests_only=True),
    Need(
        "a PostgreSQL server (the tests start a private one)",
        has_postgres,
        "postgresql",
        "postgresql-server",
        "postgresql",
        tests_only=True,
    ),
)


def missing(group: str) -> list[Need]:
    return [
        need for need in NEEDS if (group == "test" or not need.tests_only) and not need.present()
    ]


def packages(needs: list[Need], system: str) -> str:
    return " ".join(dict.fromkeys(" ".join(getattr(need, system) for need in needs).split()))


def install(needs: list[Need]) -> None:
    """apt-get, waiting for another apt-get rather than failing beside it."""
    names = packages(needs, "debian").split()
    print(f"installing {' '.join(names)}", file=sys.stderr, flush=True)
    apt = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=300"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in ([*apt, "update"], [*apt, "install", "-y", "--no-install-recommends", *names]):
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            print(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}", file=sys.stderr)
            return


def explain(needs: list[Need]) -> str:
    listed = "\n".join(f"  - {need.what}" for need in needs)
    return (
        f"missing on this machine:\n{listed}\ninstall with\n"
        f"  Debian/Ubuntu: apt-get install {packages(needs, 'debian')}\n"
        f"  Fedora:        dnf install {packages(needs, 'fedora')}\n"
        f"  macOS:         brew install {packages(needs, 'macos')}"
    )


def main(arguments: list[str]) -> int:
    if sys.version_info < (3, 11):
        print(f"Python 3.11 or newer is needed, this is {VERSION}", file=sys.stderr)
        return 1
    if arguments not in (["build"], ["test"]):
        print("usage: system_packages.py build|test", file=sys.stderr)
        return 2
    needs = missing(arguments[0])
    if needs and os.geteuid() == 0 and shutil.which("apt-get"):
        install(needs)
        needs = missing(arguments[0])
    if needs:
        print(explain(needs), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
