"""A scene for each test."""

from __future__ import annotations

import pytest

from tests.unit.cli.scene import Scene


@pytest.fixture
def scene(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Scene:
    """Commands against a server of the test's own."""
    return Scene(capsys, monkeypatch)
