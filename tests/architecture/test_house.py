"""The rules of the house that no linter knows."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from cli import connection
from shared.config import SETTINGS, Setting
from shared.secret_files import FILES

ROOT = Path(__file__).parents[2]
PACKAGES = ("shared", "services", "deploy", "cli", "benchmarks")
ENTRY_POINTS = re.compile(r"(/__main__\.py|^deploy/)")


def tracked(*patterns: str) -> list[Path]:
    """The files of the project, as git knows them."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [path for name in listed.stdout.split() if (path := ROOT / name).exists()]


def product_files() -> list[Path]:
    found = tracked(*[f"{package}/*.py" for package in PACKAGES], "dragoman")
    return [path for path in found if "migrations/versions" not in str(path)]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_only_entry_points_read_the_environment() -> None:
    readers = [
        relative(path)
        for path in product_files()
        if path.suffix == ".py"
        and not path.is_relative_to(ROOT / "benchmarks")
        and re.search(r"os\.(environ|getenv)", path.read_text("utf-8"))
    ]
    assert [name for name in readers if not ENTRY_POINTS.search(name)] == []


def test_only_upstream_calls_out() -> None:
    """Every outgoing call passes the guard; `demo` and the CLI talk to the registry as clients."""
    imports = re.compile(r"^\s*(import|from) (httpx|httptools|aiohttp|requests)\b", re.M)
    callers = [
        relative(path) for path in product_files() if imports.search(path.read_text("utf-8"))
    ]
    allowed = ("shared/upstream/", "deploy/", "cli/", "benchmarks/")
    assert [name for name in callers if not name.startswith(allowed)] == []


def test_locks_hold_hashes_and_no_address() -> None:
    locks = tracked("requirements/*.lock")
    assert {path.stem for path in locks} == {"run", "otel", "test", "demo", "clients", "benchmark"}
    for path in locks:
        text = path.read_text("utf-8")
        assert "--hash=sha256:" in text
        assert "://" not in text
    for path in tracked("*package-lock.json"):
        packages = json.loads(path.read_text("utf-8"))["packages"]
        assert all("integrity" in found for name, found in packages.items() if name)
        assert not any("resolved" in found for found in packages.values())


def test_broad_handlers_log_or_raise() -> None:
    swallowing = re.compile(r"except( Exception| BaseException)?:\s*\n\s*(pass|\.\.\.|continue)\b")
    assert [
        relative(path) for path in product_files() if swallowing.search(path.read_text("utf-8"))
    ] == []


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=lambda setting: setting.variable)
def test_every_setting_has_its_row_in_the_readme(setting: Setting) -> None:
    default = f"`{setting.default}`" if setting.default else "*empty*"
    row = f"| `{setting.variable}` | {default} | {setting.meaning} |"
    assert row in (ROOT / "README.md").read_text("utf-8").splitlines()


def test_the_readme_names_no_setting_that_does_not_exist() -> None:
    named = set(re.findall(r"DRAGOMAN_[A-Z_]+[A-Z]", (ROOT / "README.md").read_text("utf-8")))
    settings = {setting.variable for setting in SETTINGS.values()}
    assert named <= settings | set(connection.VARIABLES) | FILES.keys()
