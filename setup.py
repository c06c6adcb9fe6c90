"""Builds retrain_ops._core from csrc/, and in place also benchmarks._probe.

Metadata lives in pyproject.toml. What this file adds is finding the compiler,
libcurl and jansson, and saying by name what to install when one is missing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
CORE = (
    *("base", "parallel", "gbdt", "gbdt/simd", "linear", "linear/simd"),
    *("evaluation", "evaluation/simd", "model", "serving", "net", "python"),
)
PROBE = ("base", "parallel", "gbdt/simd", "bench")

INSTALL_HINTS = {
    "C compiler with OpenMP": ("gcc", "gcc", "llvm libomp (brew)"),
    "pkg-config": ("pkg-config", "pkgconf-pkg-config", "pkg-config (brew)"),
    "libcurl": ("libcurl4-openssl-dev", "libcurl-devel", "curl (brew)"),
    "jansson": ("libjansson-dev", "jansson-devel", "jansson (brew)"),
    "Python headers": ("python3-dev", "python3-devel", "python (brew)"),
}

WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wvla", "-Wno-unknown-pragmas"]


def missing(what: str) -> SystemExit:
    """An error that names the package to install on each system."""
    debian, fedora, macos = INSTALL_HINTS[what]
    return SystemExit(
        f"retrain_ops cannot be built: {what} was not found.\n"
        f"  Debian/Ubuntu: apt-get install {debian}\n"
        f"  Fedora:        dnf install {fedora}\n"
        f"  macOS:         {macos}"
    )


def pkg_config(library: str, package: str, option: str) -> list[str]:
    tool = shutil.which("pkg-config")
    if tool is None:
        raise missing("pkg-config")
    done = subprocess.run([tool, option, package], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise missing(library)
    return done.stdout.split()


class BuildCore(build_ext):
    """Fills in the flags at build time only, so that metadata needs no compiler."""

    def finalize_options(self) -> None:
        """Who builds in place may benchmark; neither wheel nor sdist carries the probe."""
        extensions = self.distribution.ext_modules
        if self.inplace and all(found.name != "benchmarks._probe" for found in extensions):
            extensions.append(extension("benchmarks._probe", PROBE))
        super().finalize_options()

    def build_extensions(self) -> None:
        import numpy

        compiler = self.compiler.compiler[0]
        if shutil.which(compiler) is None:
            raise missing("C compiler with OpenMP")
        include = Path(self.compiler.include_dirs[0] if self.compiler.include_dirs else "")
        if not any((Path(d) / "Python.h").exists() for d in self.compiler.include_dirs):
            print(f"note: Python.h is not in {include}", file=sys.stderr)
        werror = ["-Werror"] if os.environ.get("RETRAIN_OPS_WERROR") == "1" else []
        for extension in self.extensions:
            extension.include_dirs += [str(ROOT / "csrc"), numpy.get_include()]
            extension.extra_compile_args += [
                "-std=c11",
                "-O3",
                "-fopenmp",
                "-fvisibility=hidden",
                "-ffp-contract=off",
                "-fno-fast-math",
                "-fno-trapping-math",  # nobody reads the exception flags; values stay
                *WARNINGS,
                *werror,
                *pkg_config("libcurl", "libcurl", "--cflags"),
                *pkg_config("jansson", "jansson", "--cflags"),
            ]
            extension.extra_link_args += [
                "-fopenmp",
                *pkg_config("libcurl", "libcurl", "--libs"),
                *pkg_config("jansson", "jansson", "--libs"),
                "-lm",
            ]
        super().build_extensions()


def sources(folders: tuple[str, ...]) -> list[str]:
    """Paths relative to this file: an absolute path would leak into the wheel."""
    found = [p for folder in folders for p in (ROOT / "csrc" / folder).glob("*.c")]
    return sorted(str(p.relative_to(ROOT)) for p in found)


def extension(name: str, folders: tuple[str, ...]) -> Extension:
    return Extension(
        name,
        sources=sources(folders),
        depends=sorted(str(p.relative_to(ROOT)) for p in (ROOT / "csrc").rglob("*.h")),
        define_macros=[("Py_LIMITED_API", "0x030b0000")],
        py_limited_api=True,
    )


setup(
    ext_modules=[extension("retrain_ops._core", CORE)],
    cmdclass={"build_ext": BuildCore},
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
