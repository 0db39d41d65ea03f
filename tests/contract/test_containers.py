"""Dockerfile and compose.yaml: no container engine runs where these tests run, so what can be read is checked."""

import importlib.util
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

import gateway.app
import gateway.control
import services.app
from catalog.service import Service
from migration.app import NAMES
from runtime.settings import SERVICES, Settings, load, secret_names
from tests.settings_page import variables

pytestmark = pytest.mark.contract

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
PARTS = COMPOSE["services"]
OURS = {name: part for name, part in PARTS.items() if part.get("image", "").startswith("banyan:")}
RUN_ONCE = {name for name, part in PARTS.items() if part["restart"] == "no"}
MOUNTED_SECRETS = "/run/secrets/"
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
PINNED = re.compile(r"[\w./-]+:v?\d+\.\d+[\w.-]*", re.ASCII)


def test_the_real_engines_and_all_our_processes_are_there():
    engines = {part["image"].rpartition(":")[0] for part in PARTS.values()}
    assert engines >= {
        "apache/kafka",
        "chrislusf/seaweedfs",
        "eclipse-mosquitto",
        "hapiproject/hapi",
        "postgres",
        "postgrest/postgrest",
        "quay.io/debezium/connect",
        "valkey/valkey",
    }
    commands = {" ".join(part["command"][:2]) for part in OURS.values()}
    processes = {"gateway", "gateway.control", "services.migrate"}
    movers = {f"migration {name}" for name in NAMES}
    assert commands == processes | movers | {f"services {service}" for service in SERVICES}


@pytest.mark.parametrize("module", sorted({part["command"][0] for part in OURS.values()}))
def test_what_a_container_starts_exists(module):
    spec = importlib.util.find_spec(module)
    assert spec is not None
    if spec.submodule_search_locations:
        assert importlib.util.find_spec(f"{module}.__main__") is not None


@pytest.mark.parametrize("name", PARTS)
def test_image_is_pinned(name):
    assert PINNED.fullmatch(PARTS[name]["image"])


@pytest.mark.parametrize("name", sorted(PARTS.keys() - RUN_ONCE))
def test_health_is_checked(name):
    check = PARTS[name]["healthcheck"]
    assert check["test"][0] in {"CMD", "CMD-SHELL"}
    assert {"interval", "timeout", "retries"} <= check.keys()


@pytest.mark.parametrize("name", PARTS)
def test_start_waits_for_health(name):
    waits = PARTS[name].get("depends_on", {})
    assert waits.keys() <= PARTS.keys()
    assert {other: wait["condition"] for other, wait in waits.items()} == {
        other: "service_completed_successfully" if other in RUN_ONCE else "service_healthy"
        for other in waits
    }


@pytest.mark.parametrize("name", PARTS)
def test_networks_are_declared_and_ports_stay_on_loopback(name):
    part = PARTS[name]
    ports = part.get("ports", [])
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert part.get("network_mode") == "none" or set(part["networks"]) <= COMPOSE["networks"].keys()
    assert not ports or "edge" in part["networks"], (
        "a published port needs a network with a way out"
    )


@pytest.mark.parametrize("name", PARTS)
def test_every_mount_has_its_source(name):
    for mount in PARTS[name].get("volumes", []):
        source = mount.partition(":")[0]
        if source.startswith("./.run/"):
            continue
        known = (
            (ROOT / source).is_file() if source.startswith("./") else source in COMPOSE["volumes"]
        )
        assert known, mount


@pytest.mark.parametrize("name", OURS)
def test_our_processes_get_known_settings_and_no_secret_in_the_open(name):
    environment = OURS[name]["environment"]
    assert sorted(environment.keys() - variables()) == []
    assert {secret.upper() for secret in secret_names()} & environment.keys() == set()
    files = [value for key, value in environment.items() if key.endswith("_FILE")]
    assert sorted(file.removeprefix(MOUNTED_SECRETS) for file in files) == sorted(
        OURS[name]["secrets"]
    )


@pytest.mark.parametrize("name", OURS)
def test_our_processes_run_with_little_power(name):
    part = OURS[name]
    assert part["read_only"] is True
    assert part["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in part["security_opt"]
    assert "user" not in part, "the image's own user is the one that the secrets belong to"


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What make-secrets.sh makes; a `chown` that does nothing stands in, since tests need not run as root."""
    folder = tmp_path_factory.mktemp("secrets")
    fake = tmp_path_factory.mktemp("bin") / "chown"
    fake.write_text("#!/bin/sh\n")
    fake.chmod(0o755)
    script = ROOT / "config" / "compose" / "make-secrets.sh"
    path = f"{fake.parent}:{os.defpath}"
    subprocess.run(["sh", str(script), str(folder)], env={"PATH": path}, check=True)
    return folder


def test_every_secret_is_made_declared_and_read(secrets):
    made = {path.name for path in secrets.iterdir()} - {"complete"}
    declared = {name: entry["file"] for name, entry in COMPOSE["secrets"].items()}
    read = {name for part in PARTS.values() for name in part.get("secrets", [])}
    assert declared == {name: f"./.run/secrets/{name}" for name in made}
    assert read == made


def test_secrets_are_closed_and_differ_from_run_to_run(secrets):
    files = [path for path in secrets.iterdir() if path.name != "complete"]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o400}
    keys = [(secrets / name).read_text() for name in ("cursor_key", "internal_token_key")]
    assert len(set(keys)) == 2


@pytest.fixture
def settings(request, secrets, monkeypatch) -> Settings:
    """As the named container would load them."""
    for key, value in OURS[request.param]["environment"].items():
        monkeypatch.setenv(key, str(value).replace(MOUNTED_SECRETS, f"{secrets}/"))
    return load()


@pytest.mark.parametrize("settings", OURS, indirect=True)
def test_settings_are_accepted(settings):
    assert settings.profile == "sandbox"


@pytest.mark.parametrize("settings", ["gateway"], indirect=True)
def test_gateway_has_all_that_it_needs_for_writes_too(settings):
    made = gateway.app.create_app(settings)
    assert made.deps.writes is not None
    assert made.deps.operations is not None


def _kept(part: str, path: str) -> bool:
    """Does what lies there outlive the container?"""
    mounts = [mount.split(":") for mount in PARTS[part]["volumes"]]
    return any(
        source in COMPOSE["volumes"] and Path("/app", path).is_relative_to(target)
        for source, target, *_ in mounts
    )


@pytest.mark.parametrize("settings", ["gateway"], indirect=True)
def test_what_the_gateway_must_find_again_outlives_its_container(settings):
    for folder in (settings.spool_folder, settings.access_log_folder, settings.kill_switch_file):
        assert _kept("gateway", folder)


@pytest.mark.parametrize("settings", ["control"], indirect=True)
def test_control_has_all_that_it_needs(settings):
    gateway.control.create_app(settings)
    assert _kept("control", settings.audit_anchor_file)
    assert _kept("control", settings.kill_switch_file)


@pytest.mark.parametrize("settings", ["diagnostics"], indirect=True)
def test_diagnostics_knows_a_laboratory(settings):
    assert [vendor for vendor, _ in settings.known_vendors().secrets] == ["Synthetic Labs"]


@pytest.mark.parametrize(
    ("service", "settings"),
    [
        (Service(part["command"][1]), name)
        for name, part in OURS.items()
        if part["command"][0] == "services"
    ],
    indirect=["settings"],
)
def test_service_has_all_that_it_needs_and_is_probed_where_it_listens(service, settings):
    services.app.create_app(service, settings)
    part = OURS[service.value.replace("_", "-")]
    port = part["command"][part["command"].index("--port") + 1]
    assert part["healthcheck"]["test"][-1] == f"http://127.0.0.1:{port}/healthz"
    reached = OURS["gateway"]["environment"][f"SERVICE_URL_{service.name}"]
    assert reached == f"http://{service.value.replace('_', '-')}:{port}"


@pytest.mark.parametrize("settings", NAMES, indirect=True)
def test_movers_have_all_that_they_need(settings):
    names = ("legacy_database_url", "legacy_control_database_url", "control_database_url")
    assert all(settings.need_secret(name) for name in (*names, "redis_url"))
    assert settings.service_apply_url(Service.INTAKE).startswith("postgresql://banyan_apply:")
    assert settings.need_keyring("field_keys")
    assert settings.need_keyring("evidence_keys")


def test_image_is_built_in_stages_and_runs_as_nobody_special():
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert len(bases) > 1
    assert all(PINNED.fullmatch(base) for base in bases)
    last_stage = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.findall(r"^USER (\S+)", last_stage, re.MULTILINE) == ["10001:10001"]
    assert re.search(r"^HEALTHCHECK .*--interval", last_stage, re.MULTILINE)
    assert not re.search(r"^ADD ", DOCKERFILE, re.MULTILINE), (
        "COPY takes no URL and unpacks nothing"
    )


def test_secrets_belong_to_the_user_of_the_image():
    script = (ROOT / "config" / "compose" / "make-secrets.sh").read_text(encoding="utf-8")
    assert re.search(r"^BANYAN=10001 ", script, re.MULTILINE)


def test_build_sees_every_package_and_nothing_private():
    rules = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    let_in = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    copied = {"pyproject.toml", "constraints.txt", "README.md", "config"}
    assert rules[rules.index("*")] == "*"
    assert let_in == {*packages, *copied, "LICENSE"}
