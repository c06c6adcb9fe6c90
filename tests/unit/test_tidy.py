"""Every rule of tests/tidy.py finds the violation it is there for, and only that."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import tidy, tidy_graphs

GOOD_C = """/* malloc( and Python.h in a comment, "curl/curl.h" too */
#include "base/alloc.h"

static int add(int a, int b)
{
    const char *word = "strcpy(free(x))";
#pragma omp parallel num_threads(2)
    {
#pragma omp for schedule(static)
        for (int i = 0; i < b; i++)
            rt_free(word);
    }
    return a + b;
}
"""
GOOD_PY = "import os\n\nfrom retrain_ops.errors import DataError\n\nHOME = os.environ['HOME']\n"


def plant(root: Path, name: str, text: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small tree without a fault."""
    plant(tmp_path, "csrc/gbdt/sum.c", GOOD_C)
    plant(tmp_path, "csrc/base/alloc.c", "void *rt_alloc(void)\n{\n    return malloc(1);\n}\n")
    plant(tmp_path, "csrc/base/alloc.h", "void *rt_alloc(void);\n")
    plant(tmp_path, "csrc/python/module.h", "int rt_bind_x(void);\n")
    plant(tmp_path, "csrc/python/x.c", "int rt_bind_x(void)\n{\n    return 0;\n}\n")
    plant(tmp_path, "csrc/net/http.c", "#include <curl/curl.h>\n")
    plant(tmp_path, "csrc/python/module.c", '#include <Python.h>\n#include "net/http.h"\n')
    plant(tmp_path, "csrc/bench/module.c", '#include <Python.h>\n#include "bench/probe.h"\n')
    plant(tmp_path, "retrain_ops/steps/train.py", GOOD_PY)
    plant(tmp_path, "retrain_ops/airflow/dags.py", "import airflow\nimport retrain_ops.steps\n")
    plant(tmp_path, "README.md", "Files lie in `/opt/data/`, `and/or/work/`.\n")
    return tmp_path


def test_no_rule_finds_fault_with_a_good_tree(tree: Path) -> None:
    assert [problem for rule in tidy.RULES for problem in rule(tree)] == []


BODY = "    a += b;\n"
LONG_C = f"static int f(int a,\n             int b)\n{{\n{BODY * 67}}}\n"
LONG_PY = "def f() -> None:\n" + "    x = 1\n" * 70

PLANTED: list[tuple[Callable[[Path], list[str]], str, str, int]] = [
    (tidy.include_graph, "csrc/base/x.c", '#include "gbdt/bins.h"\n', 1),
    (tidy.include_graph, "csrc/gbdt/x.h", '#include "net/http.h"\n', 1),
    (tidy.include_graph, "csrc/net/x.c", '\n# include "gbdt/bins.h"\n', 2),
    (tidy.include_graph, "csrc/gbdt/x.c", '#include "evaluation/drift.h"\n', 1),
    (tidy.include_graph, "csrc/evaluation/x.c", '#include "gbdt/simd/dispatch.h"\n', 1),
    (tidy.include_graph, "csrc/model/x.c", '#include "net/http.h"\n', 1),
    (tidy.include_graph, "csrc/model/x.c", '#include "python/module.h"\n', 1),
    (tidy.include_graph, "csrc/python/x.c", '#include "bench/probe.h"\n', 1),
    (tidy.include_graph, "csrc/base/x.c", '#include "../gbdt/bins.h"\n', 1),
    (tidy.include_graph, "csrc/new/x.c", '#include "base/alloc.h"\n', 1),
    (tidy.foreign_headers, "csrc/model/x.c", "#include <Python.h>\n", 1),
    (tidy.foreign_headers, "csrc/bench/probe.c", "#include <Python.h>\n", 1),
    (tidy.foreign_headers, "csrc/gbdt/x.c", "#include <numpy/arrayobject.h>\n", 1),
    (tidy.foreign_headers, "csrc/net/mlflow.c", "#include <curl/curl.h>\n", 1),
    (tidy.raw_allocation, "csrc/net/x.c", "int *p = malloc(4);\n", 1),
    (tidy.raw_allocation, "csrc/net/x.c", "\nfree (p);\n", 2),
    (tidy.raw_allocation, "csrc/tests/t_x.c", "char *s = strdup(t);\n", 1),
    (tidy.banned_calls, "csrc/net/x.c", "sprintf(a, b);\n", 1),
    (tidy.banned_calls, "csrc/base/x.c", "/* a\n b */ exit(1);\n", 2),
    (tidy.banned_calls, "csrc/base/x.c", "char *s = strerror(errno);\n", 1),
    (tidy.pragmas, "csrc/gbdt/x.c", "#pragma omp parallel for\n", 1),
    (tidy.pragmas, "csrc/gbdt/x.c", "\n#pragma omp parallel \\\n    for\n", 2),
    (tidy.pragmas, "csrc/gbdt/x.c", "#pragma omp for reduction(+ : s)\n", 1),
    (tidy.pragmas, "csrc/gbdt/x.c", "#pragma omp for schedule( dynamic )\n", 1),
    (tidy.pragmas, "csrc/gbdt/x.c", "_Pragma(omp)\n", 1),
    (tidy.lengths, "csrc/gbdt/x.c", "int x;\n\n" + LONG_C, 3),
    (tidy.lengths, "csrc/gbdt/x.c", "int x;\n" * 501, 1),
    (tidy.own_headers, "csrc/gbdt/x.c", "\nint rt_x(int a,\n         int b)\n{\n}\n", 2),
    (tidy.own_headers, "csrc/gbdt/x.c", "rt_row *rt_alloc(void)\n{\n}\n", 1),
    (tidy.lengths, "retrain_ops/x.py", "x = 1\n" + LONG_PY, 2),
    (tidy.lengths, "tools/x.py", "x = 1\n" * 501, 1),
    (tidy.import_graph, "retrain_ops/steps/x.py", "import airflow.sdk\n", 1),
    (tidy.import_graph, "retrain_ops/cli/main.py", "def f():\n    from prefect import flow\n", 2),
    (tidy.import_graph, "retrain_ops/airflow/x.py", "import prefect\n", 1),
    (tidy.import_graph, "retrain_ops/run.py", "from retrain_ops import cli\n", 1),
    (tidy.import_graph, "retrain_ops/stats/x.py", "from retrain_ops.run import Run\n", 1),
    (tidy.import_graph, "retrain_ops/stats/x.py", "from ..steps import train\n", 1),
    (tidy.import_graph, "retrain_ops/stats/x.py", "from retrain_ops.data import source\n", 1),
    (tidy.import_graph, "retrain_ops/data/categories.py", "import retrain_ops.spec.spec\n", 1),
    (tidy.import_graph, "retrain_ops/registry/registry.py", "import retrain_ops.steps.train\n", 1),
    (tidy.import_graph, "retrain_ops/steps/x.py", "import retrain_ops.airflow.dag\n", 1),
    (tidy.import_graph, "retrain_ops/cli/main.py", "from retrain_ops import _core\n", 1),
    (tidy.meeting_places, "tests/x.py", "from proofs import fuzz\n", 1),
    (tidy.meeting_places, "proofs/x.py", "import os\nimport tests.tidy\n", 2),
    (tidy.meeting_places, "retrain_ops/x.py", "from devtools import weeks\n", 1),
    (tidy.quiet_imports, "retrain_ops/x.py", "import os\nimport pandas as pd\n", 2),
    (tidy.quiet_imports, "retrain_ops/x.py", "def f():\n    import pickle\n", 2),
    (tidy.quiet_imports, "retrain_ops/x.py", "import retrain_ops.data.sources.delta\n", 1),
    (tidy.environment_writes, "retrain_ops/x.py", "os.environ['A'] = 'b'\n", 1),
    (tidy.environment_writes, "retrain_ops/x.py", "del os.environ['A']\n", 1),
    (tidy.environment_writes, "retrain_ops/x.py", "os.environ.setdefault('A', 'b')\n", 1),
    (tidy.places, "docs/x.md", f"from {tidy.HOSTS[0]}\n", 1),
    (tidy.places, "docs/x.md", "\nsee /" + "home/me/notes\n", 2),
    (tidy.places, "x.toml", "cache = '/" + "root/.cache'\n", 1),
]


@pytest.mark.parametrize(
    ("rule", "name", "text", "line"), PLANTED, ids=[f"{r.__name__}-{n}" for r, n, _, _ in PLANTED]
)
def test_a_planted_violation_is_found_at_its_line(
    tree: Path, rule: Callable[[Path], list[str]], name: str, text: str, line: int
) -> None:
    plant(tree, name, text)
    problems = rule(tree)
    assert {problem.rsplit(": ", 1)[0] for problem in problems} == {f"{name}:{line}"}


def test_seventy_lines_are_not_too_long(tree: Path) -> None:
    plant(tree, "csrc/gbdt/x.c", LONG_C.replace(BODY, "", 1))
    plant(tree, "retrain_ops/x.py", LONG_PY.replace("    x = 1\n", "", 1))
    assert tidy.lengths(tree) == []


def test_a_second_exported_symbol_is_found(tmp_path: Path) -> None:
    source = plant(tmp_path, "x.c", "int PyInit__core(void) { return 1; }\nint leak;\n")
    library = tmp_path / "x.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True)
    assert tidy.exported_symbols(library) == ["x.so: exports leak"]
    source.write_text("int PyInit__core(void) { return 1; }\n")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True)
    assert tidy.exported_symbols(library) == []


def test_only_what_git_would_track_is_searched_for_places(tree: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tree, check=True)
    plant(tree, ".gitignore", "/secret/\n")
    plant(tree, "secret/x.md", "/" + "home/me/x\n")
    assert tidy.places(tree) == []
    plant(tree, "new.md", "/" + "home/me/x\n")
    assert tidy.places(tree) == ["new.md:1: names a path of one machine"]


def test_modules_that_import_each_other_while_they_load_are_found(tree: Path) -> None:
    plant(tree, "retrain_ops/a.py", "from retrain_ops.b import x\n")
    plant(tree, "retrain_ops/b.py", "import retrain_ops.c\n")
    plant(tree, "retrain_ops/c.py", "def later():\n    from retrain_ops import a\n")
    assert tidy_graphs.import_circles(tree) == []
    plant(tree, "retrain_ops/c.py", "from retrain_ops.a import y\n")
    assert tidy_graphs.import_circles(tree) == [
        "a circle: retrain_ops.a -> retrain_ops.b -> retrain_ops.c -> retrain_ops.a"
    ]


def test_headers_that_include_each_other_are_found(tree: Path) -> None:
    plant(tree, "csrc/gbdt/a.h", '#include "gbdt/b.h"\n')
    plant(tree, "csrc/gbdt/b.h", '#include "base/alloc.h"\n')
    assert tidy_graphs.include_circles(tree) == []
    plant(tree, "csrc/gbdt/b.h", '  # include "gbdt/a.h"\n')
    assert tidy_graphs.include_circles(tree) == ["a circle: gbdt/a.h -> gbdt/b.h -> gbdt/a.h"]
