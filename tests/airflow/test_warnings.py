"""No file of ours uses what this Airflow has moved or will remove."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

_EVERYTHING = """
    import sys, warnings

    ours = sys.argv[1]
    raised = []

    def keep(message, category, filename, lineno, file=None, line=None):
        if issubclass(category, (DeprecationWarning, FutureWarning)) and filename.startswith(ours):
            raised.append(f"{filename}:{lineno}: {category.__name__}: {message}")

    warnings.simplefilter("always")
    warnings.showwarning = keep
    import retrain_ops.airflow as package

    for name in package.__all__:
        getattr(package, name)
    from retrain_ops.airflow import compat, links
    from retrain_ops.airflow.provider import get_provider_info

    get_provider_info()
    spec = "/nowhere/toy.toml"
    package.retraining_dag(spec, segments=("eu", "us"))
    package.rollout_dag(spec)
    package.drift_monitor_dag(spec)
    package.performance_monitor_dag(spec)
    package.SlackNotifier(text="x")
    package.MlflowHook("x").get_ui_field_behaviour()
    compat.date_time_trigger(__import__("datetime").datetime.now().astimezone())
    print("\\n".join(raised))
    print("warned by us:", len(raised))
"""


def test_nothing_of_ours_is_deprecated_here(airflow_home: Path) -> None:
    """Warnings are attributed to the caller, so the file that is named is the one to mend."""
    import retrain_ops

    folder = str(Path(retrain_ops.__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(_EVERYTHING), folder],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "warned by us: 0", done.stdout
