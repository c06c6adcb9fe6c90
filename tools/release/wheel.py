"""Build the sdist and the wheel that needs no compiler, and try both: build/dist.

    python tools/release/wheel.py [--quick]

The wheel is built from the sdist, so that what is missing from one is missed. auditwheel puts
libcurl, TLS, jansson and libgomp beside the extension under names with a hash of their content,
so that they are found by nobody else and find nobody else's. Then a fresh environment for every
Python from 3.11 on, without compiler, headers or this tree, imports it, trains, and speaks TLS
to a server under a private authority, in one process with other extensions. Prints sizes and
seconds and writes build/dist/wheel.json, and what `pip install` costs a managed run, which
begins with one. --quick tries one Python, no other extensions, and leaves that cost out.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tools import environments  # noqa: E402

DIST = ROOT / "build" / "dist"
VERSIONS = ("3.11", "3.12", "3.13")
NEIGHBOURS = ("scikit-learn", "lightgbm", "psycopg2-binary")
# Every Linux has these; all else that the extension needs must be in the wheel.
SYSTEM = re.compile(r"(ld-linux.*|libc|libm|libpthread|libdl|librt|libresolv)\.so")


def tool(name: str, *arguments: str, cwd: Path = ROOT) -> str:
    """One of the tools of the `wheel` environment."""
    folder = environments.ensure("wheel").parent
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [str(folder / name), *arguments],
        cwd=cwd,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"{name} {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def build() -> tuple[Path, Path]:
    """The sdist, and the repaired wheel made from it."""
    shutil.rmtree(DIST, ignore_errors=True)
    plain = DIST / "plain"
    tool("python", "-m", "build", "--no-isolation", "--sdist", "--outdir", str(DIST))
    (sdist,) = DIST.glob("*.tar.gz")
    shutil.unpack_archive(sdist, plain)
    (tree,) = plain.iterdir()
    tool("python", "-m", "build", "--no-isolation", "--wheel", "--outdir", str(plain), cwd=tree)
    (wheel,) = plain.glob("*.whl")
    # --strip leaves the stack of a crash without names, and a managed run pays for each megabyte.
    tool("auditwheel", "repair", "--strip", "--wheel-dir", str(DIST), str(wheel))
    shutil.rmtree(plain)
    (repaired,) = DIST.glob("*.whl")
    tool("twine", "check", "--strict", str(sdist), str(repaired))
    return sdist, repaired


def contents(sdist: Path, wheel: Path) -> dict[str, Any]:
    """What is in them, and that the extension needs nothing from outside."""
    with zipfile.ZipFile(wheel) as archive:
        libraries = {
            Path(info.filename).name: info.file_size
            for info in archive.infolist()
            if info.filename.startswith("retrain_ops.libs/") and not info.is_dir()
        }
        stray = [n for n in archive.namelist() if not n.startswith("retrain_ops")]
    shown = tool("auditwheel", "show", str(wheel))
    needed = {name.split(".so")[0] for name in re.findall(r"\blib[\w.+-]+\.so[\d.]*", shown)}
    outside = {name for name in needed if not SYSTEM.match(f"{name}.so")}
    outside -= {name.split("-")[0] for name in libraries} | {n.split(".so")[0] for n in libraries}
    if stray or outside:
        raise SystemExit(f"the wheel holds {stray} and needs {sorted(outside)}")
    return {
        "sdist_bytes": sdist.stat().st_size,
        "wheel": wheel.name,
        "wheel_bytes": wheel.stat().st_size,
        "libraries": dict(sorted(libraries.items(), key=lambda item: -item[1])),
    }


def interpreter(version: str) -> str:
    """The Python of that version: on PATH, or one of pyenv's, whose shims may refuse."""
    found = shutil.which(f"python{version}")
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    private = sorted(root.glob(f"versions/{version}.*/bin/python"))
    for candidate in [*([found] if found else []), *map(str, private)]:
        if subprocess.run([candidate, "--version"], capture_output=True).returncode == 0:
            return candidate
    raise SystemExit(
        f"Python {version} is needed to try the wheel under it; install it, or --quick"
    )


def try_in(version: str, wheel: Path, *, neighbours: bool) -> dict[str, Any]:
    """Install into a fresh environment and run tools/release/wheel_smoke.py there."""
    folder = ROOT / "build" / "wheel-try" / version
    shutil.rmtree(folder, ignore_errors=True)
    uv = environments.find_uv()
    command = [uv, "venv", "--quiet", "--no-python-downloads", "--python", interpreter(version)]
    environments.run([*command, str(folder)], why=f"making an environment of Python {version}")
    python = folder / "bin" / "python"
    install = [uv, "pip", "install", "--quiet", "--only-binary", ":all:", "--python", str(python)]
    environments.run([*install, str(wheel)], why="installing the wheel")
    others = ["cryptography", *(NEIGHBOURS if neighbours else ())]
    environments.run([*install, *others], why="installing its neighbours")
    smoke = folder / "smoke.py"  # beside no source tree: `retrain_ops` can only be the wheel's
    shutil.copy(ROOT / "tools" / "release" / "wheel_smoke.py", smoke)
    shutil.copy(ROOT / "devtools" / "servers" / "certificates.py", folder / "certificates.py")
    # No compiler either: only the interpreter is on PATH.
    clean = {"PATH": str(python.parent), "HOME": str(folder)}
    named = [name for name in NEIGHBOURS if neighbours]
    done = subprocess.run(
        [str(python), str(smoke), *named],
        cwd=folder,
        env=clean,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"the wheel fails under Python {version}:\n{done.stdout}{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def install_cost(version: str, wheel: Path) -> dict[str, Any]:
    """Seconds and megabytes of `pip install` without a cache: what is needed, then the wheel."""
    folder = ROOT / "build" / "wheel-try" / "pip"
    shutil.rmtree(folder, ignore_errors=True)
    command = [interpreter(version), "-m", "venv", str(folder)]
    environments.run(command, why="making an environment with pip")
    python = folder / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--no-cache-dir"]
    before, begun = _bytes_in(folder), time.perf_counter()
    environments.run([*install, str(wheel)], why="installing the wheel with what it needs")
    whole, middle = _bytes_in(folder), time.perf_counter()
    again = [*install, "--force-reinstall", "--no-deps", str(wheel)]
    environments.run(again, why="installing the wheel alone")
    return {
        "seconds": round(middle - begun, 1),
        "megabytes": round((whole - before) / 1e6, 1),
        "seconds_alone": round(time.perf_counter() - middle, 1),
    }


def _bytes_in(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file() and not p.is_symlink())


def main(arguments: list[str]) -> int:
    """Builds, tries, reports."""
    quick = "--quick" in arguments
    sdist, wheel = build()
    report = contents(sdist, wheel)
    versions = VERSIONS[:1] if quick else VERSIONS
    report["pythons"] = {v: try_in(v, wheel, neighbours=not quick) for v in versions}
    if not quick:
        report["pip_install"] = install_cost(VERSIONS[0], wheel)
    (DIST / "wheel.json").write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))
    return 0


if __name__ == "__main__":
    try:
        raise SystemExit(main(sys.argv[1:]))
    except environments.Failure as failure:
        raise SystemExit(f"error: {failure}") from failure
