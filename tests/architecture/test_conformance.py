"""docs/conformance.md names tests and campaigns that exist; every file of the clients is on it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.campaigns.__main__ import CAMPAIGNS

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "conformance.md").read_text("utf-8")
NAMED = set(re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE))


def functions_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    found = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    return {name for name in found if name.startswith("test_")}


def test_what_the_page_names_exists() -> None:
    missing = {
        f"{path}::{name}"
        for path, name in NAMED
        if not (TESTS / path).exists() or name not in functions_of(TESTS / path)
    }
    assert missing == set()
    assert set(re.findall(r"`campaign (\w+)`", PAGE)) <= set(CAMPAIGNS)


def test_every_file_of_the_clients_is_on_the_page() -> None:
    files = {path.relative_to(TESTS).as_posix() for path in TESTS.glob("e2e/clients/test_*.py")}
    assert files <= {path for path, _ in NAMED}


def test_each_sentence_has_a_test_and_each_row_two_cells() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("|")]
    sentences = [row for row in rows if row not in ("|---|---|", "| what holds | tests |")]
    assert len(sentences) > 50
    assert [row for row in sentences if row.count("|") != 3 or "`" not in row.split("|")[2]] == []
