"""`./dragoman demo`: a real model behind the whole system."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.system import ROOT, free_port

pytestmark = pytest.mark.skipif(
    find_spec("xllamacpp") is None and os.environ.get("CI") != "true",
    reason="demo.lock is not installed: ./dragoman test installs it",
)


def demo(data_dir: Path) -> str:
    environ = {k: v for k, v in os.environ.items() if not k.startswith("DRAGOMAN_")}
    place = ("--data-dir", str(data_dir), "--port", str(free_port()))
    done = subprocess.run(
        [sys.executable, "-P", "-m", "deploy", "demo", "--once", *place],
        env={**environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_prints_a_real_answer_with_id_tokens_and_timings_twice_on_one_data_directory(
    tmp_path: Path,
) -> None:
    ids = set()
    for _ in range(2):
        said = demo(tmp_path)
        found = re.search(r"^Job +(chatcmpl-\S+), completed$", said, re.MULTILINE)
        assert found, said
        ids.add(found[1])
        assert re.search(r"^Answer +\S.*translat", said, re.MULTILINE), said
        assert re.search(r"^Tokens +[1-9]\d* in, [1-9]\d* out$", said, re.MULTILINE), said
        assert re.search(r"^Timings +.*finished after \d+\.\d\d s$", said, re.MULTILINE), said
    assert len(ids) == 2
