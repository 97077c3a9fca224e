"""The package's page of contents: all of it is there, and the HTTP libraries load late."""

from __future__ import annotations

import subprocess
import sys

import pytest

import shared.upstream


def test_everything_on_the_page_exists() -> None:
    assert all(getattr(shared.upstream, name) for name in shared.upstream.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        shared.upstream.Nothing  # noqa: B018


def test_resolver_policy_and_contract_load_no_http_library() -> None:
    program = (
        "import sys, shared.upstream.endpoint, shared.upstream.policy\n"
        "print(sorted({'httpx', 'aiohttp', 'httptools', 'ssl'} & set(sys.modules)))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == "[]"
