"""What `llm` must be told to know models of a Dragoman."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path


def write(folder: Path, url: str, key: str, models: Mapping[str, str]) -> None:
    """Its settings in the folder that LLM_USER_PATH will name; `models`: its name → our id."""
    base = {"api_base": f"{url}/v1", "api_key_name": "dragoman"}
    known = [{"model_id": name, "model_name": model, **base} for name, model in models.items()]
    # YAML is a superset of JSON.
    (folder / "extra-openai-models.yaml").write_text(json.dumps(known), encoding="utf-8")
    (folder / "keys.json").write_text(json.dumps({"dragoman": key}), encoding="utf-8")
