"""The deployment files, judged by the programs and schemas that they are written for."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from tests.compose_file import ROOT, documents

FOLDER = Path(__file__).parent
KUBERNETES = ROOT / "deploy" / "kubernetes"
RULES = ROOT / "deploy" / "prometheus" / "alerts.yml"
RELEASE = "1.37"  # of Kubernetes, the newest: what it no longer knows is refused
RULE_TESTS = ("alerts.test.yml", "memory.test.yml")
PROMTOOL = shutil.which("promtool")


def ran(*command: str, cwd: Path = ROOT, **env: str) -> str:
    """What the command prints; fails with all of it when that fails."""
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def installed(name: str) -> str:
    """A program that the tests' packages brought."""
    return str(Path(sys.executable).with_name(name))


@pytest.fixture
def composed(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """What the compose command makes of docker-compose.yml, under these variables."""
    copied = ("docker-compose.yml", "deploy/compose", "deploy/postgres")
    for name in copied:
        there = tmp_path / name
        there.parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, there)
    shutil.rmtree(tmp_path / "deploy/compose/secrets", ignore_errors=True)
    ran(str(tmp_path / "deploy/compose/secrets.sh"))

    def config(**env: str) -> dict[str, Any]:
        command = (installed("docker-compose"), "config", "--format", "json")
        found: dict[str, Any] = json.loads(ran(*command, cwd=tmp_path, **env))
        return found

    return config


def test_the_compose_command_accepts_the_composition(
    composed: Callable[..., dict[str, Any]],
) -> None:
    services = composed()["services"]
    assert len(services) == 10
    assert {name: one["image"] for name, one in services.items() if "build" in one} == {
        name: "dragoman:local" for name in services if name not in ("proxy", "postgres", "valkey")
    }
    assert services["registry-1"]["healthcheck"]["start_interval"] == "1s"
    assert services["chat-worker-2"]["stop_grace_period"] == "40s"
    assert services["proxy"]["ports"][0]["host_ip"] == "127.0.0.1"


def test_the_compose_command_fills_in_what_env_sets(
    composed: Callable[..., dict[str, Any]],
) -> None:
    told = composed(
        HTTP_BIND="0.0.0.0:80",
        DRAGOMAN_PUBLIC_HOSTS="dragoman.example",
        FRONT_SUBNET="10.9.0.0/28",
        POSTGRES_IMAGE="postgres:17.6-alpine@sha256:" + "0" * 64,
    )
    assert told["services"]["proxy"]["ports"][0]["published"] == "80"
    registry = told["services"]["registry-2"]["environment"]
    assert registry["DRAGOMAN_PUBLIC_HOSTS"] == "dragoman.example"
    assert registry["DRAGOMAN_TRUSTED_PROXIES"] == "10.9.0.0/28"
    assert told["networks"]["front"]["ipam"]["config"] == [{"subnet": "10.9.0.0/28"}]
    assert told["services"]["postgres"]["image"].endswith("0" * 64)


def test_hadolint_has_nothing_to_say_of_the_dockerfile() -> None:
    assert (
        ran(installed("hadolint"), "--no-color", "--failure-threshold", "style", "Dockerfile") == ""
    )


def manifests() -> Iterator[tuple[str, Any]]:
    """(file and kind, manifest) of all that a cluster itself knows."""
    paths = sorted(KUBERNETES.glob("*.yaml"))
    for path, found in zip(paths, documents(*paths), strict=True):
        for one in found:
            if one["kind"] not in ("Kustomization", "PodMonitor"):
                yield f"{path.name} {one['kind']} {one['metadata']['name']}", one


def test_every_manifest_meets_the_strict_schema_of_kubernetes() -> None:
    seen = set()
    for name, manifest in manifests():
        try:
            kubernetes_validate.validate(manifest, RELEASE, strict=True)
        except kubernetes_validate.ValidationError as fault:
            pytest.fail(f"{name}: {fault.message} at {list(fault.path)}")
        seen.add(manifest["kind"])
    assert seen >= {"Deployment", "Job", "HorizontalPodAutoscaler", "PodDisruptionBudget"}


@pytest.fixture
def promtool() -> str:
    if PROMTOOL is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI must not skip this: promtool is not on PATH")
        pytest.skip("no promtool here")
    return PROMTOOL


def test_prometheus_accepts_its_configuration_and_the_rules(promtool: str, tmp_path: Path) -> None:
    folder = RULES.parent
    token = tmp_path / "metrics_token"
    token.write_text("token")
    for name in (RULES.name, "prometheus.yml"):
        text = (folder / name).read_text("utf-8")
        (tmp_path / name).write_text(text.replace("/run/secrets/metrics_token", str(token)))
    told = ran(promtool, "check", "config", str(tmp_path / "prometheus.yml"))
    assert "is valid prometheus config file syntax" in told
    assert f"{len(alerts())} rules found" in told


def alerts() -> set[str]:
    """The names of all rules."""
    return set(re.findall(r"- alert: (\w+)", RULES.read_text("utf-8")))


def test_each_alert_fires_when_it_should_and_only_then(promtool: str) -> None:
    files = [FOLDER / name for name in RULE_TESTS]
    assert ran(promtool, "test", "rules", *map(str, files)).count("SUCCESS") == len(files)
    tests = [test for ((found,),) in zip(documents(*files), strict=True) for test in found["tests"]]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    firing = {case["alertname"] for case in cases if case.get("exp_alerts")}
    silent = {case["alertname"] for case in cases if not case.get("exp_alerts")}
    assert firing == silent == alerts()
