"""The Kubernetes manifests, held against the process table, the settings and the composition."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from deploy.processes import PROCESSES
from shared import config
from shared.secret_files import FILES
from tests.compose_file import ROOT, documents

FOLDER = ROOT / "deploy" / "kubernetes"
# Applied by hand, where the cluster has what they need.
OPTIONAL = {"autoscaling.yaml", "podmonitor.yaml"}
METRICS_PORT = 9464
SETTINGS = {setting.variable for setting in config.SETTINGS.values()} | set(FILES)


@pytest.fixture(scope="module")
def manifests() -> dict[str, list[Any]]:
    """File → its documents."""
    paths = sorted(FOLDER.glob("*.yaml"))
    return dict(zip((path.name for path in paths), documents(*paths), strict=True))


@pytest.fixture(scope="module")
def pods(manifests: dict[str, list[Any]]) -> dict[str, Any]:
    """Name → what a Deployment or Job makes pods from."""
    return {
        one["metadata"]["name"]: one["spec"]["template"]["spec"]
        for found in manifests.values()
        for one in found
        if one["kind"] in ("Deployment", "Job")
    }


def kustomization(manifests: dict[str, list[Any]]) -> dict[str, Any]:
    (found,) = manifests["kustomization.yaml"]
    assert isinstance(found, dict)
    return found


def test_the_whole_process_table_runs_with_time_to_stop(pods: dict[str, Any]) -> None:
    table = {process.name: process for process in PROCESSES if process.module}
    assert set(pods) == {*table, "migrate"}
    settings = config.load({})
    for name, pod in pods.items():
        (container,) = pod["containers"]
        assert container["args"] == [name]
        if name in table:
            grace = pod["terminationGracePeriodSeconds"]
            pre_stop = 5 if name == "registry" else 0
            assert grace >= table[name].stop_within(settings) + 5 + pre_stop, name
            probe = " ".join(container["startupProbe"]["exec"]["command"])
            assert probe == f"python -P -m deploy.container healthy {name}"


def test_every_variable_is_a_setting_and_each_pod_sees_its_own_secrets(
    pods: dict[str, Any], manifests: dict[str, list[Any]]
) -> None:
    (generator,) = kustomization(manifests)["configMapGenerator"]
    shared = dict(line.split("=", 1) for line in generator["literals"])
    assert set(shared) <= SETTINGS
    assert config.load(shared).grace_seconds == 30
    for name, pod in pods.items():
        (container,) = pod["containers"]
        environment = {entry["name"]: entry for entry in container["env"]}
        assert set(environment) <= SETTINGS, name
        mounted = {v["name"]: v["secret"]["secretName"] for v in pod["volumes"] if "secret" in v}
        role = name.replace("-", "_")
        if name == "beat":
            assert mounted == {"broker": "broker"}
            assert "DRAGOMAN_KEYRING" not in environment
        else:
            assert mounted["database"] == f"database-{name}"
            url = environment["DATABASE_URL_FILE"]["value"]
            assert url == f"/run/database/database_url_{role}"
            assert environment["DRAGOMAN_KEYRING"]["valueFrom"]["secretKeyRef"]["key"]


def test_every_process_that_counts_is_scraped_with_the_token_and_by_nobody_else(
    pods: dict[str, Any], manifests: dict[str, list[Any]]
) -> None:
    ((monitor,),) = (manifests["podmonitor.yaml"],)
    scraped = {one["port"] for one in monitor["spec"]["podMetricsEndpoints"]}
    for one in monitor["spec"]["podMetricsEndpoints"]:
        assert one["authorization"]["credentials"] == {"name": "metrics", "key": "metrics_token"}
    found = {}
    for name, pod in pods.items():
        (container,) = pod["containers"]
        environment = {entry["name"]: entry.get("value") for entry in container["env"]}
        found[name] = {port["name"] for port in container.get("ports", ())} & scraped
        assert ("DRAGOMAN_METRICS_TOKEN_FILE" in environment) == bool(found[name]), name
        if found[name] == {"metrics"}:
            assert container["ports"] == [{"name": "metrics", "containerPort": METRICS_PORT}]
            assert environment["DRAGOMAN_METRICS_LISTEN"] == f"0.0.0.0:{METRICS_PORT}"
    workers = {"chat-worker", "discovery-worker"}
    assert found == {name: set() for name in ("beat", "migrate")} | {"registry": {"http"}} | {
        name: {"metrics"} for name in workers
    }
    policies = {one["metadata"]["name"]: one["spec"] for one in manifests["network.yaml"]}
    (rule,) = policies["metrics"]["ingress"]
    assert {port["port"] for port in rule["ports"]} == scraped
    assert len(rule["from"]) == 1


def test_what_runs_twice_survives_a_drained_node_and_scales_by_what_it_fills(
    manifests: dict[str, list[Any]],
) -> None:
    everything = [one for found in manifests.values() for one in found]

    def named(kind: str) -> dict[str, Any]:
        return {one["metadata"]["name"]: one["spec"] for one in everything if one["kind"] == kind}

    deployments, budgets = named("Deployment"), named("PodDisruptionBudget")
    twice = {name for name, one in deployments.items() if one["replicas"] > 1}
    scalers = named("HorizontalPodAutoscaler")
    assert twice == set(budgets) == set(scalers) == {"registry", "chat-worker"}
    for name in twice:
        own = {"matchLabels": {"app.kubernetes.io/name": name}}
        assert budgets[name] == {"minAvailable": 1, "selector": own}
        (spread,) = deployments[name]["template"]["spec"]["topologySpreadConstraints"]
        assert spread["labelSelector"] == own
        assert scalers[name]["scaleTargetRef"]["name"] == name
        assert scalers[name]["minReplicas"] == deployments[name]["replicas"]


def test_every_secret_that_is_used_is_made(
    pods: dict[str, Any], manifests: dict[str, list[Any]]
) -> None:
    made = {one["name"]: one["files"] for one in kustomization(manifests)["secretGenerator"]}
    used = {
        volume["secret"]["secretName"]
        for pod in pods.values()
        for volume in pod["volumes"]
        if "secret" in volume
    }
    assert set(made) == used | {"keyring"}
    page = (ROOT / "docs" / "kubernetes.md").read_text("utf-8")
    for file in {Path(file).name for files in made.values() for file in files}:
        assert file in page or file.startswith("database_url_")


def test_every_pod_meets_the_restricted_standard(pods: dict[str, Any]) -> None:
    for name, pod in pods.items():
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True, name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name
        assert set(container["resources"]) == {"requests", "limits"}, name


def test_everything_that_is_listed_is_there(manifests: dict[str, list[Any]]) -> None:
    listed = set(kustomization(manifests)["resources"])
    assert listed | {"kustomization.yaml"} | OPTIONAL == set(manifests)
    page = (ROOT / "docs" / "kubernetes.md").read_text("utf-8")
    assert all(name in page for name in OPTIONAL)
    assert re.search(r"^deploy/kubernetes/secrets/$", (ROOT / ".gitignore").read_text(), re.M)


def test_kustomize_builds_it(tmp_path: Path, manifests: dict[str, list[Any]]) -> None:
    """Where there is a kubectl; it needs no cluster for that."""
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl here")
    folder = tmp_path / "kubernetes"
    shutil.copytree(FOLDER, folder)
    (folder / "secrets").mkdir(exist_ok=True)
    for one in kustomization(manifests)["secretGenerator"]:
        for file in one["files"]:
            (folder / file).write_text("secret")
    built = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    assert "namespace: dragoman" in built.stdout
    assert json.dumps("dragoman") not in built.stdout  # no image was left without a registry
