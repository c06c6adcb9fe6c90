"""Run inside a fresh environment by tools/release/wheel.py: import, train, TLS, neighbours.

Prints one JSON object. Arguments: packages that must work in this same process.
"""

from __future__ import annotations

import http.server
import json
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path


def main(neighbours: list[str]) -> dict[str, object]:
    """Everything that must hold; the order mixes our libraries with the others'."""
    assert shutil.which("cc") is None
    assert shutil.which("gcc") is None
    begun = time.perf_counter()
    import retrain_ops

    package_s = time.perf_counter() - begun
    import retrain_ops._core

    core_s = time.perf_counter() - begun
    assert "site-packages" in str(retrain_ops.__file__)
    first = train()
    tls()
    for name in neighbours:
        NEIGHBOURS[name]()
    tls()
    assert train() == first, "training changed beside other libraries"
    return {
        "python": sys.version.split()[0],
        "import_package_s": round(package_s, 3),
        "import_core_s": round(core_s, 3),
        "model_sha256": first[:16],
        "neighbours": neighbours,
    }


def train() -> str:
    """The hash of a small model, on two threads."""
    import numpy as np

    from retrain_ops import _core

    rng = np.random.default_rng(3)
    x = rng.normal(size=(4000, 5))
    y = (x[:, 0] + x[:, 1] * x[:, 2] > 0).astype(np.uint8)
    features = [(f"f{i}", "numeric", []) for i in range(5)]
    model = _core.gbdt_train(
        x, y, features=features, params={"n_estimators": 10}, seed=1, n_threads=2
    )
    assert np.mean((model.predict(x) > 0.5) == y) > 0.85
    return str(model.sha256)


class _Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"OK")

    def log_message(self, *_: object) -> None:
        """Standard output is the report."""


def tls() -> None:
    """A server under a private authority is trusted when that is named, and only then."""
    from certificates import Authority  # beside this file

    from retrain_ops.errors import NetworkError
    from retrain_ops.mlflow.client import MlflowClient

    authority = Authority.create(Path(tempfile.mkdtemp()))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Health)
    context = authority.context("127.0.0.1")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"https://127.0.0.1:{server.server_address[1]}"
    try:
        assert MlflowClient(url, ca_path=authority.pem).health()
        try:
            trusted = MlflowClient(url, deadline=5).health()
        except NetworkError:
            trusted = False
        assert not trusted, "a server that nobody vouches for was trusted"
    finally:
        server.shutdown()


def _sklearn() -> None:
    import numpy as np
    from sklearn.ensemble import HistGradientBoostingClassifier

    x = np.random.default_rng(0).normal(size=(3000, 4))
    HistGradientBoostingClassifier(max_iter=5).fit(x, x[:, 0] > 0).predict(x)


def _lightgbm() -> None:
    """Its wheel asks the system for libgomp, which a slim image does not have."""
    import numpy as np

    try:
        import lightgbm
    except OSError as problem:
        if "libgomp" not in str(problem):
            raise
        return
    x = np.random.default_rng(0).normal(size=(3000, 4))
    data = lightgbm.Dataset(x, (x[:, 0] > 0).astype(float))
    lightgbm.train({"objective": "binary", "verbose": -1, "num_threads": 2}, data, 5).predict(x)


def _psycopg2() -> None:
    """It carries its own TLS library; a refused connection initialises it."""
    import psycopg2

    try:
        psycopg2.connect("host=127.0.0.1 port=9 sslmode=require connect_timeout=2")
    except psycopg2.OperationalError:
        return
    raise AssertionError("somebody answered on port 9")


NEIGHBOURS = {"scikit-learn": _sklearn, "lightgbm": _lightgbm, "psycopg2-binary": _psycopg2}

if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1:])))
