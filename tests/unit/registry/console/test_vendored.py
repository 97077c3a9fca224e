"""What the console carries of others is what their packages hold, with their licences."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from services.registry.console.assets import FOLDER

VENDOR: Path = FOLDER / "vendor"
MANIFEST: list[dict[str, Any]] = json.loads((VENDOR / "manifest.json").read_text("utf-8"))


@pytest.mark.parametrize("entry", MANIFEST, ids=lambda entry: str(entry["package"]))
def test_a_vendored_file_is_the_one_in_the_manifest(entry: dict[str, Any]) -> None:
    content = (VENDOR / entry["file"]).read_bytes()
    assert hashlib.sha256(content).hexdigest() == entry["sha256"]
    assert entry["version"].encode() in content[:400]
    assert (VENDOR / entry["license_file"]).stat().st_size > 500
    assert entry["license"]


def test_nothing_vendored_is_missing_in_the_manifest() -> None:
    named = {entry[name] for entry in MANIFEST for name in ("file", "license_file")}
    assert {path.name for path in VENDOR.iterdir()} == named | {"manifest.json"}
