"""What is compiled after an installation is what the processes import, and never stops a start."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from deploy import bootstrap, bytecode
from deploy.processes import PROCESSES
from deploy.venv import Venv


@pytest.fixture
def checkout(tmp_path: Path) -> Venv:
    """A checkout with one module, and this very Python."""
    (tmp_path / "ours.py").write_text("import wave\n")
    venv = Venv(tmp_path)
    venv.python = Path(sys.executable)
    return venv


def test_every_process_and_the_command_line_are_among_what_is_imported() -> None:
    named = [name for modules in bytecode.IMPORTED for name in modules]
    assert all(find_spec(name) for name in named)
    for module in (*(process.module for process in PROCESSES if process.module), "cli"):
        assert any(name.startswith(module) for name in named), module


def test_what_is_imported_is_compiled_also_where_python_is_told_to_keep_nothing(
    checkout: Venv, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.delenv("PYTHONPYCACHEPREFIX", raising=False)
    assert bytecode.compile_used(checkout, [("ours",)])
    assert list((checkout.root / "__pycache__").glob("ours.*.pyc"))


def test_what_cannot_be_imported_is_told(checkout: Venv, capfd: pytest.CaptureFixture[str]) -> None:
    assert not bytecode.compile_used(checkout, [("ours",), ("theirs",)])
    assert "No module named 'theirs'" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("command", "installed", "compiled"),
    [("up", True, 1), ("up", False, 0), ("test", True, 0), ("models", True, 1)],
)
def test_it_follows_an_installation_but_for_the_suites(
    monkeypatch: pytest.MonkeyPatch, command: str, installed: bool, compiled: int
) -> None:
    asked: list[Venv] = []
    monkeypatch.setattr(bootstrap, "ensure", lambda *_, **__: installed)
    monkeypatch.setattr(bootstrap, "compile_used", asked.append)
    monkeypatch.setattr("os.execve", lambda *_: None)
    bootstrap.main([command])
    assert len(asked) == compiled
