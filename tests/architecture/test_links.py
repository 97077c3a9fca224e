"""Links between the pages lead to files and headings, and the README's proofs to tests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.scenarios import SCENARIOS
from tests.campaigns.__main__ import CAMPAIGNS

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]*))?\)")
_TESTS = re.compile(r"`\./dragoman test ((?:tests/[\w/.]+ ?)+)`")
_CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The headings as GitHub links them: small letters, hyphens for spaces, no punctuation."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    lost = []
    for path, anchor in _LINK.findall(_CODE.sub("", page.read_text("utf-8"))):
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            lost.append(f"{path}#{anchor}")
    assert lost == []


def test_every_page_is_reached_from_the_readme() -> None:
    reached, ahead = set(), [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in reached or page.suffix != ".md" or not page.exists():
            continue
        reached.add(page)
        links = _LINK.findall(_CODE.sub("", page.read_text("utf-8")))
        ahead += [(page.parent / path).resolve() for path, _ in links if path]
    alone = {page.relative_to(ROOT).as_posix() for page in set(PAGES) - reached}
    assert {name for name in alone if not name.startswith("docs/decisions/")} == set()


def section(title: str) -> str:
    page = (ROOT / "README.md").read_text("utf-8")
    return page.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_the_readme_s_proofs_exist() -> None:
    told = section("What it withstands")
    named = {path for paths in _TESTS.findall(told) for path in paths.split()}
    assert {path for path in named if not (ROOT / path).exists()} == set()
    listed = re.findall(r"\*M\* ((?:`\w+`(?:, )?)+)", told)
    campaigns = {name for names in listed for name in re.findall(r"`(\w+)`", names)}
    assert campaigns <= set(CAMPAIGNS)
    assert min(len(named), len(campaigns)) > 1


def test_the_readme_s_measurements_exist() -> None:
    measured = re.findall(r"\./dragoman benchmark --only ([a-z -]+)`", section("What it costs"))
    scenarios = {name for names in measured for name in names.split()}
    assert set() < scenarios <= set(SCENARIOS)


def test_the_page_of_benchmarks_names_every_scenario() -> None:
    page = (ROOT / "docs" / "benchmarks.md").read_text("utf-8")
    assert set(re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE)) == set(SCENARIOS)
