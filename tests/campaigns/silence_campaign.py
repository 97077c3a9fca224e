"""Streams that say nothing for 40 s, in their middle and before their first chunk: no SDK minds.

Every client in turn of `tests/clients`, all of them at once; the silence begins after some chunks
where the client can ask the upstream for that, and before the first where it cannot.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from tests.campaigns.checker import Finding
from tests.campaigns.faults import Say
from tests.campaigns.stage import Stage, stage
from tests.clients import llm_settings
from tests.clients.installed import ClientFailed, Clients, installed
from tests.simulators import CountingSimulator, running
from tests.simulators.counting import text_of

SILENCE: Final = 40.0  # seconds
WORDS: Final = 6  # of what is said around a silence in the middle
LATE: Final = "answer to "  # what is said behind a silence before the first chunk
SDKS: Final = ("openai", "openai-6")  # the Node packages


def run(folder: Path, *, seconds: float, seed: int, say: Say) -> list[Finding]:
    """Round after round until `seconds` are over, one at least; a round takes 50 s."""
    finding = Finding("-", f"clients that {SILENCE:g} s of silence broke")
    clients = installed()
    with stage(folder, second_worker=False) as setting, running(slow()) as upstream:
        slug = setting.system.api.add_provider("slow", upstream.url)["slug"]
        began, rounds = time.monotonic(), 0
        while not rounds or time.monotonic() - began < seconds:
            rounds += 1
            finding.broken += _round(clients, setting, f"{slug}/sim-model", folder, say)
    return [finding]


def slow() -> CountingSimulator:
    """An upstream that thinks for as long before it answers."""
    return CountingSimulator(latency=SILENCE)


def _round(clients: Clients, setting: Stage, slow_model: str, folder: Path, say: Say) -> list[str]:
    asked: dict[str, Any] = {
        "url": setting.system.url,
        "key": setting.system.admin_key,
        "model": setting.model,
        "slow_model": slow_model,
        "pause": SILENCE,
    }
    settings = folder / "llm"
    settings.mkdir(exist_ok=True)
    llm_settings.write(settings, asked["url"], asked["key"], {"ours": slow_model})

    def llm() -> dict[str, Any]:
        env = {"LLM_USER_PATH": str(settings)}
        said = clients.run_python("-m", "llm", "prompt", "-m", "ours", "Hello", env=env)
        return {"late stream": said.removesuffix("\n")}

    works: dict[str, Callable[[], dict[str, Any]]] = {
        "Python": lambda: clients.run_script("silence.py", asked),
        "llm": llm,
    }
    for package in SDKS:
        given = {**asked, "package": package}
        works[package] = lambda given=given: clients.run_node("silence.cjs", given)  # type: ignore[misc]
    broken = []
    with ThreadPoolExecutor(len(works)) as pool:
        begun = {name: pool.submit(work) for name, work in works.items()}
        for name, work in begun.items():
            try:
                told = work.result()
            except ClientFailed as problem:
                broken.append(f"{name}: {problem}")
                continue
            say(f"{name} heard {', '.join(told)}")
            for case, said in told.items():
                if said != (LATE if case.startswith("late") else text_of(WORDS)):
                    broken.append(f"{name}, {case}: {said!r}")
    return broken
