"""schemathesis on the OpenAPI document of a running system: promise 18.

Its own command line runs: every operation with data that fits the document and data that does not,
and scenarios of several calls by the links that it infers. Short form: the same cases each time.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.api import Api
from tests.campaigns.api_rules import SPARED
from tests.campaigns.checker import Finding
from tests.campaigns.faults import Say
from tests.simulators import spawned
from tests.system import ROOT, System

HANG: Final = 5.0  # seconds
SHORT_EXAMPLES: Final = 2  # of each operation, where there is no time to spend
SLUG: Final = "acme"  # what the document's examples call
CHECKS: Final = (
    *("failures_are_an_upstreams", "errors_have_one_shape"),
    *("status_code_conformance", "content_type_conformance", "response_headers_conformance"),
    *("answers_fit_their_schema", "what_was_deleted_is_gone"),
    *("negative_data_rejection", "missing_required_header", "unsupported_method"),
    *("ensure_resource_availability", "ignored_auth"),
)
_COMMAND: Final = "from schemathesis.cli import schemathesis as c; c()"
_FAILED: Final = re.compile(r"^_{3,} (.+?) _{3,}$", re.MULTILINE)


def run(folder: Path, *, seconds: float, seed: int, say: Say) -> list[Finding]:
    """All phases until `seconds` are over, on a system of its own; 0: the short form."""
    with (
        tempfile.TemporaryDirectory(prefix="dragoman-") as short,  # for the socket's path
        spawned() as upstream,
        System(Path(short) / "data", env={"DRAGOMAN_GRACE_SECONDS": "1"}) as system,
    ):
        findings = play(system, upstream.url, folder, seconds=seconds, seed=seed, say=say)
        if any(not finding.holds for finding in findings):
            (folder / "system.log").write_bytes(system.log.read_bytes())
        return findings


def play(
    system: System, upstream: str, folder: Path, *, seconds: float, seed: int, say: Say
) -> list[Finding]:
    """The same on a system that runs; `folder` gets schemathesis's report."""
    api = system.api
    spared = _prepared(api, upstream)
    report = folder / "schemathesis.json"
    arguments = [
        *("run", f"{system.url}/openapi.json", "-H", f"Authorization: Bearer {system.admin_key}"),
        *("--checks", ",".join(CHECKS), "--max-response-time", f"{HANG:g}"),
        *("--request-timeout", f"{HANG:g}", "--continue-on-failure", "--warnings", "off"),
        *("--suppress-health-check", "filter_too_much,too_slow"),
        *("--no-color", "--report", "json", "--report-json-path", str(report)),
    ]
    if seconds:
        arguments += ["--max-time", f"{max(seconds, 1):.0f}", "--seed", str(seed), "--workers", "2"]
        arguments += ["--generation-database", "none", "-n", "1000"]
    else:
        arguments += ["--phases", "fuzzing,stateful", "-n", str(SHORT_EXAMPLES), "--no-shrink"]
        arguments += ["--generation-deterministic"]
    output = _called(arguments, spared, folder, limit=2 * seconds + 120)
    (folder / "schemathesis.txt").write_text(output, "utf-8")
    found = json.loads(report.read_text("utf-8"))
    say(f"{found['test_cases']['generated']} cases of {found['operations']['tested']} operations")
    return judge(found, output)


def _prepared(api: Api, upstream: str) -> Mapping[str, str]:
    """A provider by the name that the document's examples call; what is to be spared."""
    provider = api.add_provider(SLUG, upstream)
    api.discovered(provider["id"], "ok", timeout=20)
    key_id = api.http.get("/v1/me").json()["key_id"]
    return {SPARED: ",".join((provider["id"], SLUG, key_id))}


def _called(
    arguments: Sequence[str], environ: Mapping[str, str], folder: Path, *, limit: float
) -> str:
    """What schemathesis printed; its exit status only repeats its report.

    It keeps files of its own where it runs.
    """
    done = subprocess.run(
        [sys.executable, "-P", "-c", _COMMAND, *arguments],
        cwd=folder,
        env={
            **os.environ,
            **environ,
            "PYTHONPATH": str(ROOT),
            "SCHEMATHESIS_HOOKS": "tests.campaigns.api_rules",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=limit,
        check=False,
    )
    if done.returncode not in (0, 1):
        raise RuntimeError(f"schemathesis ended with {done.returncode}:\n{done.stderr}")
    return done.stdout


def judge(found: Mapping[str, Any], output: str) -> list[Finding]:
    """One finding for each kind of failure, and one for what was not tried."""
    findings = []
    for failure in found["failures"]:
        finding = Finding("18", f"schemathesis: {failure['title']} ({failure['code']})")
        finding.broken.extend(str(operation) for operation in failure["operations"])
        findings.append(finding)
    errors = Finding("18", f"calls that broke off or took more than {HANG:g} s")
    errors.broken.extend(f"{error['count']} times {error['title']}" for error in found["errors"])
    if errors.broken:
        errors.broken.extend(_FAILED.findall(output))
    untried = Finding("-", "operations that were not tried")
    operations = found["operations"]
    if missing := operations["total"] - operations["tested"]:
        untried.broken.append(f"{missing} of {operations['total']}")
    return [*findings, errors, untried]
