"""The tolerant parser of model lists, for every shape that servers were seen to answer."""

from __future__ import annotations

from typing import Any, Final

from shared.upstream._contract import ListedModel, ModelList

MAX_ENTRIES: Final = 5000
MAX_ID: Final = 256  # characters
_LARGEST: Final = 2**53 - 1  # what JSON clients read exactly
_CONTEXT_FIELDS: Final = (
    ("max_model_len",),
    ("context_length",),
    ("context_window",),
    ("max_context_length",),
    ("meta", "n_ctx"),
    ("meta", "n_ctx_train"),
)


class NotAModelList(ValueError):
    """The document has none of the shapes; the message ends the sentence "got …"."""


def models(document: Any) -> ModelList:
    """The models of `{data: […]}`, `[…]`, `{data: null}` or `{models: […]}`.

    Entries without a usable id, duplicates and those past the first 5,000 are counted as dropped.
    Raises NotAModelList.
    """
    entries = _entries(document)
    found: dict[str, ListedModel] = {}
    for entry in entries:
        if len(found) == MAX_ENTRIES:  # a million others are not even looked at
            break
        model = _model(entry)
        if model is not None:
            found.setdefault(model.id, model)
    return ModelList(models=tuple(found.values()), dropped=len(entries) - len(found))


def _entries(document: Any) -> list[Any]:
    if isinstance(document, list):
        return document
    if not isinstance(document, dict):
        raise NotAModelList("JSON that is neither a list nor an object")
    for name in ("data", "models"):
        if isinstance(entries := document.get(name), list):
            return entries
    if "data" in document and document["data"] is None:  # Ollama without models
        return []
    raise NotAModelList("JSON without a list of models")


def _model(entry: Any) -> ListedModel | None:
    raw = {"id": entry} if isinstance(entry, str) else entry
    if not isinstance(raw, dict):
        return None
    name = next((raw[key] for key in ("id", "name", "model") if _usable(raw.get(key))), None)
    if name is None:
        return None
    owner = raw.get("owned_by")
    return ListedModel(
        id=name,
        created=_count(raw.get("created"), least=0),
        owned_by=owner[:MAX_ID] if isinstance(owner, str) and owner else None,
        context_length=_context_length(raw),
        raw=raw,
    )


def _usable(name: Any) -> bool:
    if not isinstance(name, str) or len(name) > MAX_ID:
        return False
    # U+FFFD stands where something was that cannot be stored, nor sent back as it came.
    return name.isprintable() and bool(name.strip()) and "\ufffd" not in name


def _context_length(raw: dict[str, Any]) -> int | None:
    for path in _CONTEXT_FIELDS:
        value: Any = raw
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        if (length := _count(value, least=1)) is not None:
            return length
    return None


def _count(value: Any, *, least: int) -> int | None:
    """A whole number in range, also when written as a float; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return int(value) if least <= value <= _LARGEST else None
