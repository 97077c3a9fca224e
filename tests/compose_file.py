"""What the deployment files say, read by the YAML library that the clients' environment holds."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from tests.clients.installed import ClientsMissing, installed

ROOT: Final = Path(__file__).parent.parent
_TO_JSON: Final = (
    "import json, sys, yaml; print(json.dumps([list(yaml.safe_load_all(open(name)))"
    " for name in sys.argv[1:]]))"
)
_VARIABLE: Final = re.compile(r"\$\{([A-Z_]+):-([^}]*)\}")


def documents(*paths: Path) -> list[list[Any]]:
    """The documents of each file; skips where the library cannot be had, fails where CI=true."""
    try:
        told = installed().run_python("-c", _TO_JSON, *map(str, paths))
    except ClientsMissing as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must not skip this: {missing}")
        pytest.skip(str(missing))
    found: list[list[Any]] = json.loads(told)
    return found


def composition() -> dict[str, Any]:
    """docker-compose.yml as it is written: variables stand where they stand."""
    ((found,),) = documents(ROOT / "docker-compose.yml")
    assert isinstance(found, dict)
    return found


def variables(value: Any) -> dict[str, str]:
    """Variable → default of everything that can be set from outside."""
    return dict(_VARIABLE.findall(json.dumps(value)))


def filled(value: Any, given: Mapping[str, str] | None = None) -> Any:
    """The same with every variable's value, else its default, in its place."""
    known = given or {}
    if isinstance(value, str):
        return _VARIABLE.sub(lambda match: known.get(match[1], match[2]), value)
    if isinstance(value, list):
        return [filled(each, known) for each in value]
    if isinstance(value, dict):
        return {key: filled(each, known) for key, each in value.items()}
    return value


def image_environment() -> dict[str, str]:
    """The variables that the image sets for every container of ours."""
    text = (ROOT / "Dockerfile").read_text("utf-8").rpartition("FROM ")[2]
    block = re.search(r"^ENV ((?:.*\\\n)*.*)$", text, re.M)
    assert block is not None
    return dict(re.findall(r"([A-Z_]+)=(\S+)", block[1]))
