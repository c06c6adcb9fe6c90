"""docker-compose.yml, as far as it can be judged without an engine."""

from __future__ import annotations

import copy
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from retrain_ops.cli import main
from retrain_ops.spec.spec import load_spec

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, Any] = COMPOSE["services"]
# The Compose Specification's own schema, under the Apache License 2.0 that lies beside it.
SCHEMA = json.loads((ROOT / "tests" / "data" / "compose-spec.json").read_text())
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)


def test_the_file_keeps_the_schema_of_the_compose_specification() -> None:
    assert [error.message for error in VALIDATOR.iter_errors(COMPOSE)] == []


@pytest.mark.parametrize("wrong", [{"restart": 5}, {"depend_on": {}}, {"ports": "8080"}])
def test_the_schema_refuses_what_is_no_compose_file(wrong: dict[str, Any]) -> None:
    broken = copy.deepcopy(COMPOSE)
    broken["services"]["mlflow"] |= wrong
    assert not VALIDATOR.is_valid(broken)


def test_every_process_of_airflow_postgres_and_mlflow_is_there() -> None:
    commands = [" ".join(service.get("command", [])) for service in SERVICES.values()]
    for process in ("scheduler", "dag-processor", "api-server", "triggerer", "db migrate"):
        assert sum(command.startswith(f"airflow {process}") for command in commands) == 1
    assert sum(command.startswith("mlflow server") for command in commands) == 1
    assert sum(command.startswith("retrain-ops serve") for command in commands) == 1
    assert "postgres" in SERVICES


def test_the_server_is_called_as_its_image_is_and_writes_to_a_volume() -> None:
    service = SERVICES["serve"]
    last = (ROOT / "Dockerfile").read_text().partition(" AS serve\n")[2].partition("\nFROM ")[0]
    default = json.loads(re.findall(r"^CMD (.*)$", last, re.M)[-1])
    spec = service["command"].index("--spec") + 1
    given = [*service["command"][:spec], default[spec], *service["command"][spec + 1 :]]
    assert given == default
    parser = main.build_parser()
    options = parser.parse_args(service["command"][1:])
    assert (options.host, options.port) == ("0.0.0.0", 8000)
    folder = service["environment"]["RETRAIN_OPS_SERVING"]
    targets = [volume.split(":")[1] for volume in service["volumes"] if not volume.endswith(":ro")]
    assert any(folder.startswith(f"{target}/") for target in targets)
    source = options.spec.replace("/opt/airflow", str(ROOT))
    assert Path(load_spec(source).serving.folder).resolve() == ROOT / "build" / "serving"


def test_the_image_of_the_server_holds_what_the_package_asks_for() -> None:
    lock = (ROOT / "requirements" / "serve.txt").read_text().splitlines()
    locked = dict(line.split("==") for line in lock)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["serving"]]
    assert {re.split(r"[<>=\[]", need)[0] for need in wanted} <= set(locked)
    dev = (ROOT / "requirements" / "dev.txt").read_text().splitlines()
    assert set(lock) <= set(dev), "the tests run with other versions"


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_refers_to_exists(name: str) -> None:
    service = SERVICES[name]
    needs = service.get("depends_on", {})
    assert set(needs) <= set(SERVICES)
    for needed, how in needs.items():
        if how["condition"] == "service_healthy":
            assert "healthcheck" in SERVICES[needed]
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        assert source in COMPOSE["volumes"] or (ROOT / source).exists()
    for config in service.get("configs", []):
        assert config["source"] in COMPOSE["configs"]


def test_ports_are_open_on_this_machine_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_images_are_ours_or_of_an_exact_version() -> None:
    for service in SERVICES.values():
        assert re.search(r":\d+\.\d+", service["image"]), service["image"]


def test_secrets_have_no_default_and_are_listed_in_the_example() -> None:
    used = set(re.findall(r"\$\{(\w+)", TEXT))
    assert used == set(re.findall(r"\$\{(\w+):\?", TEXT))
    example = (ROOT / "compose.env.example").read_text()
    assert used == set(re.findall(r"^(\w+)=$", example, re.M))


def test_images_are_built_from_the_lock_files_that_the_tests_use() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    for lock in re.findall(r"requirements/[\w.-]+\.txt", dockerfile):
        assert (ROOT / lock).is_file()
    targets = re.findall(r" AS (\w+)", dockerfile)
    built = {service["build"]["target"] for service in SERVICES.values() if "build" in service}
    assert built <= set(targets)
