"""What a day imports: a night of ten tasks pays for every module ten times."""

import json
import pickle
import subprocess
import sys
from datetime import timedelta

import pytest

from devtools.synthetic import FIRST, bootstrap, write_days

DAY = FIRST + timedelta(days=21)

OURS = {"retrain_ops", "devtools"}
NEEDED = {"numpy", "pyarrow", "jinja2"}
THEIRS = {"cloudpickle", "cython_runtime", "dateutil", "markupsafe"}
"""What NumPy, pyarrow and Jinja import themselves."""

RUN = '''
import sys
class NoPandas:
    """pyarrow takes pandas wherever it is installed; the day must do without."""
    def find_spec(self, name, path=None, target=None):
        if name == "pandas":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, NoPandas())
import json, pickle
from pathlib import Path
from datetime import date
from retrain_ops.cli.main import run_day
from devtools.doubles.registry_server import Client
from devtools.synthetic import toy_run
folder = Path(sys.argv[1])
client = Client(pickle.loads((folder / "server").read_bytes()))
output = run_day(toy_run(folder, client, date.fromisoformat(sys.argv[2])))
known = {name.partition(".")[0] for name, module in sys.modules.items() if module is not None}
known = {name for name in known if not name.startswith("_")} - set(sys.stdlib_module_names)
print(json.dumps([output["outcome"], sorted(known), sorted(sys.modules)]))
'''


@pytest.fixture
def world(tmp_path, client, server, messages):
    write_days(tmp_path / "rows", 30)
    bootstrap(tmp_path, client, FIRST + timedelta(days=20))
    (tmp_path / "server").write_bytes(pickle.dumps(server))
    return tmp_path


def test_a_quiet_day_imports_what_it_uses(world):
    command = [sys.executable, "-c", RUN, str(world), DAY.isoformat()]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    outcome, packages, modules = json.loads(done.stdout)
    assert outcome == "no_train"
    assert set(packages) - OURS == NEEDED | (THEIRS & set(packages))
    for step in ("pull_data", "validate_data", "train", "evaluate", "promote_challenger"):
        assert f"retrain_ops.steps.{step}" not in modules
    assert "pyarrow.dataset" not in modules
