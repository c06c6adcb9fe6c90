"""The kernels that benchmarks time alone: an extension that never ships."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import _probe
from retrain_ops import _core
from tests import tidy

ROOT = Path(__file__).resolve().parents[3]
NAMES = """
import sys, setuptools
sys.argv = ["setup.py", "-q", *sys.argv[1:]]
setuptools.setup = lambda **given: None
from runpy import run_path
from setuptools.dist import Distribution
made = run_path("setup.py")
dist = Distribution({"ext_modules": [made["extension"]("retrain_ops._core", made["CORE"])]})
command = made["BuildCore"](dist)
command.inplace = "--inplace" in sys.argv
command.finalize_options()
print(*(extension.name for extension in dist.ext_modules))
print(*(s for extension in dist.ext_modules for s in extension.sources if "bench" in s))
"""


def _extensions(*arguments: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", NAMES, *arguments],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.split()


def test_the_probe_counts_its_updates() -> None:
    assert _probe.histogram_passes(1000, 5, 2, 3) == 15000


@pytest.mark.parametrize("bad", [(0, 1, 1, 1), (1, 0, 1, 1), (1, 1, -1, 1), (1, 1, 1025, 1)])
def test_what_is_out_of_range_is_refused(bad: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="0 to 1024 threads"):
        _probe.histogram_passes(*bad)


def test_the_core_carries_no_probe() -> None:
    assert not hasattr(_core, "histogram_passes")
    assert tidy.exported_symbols(Path(_probe.__file__)) == ["_probe.abi3.so: exports PyInit__probe"]


def test_only_a_build_in_place_has_the_probe() -> None:
    assert _extensions() == ["retrain_ops._core"]
    in_place = _extensions("--inplace")
    assert in_place[:2] == ["retrain_ops._core", "benchmarks._probe"]
    assert "csrc/bench/probe.c" in in_place
