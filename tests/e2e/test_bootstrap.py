"""`./dragoman` before there is a .venv: what it makes, when, and what it says when it cannot."""

from __future__ import annotations

import ast
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from deploy import bootstrap, venv
from deploy.venv import CannotStart, Venv, ensure

ROOT = Path(__file__).parents[2]
UNINSTALLABLE = "nothing @ file:///nonexistent/nothing-1-py3-none-any.whl --hash=sha256:00\n"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Venv:
    """A checkout whose locks ask for nothing, so that real tools install them without network."""
    (tmp_path / "requirements").mkdir()
    for group in ("run", "demo", "test"):
        (tmp_path / "requirements" / f"{group}.lock").write_text(f"# {group}\n")
    # test.lock has uv: the script that came with it is first on PATH.
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    return Venv(tmp_path)


@pytest.fixture
def no_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(command: Sequence[str], *, quiet: bool = False) -> int:
        raise AssertionError(f"{command} was run")

    monkeypatch.setattr(venv, "_run", refuse)


def test_the_first_start_makes_the_venv_and_stamps_it_with_the_locks_digests(
    checkout: Venv,
) -> None:
    ensure(checkout, ("run", "demo"))
    assert subprocess.run([checkout.python, "-c", ""], check=False).returncode == 0
    stamp = json.loads(checkout.stamp.read_text())
    assert stamp == {"run": checkout.digest("run"), "demo": checkout.digest("demo")}


def test_a_complete_venv_is_left_alone(checkout: Venv, request: pytest.FixtureRequest) -> None:
    ensure(checkout, ("run",))
    request.getfixturevalue("no_tools")
    ensure(checkout, ("run",))


def test_a_changed_lock_is_installed_again_and_only_that(
    checkout: Venv, capfd: pytest.CaptureFixture[str]
) -> None:
    ensure(checkout, ("run", "demo"))
    capfd.readouterr()
    checkout.lock("run").write_text("# another\n")
    ensure(checkout, ("run",))
    said = capfd.readouterr().err
    assert "requirements/run.lock" in said
    assert "requirements/demo.lock" not in said
    assert not checkout.missing(("run", "demo"))


def test_a_group_that_was_there_follows_its_changed_lock(checkout: Venv) -> None:
    ensure(checkout, ("run", "demo"))
    checkout.lock("demo").write_text("# another\n")
    checkout.lock("run").write_text("# another\n")
    ensure(checkout, ("run",))
    assert not checkout.missing(("run", "demo"))


def test_a_failed_installation_is_not_taken_for_a_complete_one(checkout: Venv) -> None:
    ensure(checkout, ("run",))
    good = checkout.lock("run").read_text()
    checkout.lock("run").write_text(UNINSTALLABLE)
    with pytest.raises(CannotStart, match=r"Installing requirements/run\.lock failed"):
        ensure(checkout, ("run",))
    checkout.lock("run").write_text(good)
    assert checkout.missing(("run",)) == ["run"]


def test_an_interrupted_installation_is_not_taken_for_a_complete_one(
    checkout: Venv, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(venv, "_install", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ensure(checkout, ("run",))
    assert checkout.missing(("run",)) == ["run"]
    ensure(checkout, ("run",))
    assert not checkout.missing(("run",))


def test_a_venv_whose_python_has_gone_is_made_anew(checkout: Venv) -> None:
    ensure(checkout, ("run", "demo"))
    checkout.python.unlink()
    checkout.python.symlink_to("/nonexistent/python3")
    ensure(checkout, ("run",))
    assert subprocess.run([checkout.python, "-c", ""], check=False).returncode == 0
    assert checkout.missing(("run", "demo")) == ["demo"]


def test_of_two_simultaneous_starts_one_installs_and_the_other_waits(checkout: Venv) -> None:
    program = (
        "import sys; from pathlib import Path; from deploy.venv import Venv, ensure;"
        f"ensure(Venv(Path({str(checkout.root)!r})), ('run', 'demo'))"
    )
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    starts = [
        subprocess.Popen(
            [sys.executable, "-c", program], env=environ, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = "".join(start.communicate()[1] for start in starts)
    assert [start.returncode for start in starts] == [0, 0]
    assert said.count("Making ") == 1
    assert said.count("Installing ") == 2
    assert not checkout.missing(("run", "demo"))


def test_a_missing_venv_module_is_said_in_one_sentence_with_what_to_install(
    checkout: Venv, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(venv, "_uv", lambda: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        CannotStart, match=r"lacks its module venv: .*`apt install python3\.\d+-venv"
    ):
        ensure(checkout, ("run",))


def test_without_uv_the_venv_module_and_pip_do_it(
    checkout: Venv, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(venv, "_uv", lambda: None)
    ensure(checkout, ("run",))
    assert "requirements/run.lock with pip" in capfd.readouterr().err
    assert not checkout.missing(("run",))


def test_an_old_python_can_read_the_script_and_says_what_to_install(tmp_path: Path) -> None:
    source = (ROOT / "dragoman").read_text()
    ast.parse(source, feature_version=(3, 4))
    program = (
        "import runpy, sys; sys.version_info = (3, 8, 2);"
        f"runpy.run_path({str(ROOT / 'dragoman')!r}, run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Dragoman needs Python 3.11 or newer and found 3.8: install one")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("system", "machine", "libc", "supported"),
    [
        ("Linux", "x86_64", "glibc", True),
        ("Linux", "aarch64", "glibc", True),
        ("Linux", "x86_64", "", False),
        ("Linux", "riscv64", "glibc", False),
        ("Darwin", "arm64", "", True),
        ("Windows", "AMD64", "", False),
        ("FreeBSD", "amd64", "", False),
    ],
)
def test_platforms_without_an_embedded_valkey_are_told_so_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, system: str, machine: str, libc: str, supported: bool
) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "libc_ver", lambda: (libc, ""))
    monkeypatch.setattr(platform, "mac_ver", lambda: ("14.5", ("", "", ""), ""))
    sentence = bootstrap.unsupported()
    assert (sentence is None) is supported
    assert supported or ("REDIS_URL" in str(sentence) and "WSL2" in str(sentence))


def test_paths_are_relative_to_the_caller_whose_directory_is_no_place_to_import_from(
    tmp_path: Path,
) -> None:
    for decoy in ("deploy", "shared"):
        (tmp_path / decoy).mkdir()
        (tmp_path / decoy / "__init__.py").write_text("raise SystemExit('imported from the cwd')")
    environ = {k: v for k, v in os.environ.items() if not k.startswith("DRAGOMAN_")}
    done = subprocess.run(
        [ROOT / "dragoman", "config", "--data-dir", "here"],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"DRAGOMAN_DATA_DIR={tmp_path}/here" in done.stdout.splitlines()


def test_help_and_version_need_nothing_installed() -> None:
    for argument in ("--help", "--version"):
        program = f"from deploy.bootstrap import main; main([{argument!r}])"
        # -S: without site-packages, as on a machine that has only Python.
        done = subprocess.run(
            [sys.executable, "-S", "-c", program],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "dragoman" in done.stdout


def test_the_locks_agree_on_every_package_that_they_share() -> None:
    versions: dict[str, set[str]] = {}
    for group in ("run", "demo", "test"):
        lock = (ROOT / "requirements" / f"{group}.lock").read_text()
        for name, version in re.findall(r"^([a-z0-9-]+)==([^ ;]+)", lock, re.MULTILINE):
            versions.setdefault(name, set()).add(version)
    assert len(versions) > 60
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}
