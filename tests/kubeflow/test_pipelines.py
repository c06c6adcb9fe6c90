"""The compiled pipelines: what they start, in which order, with whose secrets."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from retrain_ops.cli.main import main
from retrain_ops.errors import ConfigError
from retrain_ops.kubeflow import compile_pipelines

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = Path(__file__).parent / "golden"
SPEC = "/etc/retrain/flights.toml"
OPTIONS: dict[str, Any] = {
    "image": "registry.example.com/retrain:1",
    "workspace": "s3://ml/retrain",
    "tracking_uri": "http://mlflow:5000",
    "secrets": {"MLFLOW_TRACKING_PASSWORD": "mlflow/password"},
    "config_map": "flights-spec",
    "cpu": "2",
    "memory": "4Gi",
    "timeout_seconds": 3600,
    "url": "https://kubeflow.example.com",
}


def documents(file: Path) -> list[Any]:
    return list(yaml.safe_load_all(file.read_text()))


def tasks_of(pipeline: dict[str, Any]) -> list[dict[str, Any]]:
    """All tasks of a pipeline, of its branches too."""
    dags = [pipeline["root"], *pipeline["components"].values()]
    return [task for dag in dags for task in dag.get("dag", {}).get("tasks", {}).values()]


def test_the_pipelines_are_the_golden_ones(tmp_path: Path) -> None:
    """Compile anew with RETRAIN_OPS_GOLDEN=1 and read the difference before it is committed."""
    folder = GOLDEN if os.environ.get("RETRAIN_OPS_GOLDEN") else tmp_path
    files = compile_pipelines(folder, SPEC, **OPTIONS)
    assert [file.name for file in files] == ["retrain-flights.yaml", "retrain-flights-rollout.yaml"]
    for file in files:
        assert file.read_text() == (GOLDEN / file.name).read_text()


def test_nothing_is_cached_or_tried_again_from_outside() -> None:
    for file in GOLDEN.glob("*.yaml"):
        leaves = [t for t in tasks_of(documents(file)[0]) if "cachingOptions" in t]
        assert leaves
        for task in leaves:
            assert task["cachingOptions"] == {}  # enableCache is off
            assert "retryPolicy" not in task


def test_every_container_is_our_image_and_gets_its_parameters_as_data_alone() -> None:
    for file in GOLDEN.glob("*.yaml"):
        for found in documents(file)[0]["deploymentSpec"]["executors"].values():
            container = found["container"]
            assert container["image"] == OPTIONS["image"]
            if container["command"][0] != "sh":
                assert container["command"] == ["retrain-ops", "kubeflow", "step"]
                assert [a for a in container["args"] if "{{" in a] == ["{{$}}"]


def test_secrets_spec_and_limits_reach_every_pod() -> None:
    pipeline, platform = documents(GOLDEN / "retrain-flights.yaml")
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert set(executors) == set(pipeline["deploymentSpec"]["executors"])
    for found in executors.values():
        (secret,) = found["secretAsEnv"]
        assert secret["secretName"] == "mlflow"
        assert secret["keyToEnv"] == [
            {"envVar": "MLFLOW_TRACKING_PASSWORD", "secretKey": "password"}
        ]
        (mounted,) = found["configMapAsVolume"]
        assert mounted["mountPath"] == "/etc/retrain"


def test_the_command_writes_what_the_function_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["kubeflow", "compile", "--spec", SPEC, "--image", OPTIONS["image"]]
    command += ["--workspace", OPTIONS["workspace"], "--tracking-uri", OPTIONS["tracking_uri"]]
    command += ["--secret", "MLFLOW_TRACKING_PASSWORD=mlflow/password", "--url", OPTIONS["url"]]
    command += ["--config-map", "flights-spec", "--cpu", "2", "--memory", "4Gi"]
    command += ["--timeout", "3600", "--output", str(tmp_path)]
    assert main(command) == 0
    # The defaults are written out, so that the arguments differ, and nothing else.
    ours, golden = (documents(folder / "retrain-flights.yaml")[0] for folder in (tmp_path, GOLDEN))
    assert ours["root"] == golden["root"]
    for name, found in ours["deploymentSpec"]["executors"].items():
        known = golden["deploymentSpec"]["executors"][name]["container"]
        assert set(known["args"]) <= set(found["container"]["args"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"image": ""}, "name the image"),
        ({"spec": "flights.toml"}, "absolute path"),
        ({"name": "..."}, "neither a letter nor a digit"),
        ({"secrets": {"A": "mlflow"}}, "VARIABLE=<secret>/<key>"),
        ({"secrets": {"A B": "mlflow/password"}}, "VARIABLE=<secret>/<key>"),
    ],
)
def test_what_cannot_be_compiled_is_refused(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        compile_pipelines(tmp_path, **{"spec": SPEC, **OPTIONS, **change})
    assert list(tmp_path.iterdir()) == []


def test_a_misspelt_option_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="workspce"):
        compile_pipelines(tmp_path, SPEC, image="x", workspce="y")  # type: ignore[call-arg]


def test_a_container_runs_a_step_without_kfp() -> None:
    code = (
        "import sys; sys.modules['kfp'] = None\n"
        "import retrain_ops.kubeflow; assert 'numpy' not in sys.modules\n"
        "from retrain_ops.cli.main import main\n"
        "sys.exit(main('kubeflow step train --spec no.toml --executor-input {}'.split()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "none of Kubeflow's" in done.stderr


def test_the_example_compiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(ROOT / "dags" / "kubeflow_flights.py"), run_name="__main__")
    assert len(list((tmp_path / "build").glob("retrain-flights-delay*.yaml"))) == 2
