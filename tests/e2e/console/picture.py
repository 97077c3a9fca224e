"""Takes the README's picture of the console: `python -m tests.e2e.console.picture [FILE]`.

A system of its own, with simulated servers in the states that providers are in.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from playwright.sync_api import ViewportSize, expect, sync_playwright

from tests import simulators as sims
from tests.e2e.console.conftest import ARGUMENTS
from tests.simulators import Mode, Simulator, running
from tests.system import ROOT, System

FILE = ROOT / "docs" / "images" / "console.png"
SIZE = ViewportSize(width=1280, height=700)
MOST_BYTES = 150_000
KEY = "sk-picture-0123456789"


def shown() -> list[tuple[str, Simulator, str | None, list[str], str]]:
    """Name, server, key, tags, and the state to wait for."""
    loading = sims.llama_cpp()
    loading.modes = {"chat": Mode.LOADING, "models": Mode.LOADING}
    return [
        ("vLLM on the cluster", sims.vllm(key=KEY), KEY, ["eu", "gpu"], "ok"),
        ("Ollama", sims.ollama(), None, ["laptop"], "ok"),
        ("OpenRouter", sims.openrouter(key=KEY), KEY, ["cloud"], "ok"),
        ("llama.cpp", loading, None, ["laptop"], "loading"),
        ("Groq", sims.groq(key=KEY), "sk-an-old-key-0123456789", ["cloud"], "auth_failed"),
        ("Perplexity", sims.no_models_route(key=KEY), KEY, ["cloud"], "no_models_route"),
    ]


def take(system: System, file: Path) -> None:
    """The providers' page of this system, as a PNG."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=list(ARGUMENTS)
        )
        page = browser.new_page(viewport=SIZE, color_scheme="light", reduced_motion="reduce")
        page.goto(f"{system.url}/login")
        page.get_by_role("textbox", name="API key").fill(system.admin_key)
        page.keyboard.press("Enter")
        page.wait_for_url(f"{system.url}/providers")
        expect(page.locator("h1")).to_have_text("Providers")
        page.screenshot(path=file, animations="disabled")
        browser.close()


def main() -> int:
    """Take it; 1 where it is larger than a README's picture may be."""
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        system = stack.enter_context(System(Path(folder) / "data"))
        for name, simulator, key, tags, state in shown():
            server = stack.enter_context(running(simulator))
            fields = {"api_key": key} if key else {}
            made = system.api.add_provider(name, server.endpoint, tags=tags, **fields)
            system.api.discovered(made["id"], state, 30)
        take(system, file)
    print(f"{file}: {file.stat().st_size:,} bytes")
    return int(file.stat().st_size > MOST_BYTES)


if __name__ == "__main__":
    sys.exit(main())
