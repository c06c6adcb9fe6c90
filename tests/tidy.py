"""The rules of the house that no linter knows. A rule takes a source tree and lists what
breaks it, as `path:line: what`. `test_tidy.py` holds this tree against them."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tests import tidy_graphs

FUNCTION_LINES = 70
FILE_LINES = 500

EVERY_C_ROOM = ["serving", "model", "net", "gbdt", "linear", "evaluation", "parallel", "base"]
C_BELOW = {
    "base": {"base"},
    "parallel": {"parallel", "base"},
    "gbdt": {"gbdt", "parallel", "base"},
    "linear": {"linear", "parallel", "base"},
    "evaluation": {"evaluation", "parallel", "base"},
    "model": {"model", "gbdt", "linear", "parallel", "base"},
    "serving": {"serving", "model", "gbdt", "linear", "parallel", "base"},
    "net": {"net", "base"},
    "bench": {"bench", "gbdt", "parallel", "base"},
    "python": {"python", *EVERY_C_ROOM},
    "tests": {"tests", *EVERY_C_ROOM},
    "fuzz": {"fuzz", "tests", *EVERY_C_ROOM},
}
"""Which folders of csrc a folder may include."""

ALLOCATORS = (
    "malloc calloc realloc free aligned_alloc posix_memalign strdup strndup asprintf getline"
)
BANNED = (
    "sprintf vsprintf strcpy stpcpy strcat strncat strtok atoi atol atof gets alloca rand srand "
    "setenv putenv unsetenv signal exit _exit abort system popen strerror setlocale longjmp"
)

TOPS = ("airflow", "prefect", "dagster", "kubeflow", "cli", "serving")
"""Parts of retrain_ops that nothing below may import."""
ORCHESTRATORS = {name: name for name in ("airflow", "prefect", "dagster")} | {"kfp": "kubeflow"}
"""What is imported in its own part alone -> that part."""
COLUMNS = "retrain_ops.data.categories"
"""What is a number or a category is decided there for all parts, stats among them; it imports
errors alone, so that stats stay free of everything else."""
OPENED = {f"retrain_ops.data.sources.{n}" for n in ("delta", "iceberg", "sql_adbc", "sql_alchemy")}
"""Kinds of sources: who opens one imports its module by name, so that these may import at once."""
COMMAND_OF = {"serving": "cli", "kubeflow": "cli"}
"""Tops that another one starts."""
NAMED_BY_SERVER = "retrain_ops/serving/protocol.py"
"""Loaded by uvicorn, in its workers, so it may import it at once."""
CORE_PACKAGES = {"numpy", "scipy", "pyarrow", "retrain_ops", *sys.stdlib_module_names}
UNSAFE_LOADERS = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}

HOSTS = ("pypi" + ".org", "python" + "hosted.org", "npm" + "js.org", "ana" + "conda.org")
MACHINE_PATH = re.compile(r"(?:^|[^\w.])/(?:work|farm|root|home/\w+|Users/\w+)/")

SKIPPED_FOLDERS = {"build", "dist", ".git", "__pycache__", ".hypothesis"}


def _files(root: Path, folder: str, *endings: str) -> list[Path]:
    return sorted(
        path
        for path in (root / folder).rglob("*")
        if path.suffix in endings
        and path.is_file()
        and not SKIPPED_FOLDERS & set(path.relative_to(root).parts)
    )


def _c_files(root: Path) -> list[Path]:
    return _files(root, "csrc", ".c", ".h")


def _folder(root: Path, path: Path) -> str:
    return path.relative_to(root / "csrc").parts[0]


_NOT_CODE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def _code(path: Path, *, keep_strings: bool = False) -> list[str]:
    """Lines of C with comments (and strings) blanked, so that words in them do not count."""

    def blank(match: re.Match[str]) -> str:
        if keep_strings and match[0][0] in "\"'":
            return match[0]
        return "\n" * match[0].count("\n")

    return _NOT_CODE.sub(blank, path.read_text()).split("\n")


def _at(root: Path, path: Path, line: int, what: str) -> str:
    return f"{path.relative_to(root)}:{line}: {what}"


def _includes(path: Path) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(_code(path, keep_strings=True), 1):
        if found := re.match(r'\s*#\s*include\s*([<"][^>"]+[>"])', line):
            yield number, found[1]


def include_graph(root: Path) -> list[str]:
    """python -> {serving, net} -> model -> {gbdt, linear, evaluation} -> parallel -> base; net sees
    base only."""
    problems = []
    for path in _c_files(root):
        folder = _folder(root, path)
        for number, name in _includes(path):
            wanted = name[1:-1].split("/")[0] if "/" in name else folder
            if name[0] == '"' and wanted not in C_BELOW.get(folder, set()):
                problems.append(_at(root, path, number, f"{folder} must not include {name}"))
    return problems


def foreign_headers(root: Path) -> list[str]:
    """Python.h and NumPy only under csrc/python, but for the benchmarks' own extension;
    libcurl only in csrc/net/http.c."""
    problems = []
    probe = root / "csrc/bench/module.c"
    for path in _c_files(root):
        for number, name in _includes(path):
            header = name[1:-1]
            python = header in ("Python.h", "structmember.h") or header.startswith("numpy/")
            if python and _folder(root, path) != "python" and path != probe:
                problems.append(_at(root, path, number, f"{header} outside csrc/python"))
            if header.startswith("curl/") and path != root / "csrc/net/http.c":
                problems.append(_at(root, path, number, f"{header} outside csrc/net/http.c"))
    return problems


def _calls(root: Path, names: str, excuse: Callable[[Path], bool], why: str) -> list[str]:
    call = re.compile(rf"\b(?:{'|'.join(names.split())})\s*\(")
    return [
        _at(root, path, number, f"{found[0].rstrip('( ')} {why}")
        for path in _c_files(root)
        if not excuse(path)
        for number, line in enumerate(_code(path), 1)
        if (found := call.search(line))
    ]


def raw_allocation(root: Path) -> list[str]:
    """Memory comes through one door, base/alloc.c, where tests can make it fail."""
    door = root / "csrc/base/alloc.c"
    return _calls(root, ALLOCATORS, lambda path: path == door, "outside csrc/base/alloc.c")


def banned_calls(root: Path) -> list[str]:
    """Unbounded, locale-bound, process-wide or not thread-safe."""
    return _calls(root, BANNED, lambda _: False, "is banned")


def _logical_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines of code, with those that end in a backslash joined to the next."""
    joined, first = "", 0
    for number, line in enumerate(_code(path), 1):
        first = first or number
        joined += line.removesuffix("\\")
        if not line.endswith("\\"):
            yield first, joined
            joined, first = "", 0


def pragmas(root: Path) -> list[str]:
    """Every parallel region names its team; nothing lets the order of sums vary."""
    problems = []
    for path in _c_files(root):
        for number, line in _logical_lines(path):
            if "_Pragma" in line:
                problems.append(_at(root, path, number, "_Pragma hides from this check"))
            if not re.match(r"\s*#\s*pragma\s+omp\b", line):
                continue
            if re.search(r"\bparallel\b", line) and "num_threads" not in line:
                problems.append(_at(root, path, number, "omp parallel without num_threads"))
            if re.search(r"\breduction\b|schedule\s*\(\s*(?!static)", line):
                problems.append(_at(root, path, number, "omp reduction, or a schedule not static"))
    return problems


def _c_functions(path: Path) -> Iterator[tuple[int, int]]:
    """(first line, number of lines): a body's braces stand alone in the first column."""
    lines = _code(path)
    start = None
    for number, line in enumerate(lines, 1):
        if line.rstrip() == "{":
            start = number - 1
            while (
                start > 1 and lines[start - 2].strip() and lines[start - 2].strip()[-1] not in ";}"
            ):
                start -= 1
        elif line.startswith("}") and start is not None:
            yield start, number - start + 1
            start = None


_DEFINED = re.compile(
    r"^(?!static\b|typedef\b|extern\b)[A-Za-z_][\w\s*]*?\b(\w+)\s*\([^;{}=]*\)\n\{", re.M
)
SHARED_HEADERS = {"python": "python/module.h"}
"""Where a folder's functions may be declared beside their own header: what binds the topics of
the extension is one list."""


def own_headers(root: Path) -> list[str]:
    """A function that others may call is declared in the header of the file that defines it."""
    problems = []
    for path in _c_files(root):
        folder = _folder(root, path)
        if path.suffix != ".c" or folder in ("tests", "fuzz"):
            continue
        shared = SHARED_HEADERS.get(folder)
        homes = [path.with_suffix(".h"), *([root / "csrc" / shared] if shared else [])]
        declared = "\n".join("\n".join(_code(home)) for home in homes if home.exists())
        text = "\n".join(_code(path))
        for found in _DEFINED.finditer(text):
            name = found[1]
            if name.startswith("PyInit_") or name == "main":
                continue
            if not re.search(rf"\b{name}\s*\(", declared):
                line = text.count("\n", 0, found.start(1)) + 1
                home = path.with_suffix(".h").name
                problems.append(_at(root, path, line, f"{name} is not declared in {home}"))
    return problems


def _python_files(root: Path) -> list[Path]:
    folders = ("retrain_ops", "demo", "devtools", "proofs", "tools", "tests", "dags", "benchmarks")
    return [p for folder in folders for p in _files(root, folder, ".py", ".pyi")]


def _python_functions(path: Path) -> Iterator[tuple[int, int]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.lineno, (node.end_lineno or node.lineno) - node.lineno + 1


def lengths(root: Path) -> list[str]:
    """A function fits on a screen and a half; a file has one room."""
    problems = []
    for path in [*_c_files(root), *_python_files(root)]:
        total = len(path.read_text().splitlines())
        if total > FILE_LINES:
            problems.append(_at(root, path, 1, f"{total} lines, at most {FILE_LINES}"))
        functions = _c_functions if path.suffix in (".c", ".h") else _python_functions
        problems += [
            _at(root, path, line, f"a function of {size} lines, at most {FUNCTION_LINES}")
            for line, size in functions(path)
            if size > FUNCTION_LINES
        ]
    return problems


def exported_symbols(library: Path) -> list[str]:
    """The extension shows one symbol, so that it cannot clash with another library."""
    done = subprocess.run(
        ["nm", "-D", "--defined-only", str(library)], capture_output=True, text=True, check=True
    )
    names = {line.split()[-1].split("@")[0] for line in done.stdout.splitlines() if line.strip()}
    return [f"{library.name}: exports {name}" for name in sorted(names - {"PyInit__core"})]


def _imports(tree: ast.AST, package: list[str]) -> Iterator[tuple[int, str]]:
    """Every imported name, with what comes after `from x import`; relative ones made absolute."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def _package(root: Path, path: Path) -> list[str]:
    return list(path.relative_to(root).parts[:-1])


def import_graph(root: Path) -> list[str]:
    """Orchestrators | cli -> steps -> the rest -> _core; an orchestrator only at home."""
    problems = []
    for path in _files(root, "retrain_ops", ".py"):
        part = path.relative_to(root / "retrain_ops").parts[0].removesuffix(".py")
        for line, name in _imports(ast.parse(path.read_text()), _package(root, path)):
            words = name.split(".")
            if ORCHESTRATORS.get(words[0], part) != part:
                problems.append(_at(root, path, line, f"{words[0]} outside its package"))
            if words[0] != "retrain_ops" or len(words) < 2 or part == "__init__":
                continue
            if words[1] in TOPS and part not in (words[1], COMMAND_OF.get(words[1])):
                problems.append(_at(root, path, line, f"{part} must not import {name}"))
            if words[1] == "steps" and part not in ("steps", *TOPS):
                problems.append(_at(root, path, line, f"{part} must not import {name}"))
            allowed = words[1] in ("stats", "errors", "_core") or name.startswith(COLUMNS)
            if part == "stats" and not allowed:
                problems.append(_at(root, path, line, f"stats must not import {name}"))
            leaf = path == root / f"{COLUMNS.replace('.', '/')}.py"
            if leaf and words[1] != "errors":
                problems.append(_at(root, path, line, f"{COLUMNS} must not import {name}"))
            if words[1] == "_core" and part in TOPS:
                problems.append(_at(root, path, line, f"{part} reaches past the steps to _core"))
    return problems


MEETING = {
    "demo": {"demo", "devtools", "tools"},
    "devtools": {"devtools", "tools"},
    "proofs": {"proofs", "devtools", "tools", "benchmarks"},
    "tests": {"tests", "devtools", "tools", "benchmarks"},
    "tools": {"tools"},
    "benchmarks": {"benchmarks", "devtools", "tools"},
    "retrain_ops": set(),
}
"""Which of the folders beside the package a folder may import: proofs, demo and tests meet in
devtools, and the package knows none of them."""


def meeting_places(root: Path) -> list[str]:
    """Tests, proofs and demo share devtools and nothing of each other."""
    return [
        _at(root, path, line, f"{folder} must not import {name}")
        for folder, allowed in MEETING.items()
        for path in _files(root, folder, ".py")
        for line, name in _imports(ast.parse(path.read_text()), _package(root, path))
        if name.split(".")[0] in MEETING.keys() - allowed - {"retrain_ops"}
    ]


def quiet_imports(root: Path) -> list[str]:
    """Optional packages are imported inside functions, and nothing ever unpickles."""
    problems = []
    for path in _files(root, "retrain_ops", ".py"):
        tree = ast.parse(path.read_text())
        part = path.relative_to(root / "retrain_ops").parts[0]
        unpickles = [(n, w) for n, w in _imports(tree, []) if w.split(".")[0] in UNSAFE_LOADERS]
        problems += [_at(root, path, number, f"{word} is banned") for number, word in unpickles]
        server = path == root / NAMED_BY_SERVER
        if part in ORCHESTRATORS.values() or server or _module(root, path) in OPENED:
            continue
        for node in tree.body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                problems += [
                    _at(root, path, line, f"{name} is imported at import time")
                    for line, name in _imports(node, _package(root, path))
                    if name.split(".")[0] not in CORE_PACKAGES
                    or any(name.startswith(kind) for kind in OPENED)
                ]
    return problems


def _module(root: Path, path: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts)


def environment_writes(root: Path) -> list[str]:
    """The process's environment belongs to the user, and may not carry secrets of ours."""
    problems = []
    for path in _files(root, "retrain_ops", ".py"):
        for node in ast.walk(ast.parse(path.read_text())):
            written = isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load)
            called = isinstance(node, ast.Attribute) and node.attr in (
                *("update", "setdefault", "pop", "clear"),
            )
            if (written or called) and ast.unparse(node.value) == "os.environ":
                problems.append(_at(root, path, node.lineno, "writes os.environ"))
    return problems


def _tracked(root: Path) -> list[Path]:
    """What git tracks or would track; every file where there is no git."""
    if (root / ".git").exists():
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
        return [root / name for name in done.stdout.split("\0") if name]
    return [path for path in root.rglob("*") if not SKIPPED_FOLDERS & set(path.parts)]


def places(root: Path) -> list[str]:
    """No host of a package registry, no path of somebody's machine."""
    problems = []
    for path in _tracked(root):
        try:
            lines = path.read_text().splitlines()
        except (UnicodeDecodeError, OSError):
            continue
        for number, line in enumerate(lines, 1):
            if any(host in line for host in HOSTS):
                problems.append(_at(root, path, number, "names a package registry"))
            if MACHINE_PATH.search(line):
                problems.append(_at(root, path, number, "names a path of one machine"))
    return problems


RULES: tuple[Callable[[Path], list[str]], ...] = (
    include_graph,
    foreign_headers,
    raw_allocation,
    banned_calls,
    pragmas,
    lengths,
    own_headers,
    import_graph,
    tidy_graphs.import_circles,
    tidy_graphs.include_circles,
    meeting_places,
    quiet_imports,
    environment_writes,
    places,
)
