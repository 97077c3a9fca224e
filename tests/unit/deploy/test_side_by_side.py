"""How the suite is shared out between two processes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from tests.side_by_side import turn_of, unit_of


def test_whole_systems_stay_in_one_process_and_so_do_the_tests_of_a_file() -> None:
    assert unit_of("tests/e2e/test_up.py::test_a") == unit_of("tests/e2e/test_demo.py::test_b")
    composed = "tests/integration/deployment/composed"
    assert unit_of(f"{composed}/test_a.py::test_a") == unit_of(f"{composed}/test_b.py::test_b")
    assert unit_of("tests/unit/a/test_x.py::test_a[1::2]") == "tests/unit/a/test_x.py"
    assert unit_of("tests/unit/b/test_x.py::test_a") == "tests/unit/b/test_x.py"


def test_the_slow_layers_begin() -> None:
    names = ("unit/x/t.py::a", "contract/t.py::b", "integration/t.py::c", "e2e/t.py::d")
    items = [cast(Any, SimpleNamespace(nodeid=f"tests/{name}")) for name in names]
    assert [item.nodeid[-1] for item in sorted(items, key=turn_of)] == ["d", "c", "b", "a"]
