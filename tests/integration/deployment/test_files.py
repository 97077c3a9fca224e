"""What docker-compose.yml, the Dockerfile and their scripts say, held against the code."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from deploy.processes import PROCESSES, VALKEY
from shared import config
from shared.secret_files import FILES
from tests.compose_file import ROOT, composition, filled, image_environment, variables

SETTINGS = {setting.variable for setting in config.SETTINGS.values()} | set(FILES)
TWICE = {"registry", "chat-worker"}
OURS = {process.name for process in PROCESSES if process.module}
OTHERS = {"migrate", "proxy", "postgres", "valkey"}
URL = "postgresql://dragoman_{}:secret@postgres:5432/dragoman"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return composition()


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, Any]:
    """With every variable's default."""
    found: dict[str, Any] = filled(compose["services"])
    return found


def ours(services: dict[str, Any]) -> dict[str, Any]:
    """Those that run our image."""
    return {name: one for name, one in services.items() if one["image"] == "dragoman:local"}


def seconds(text: str) -> float:
    assert re.fullmatch(r"\d+s", text)
    return float(text[:-1])


def test_it_runs_the_process_table_two_registries_and_two_chat_workers(
    services: dict[str, Any],
) -> None:
    expected = {f"{name}-{n}" for name in TWICE for n in (1, 2)} | (OURS - TWICE)
    assert set(services) == expected | OTHERS
    for name, one in ours(services).items():
        kind = re.sub(r"-\d$", "", name)
        assert one["command"] == [kind]
        if kind in OURS:
            test = one["healthcheck"]["test"]
            assert " ".join(test) == f"CMD python -P -m deploy.container healthy {kind}"


def test_every_service_has_the_time_to_stop_that_the_process_table_gives_it(
    services: dict[str, Any],
) -> None:
    table = {process.name: process for process in PROCESSES}
    settings = config.load({})
    for name, one in services.items():
        process = table.get(re.sub(r"-\d$", "", name), VALKEY if name == "valkey" else None)
        if process is not None:
            assert seconds(one["stop_grace_period"]) >= process.stop_within(settings) + 5


def test_every_setting_exists_and_what_is_given_is_accepted(
    services: dict[str, Any], tmp_path: Path
) -> None:
    assert set(image_environment()) - SETTINGS == {
        *("PATH", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")
    }
    (tmp_path / "redis_url").write_text("redis://dragoman:secret@valkey:6379/0")
    for name, one in ours(services).items():
        given = {key: str(text) for key, text in one["environment"].items()}
        assert set(given) <= SETTINGS, name
        for variable in FILES:
            if variable in given:
                secret = given[variable].removeprefix("/run/secrets/")
                assert secret in one["secrets"]
                file = tmp_path / secret
                if secret == "metrics_token":
                    file.write_text("a-token-of-the-scraper")
                elif secret != "redis_url":
                    file.write_text(URL.format(secret.removeprefix("database_url_")))
                given[variable] = str(file)
        loaded = config.load({**image_environment(), **given})
        assert loaded.data_dir == Path("/var/lib/dragoman")


def test_a_default_in_the_composition_is_the_settings_own(compose: dict[str, Any]) -> None:
    defaults = {setting.variable: setting.default for setting in config.SETTINGS.values()}
    for variable, default in variables(compose).items():
        if variable in defaults:
            assert default == defaults[variable], variable


def test_each_service_has_its_own_role_and_no_secret_that_it_does_not_need(
    services: dict[str, Any],
) -> None:
    for name, one in ours(services).items():
        kind = re.sub(r"-\d$", "", name).replace("-", "_")
        own = set() if kind == "beat" else {f"database_url_{kind}"}
        broker = set() if kind == "migrate" else {"redis_url"}
        watched = set() if kind in ("beat", "migrate") else {"metrics_token"}
        assert set(one["secrets"]) == own | broker | watched, name
        mounts = one.get("volumes", [])
        read_only = [] if name == "beat" else ["keyring:/var/lib/dragoman/keyring:ro"]
        assert (mounts == read_only) != (name == "migrate"), name


def test_everything_is_unprivileged_read_only_bounded_watched_and_started_again(
    services: dict[str, Any],
) -> None:
    for name, one in services.items():
        assert one["read_only"] is True, name
        assert one["cap_drop"] == ["ALL"], name
        assert "cap_add" not in one, name
        assert one["security_opt"] == ["no-new-privileges:true"], name
        assert {"cpus", "mem_limit", "pids_limit"} <= set(one), name
        if name in ours(services):
            assert "user" not in one  # the image's own
            assert one["tmpfs"], name
        else:
            assert str(one["user"]).partition(":")[0] not in ("0", "root"), name
        if name == "migrate":
            assert one["restart"] == "no"
        else:
            assert one["restart"] == "unless-stopped", name
            assert one["healthcheck"]["test"], name
            assert one["stop_grace_period"], name
    assert re.search(r"^USER 10001:10001$", (ROOT / "Dockerfile").read_text("utf-8"), re.M)


def test_only_the_proxy_is_reached_from_outside_and_only_workers_reach_out(
    compose: dict[str, Any], services: dict[str, Any]
) -> None:
    outside = {n for n, one in compose["networks"].items() if not one.get("internal")}
    assert outside == {"edge", "outbound"}
    for name, one in services.items():
        assert ("ports" in one) == (name == "proxy")
        reaches = outside & set(one["networks"])
        worker = name.startswith("chat-worker") or name == "discovery-worker"
        assert reaches == ({"edge"} if name == "proxy" else {"outbound"} if worker else set())
    assert all(port.startswith("127.0.0.1:") for port in services["proxy"]["ports"])


def test_images_are_pinned_by_their_full_version_and_can_be_set(compose: dict[str, Any]) -> None:
    pinned = {name: tag for name, tag in variables(compose).items() if name.endswith("_IMAGE")}
    assert set(pinned) == {
        *("DRAGOMAN_IMAGE", "PYTHON_IMAGE", "HAPROXY_IMAGE", "POSTGRES_IMAGE", "VALKEY_IMAGE")
    }
    del pinned["DRAGOMAN_IMAGE"]
    for name, image in pinned.items():
        assert re.fullmatch(r"[a-z/]+:\d+\.\d+(\.\d+)?-[a-z-]+", image), name
    assert f"ARG PYTHON_IMAGE={pinned['PYTHON_IMAGE']}" in (ROOT / "Dockerfile").read_text("utf-8")


def test_the_script_makes_exactly_the_secrets_that_are_mounted(
    compose: dict[str, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "secrets"
    script = [ROOT / "deploy" / "compose" / "secrets.sh"]
    env = {**os.environ, "SECRETS": str(folder)}
    subprocess.run(script, env=env, check=True)
    made = {file.name: file.read_text() for file in folder.iterdir()}
    assert set(made) == set(compose["secrets"])
    assert {Path(one["file"]).name for one in compose["secrets"].values()} == set(made)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert len({re.findall(r"[0-9a-f]{48}", text)[0] for text in made.values()}) == len(made)
    subprocess.run(script, env=env, check=True)
    assert {file.name: file.read_text() for file in folder.iterdir()} == made
    url = folder / "database_url_registry"
    url.chmod(0o600)
    url.write_text(url.read_text().replace("@postgres:5432", "@db.example:6432"))
    subprocess.run([*script, "renew", "redis_url", url.name], env=env, check=True)
    assert (folder / "redis_url").read_text() != made["redis_url"]
    renewed = r"postgresql://dragoman_registry_b:[0-9a-f]{48}@db\.example:6432/dragoman\n"
    assert re.fullmatch(renewed, url.read_text())
    refused = subprocess.run([*script, "renew", "nonsense"], env=env, capture_output=True)
    assert refused.returncode != 0
    assert b"Expected the name of a secret" in refused.stderr


def test_the_image_holds_what_runs_and_nothing_else() -> None:
    rules = (ROOT / ".dockerignore").read_text("utf-8").split()
    assert rules[rules.index("*") :][0] == "*"
    allowed = {rule.strip("!/") for rule in rules if rule.startswith("!")}
    assert allowed == {
        *(
            "dragoman",
            "pyproject.toml",
            "LICENSE",
            "requirements/run.lock",
            "requirements/otel.lock",
        ),
        *("shared", "services", "deploy", "cli"),
    }
    assert all((ROOT / name).exists() for name in allowed)


def test_every_variable_of_the_composition_is_in_the_page_about_it(
    compose: dict[str, Any],
) -> None:
    page = (ROOT / "docs" / "deployment.md").read_text("utf-8")
    rows = dict(re.findall(r"^\|`([A-Z_]+)`\|`?([^`|]*)`?\|", page, re.M))
    known = variables(compose)
    assert {name: rows.get(name) for name in known} == {
        name: default or "*empty*" for name, default in known.items()
    }
    assert set(rows) == set(known)
