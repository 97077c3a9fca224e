"""Keys and conversations are planted, the system is used in every way, and then we look."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.api import CHAT, Api
from tests.simulators import CountingSimulator, running
from tests.system import System

KEY = "sk-canary-provider-key-0123456789abcdef"
WORDS = "canary-words-of-a-conversation"


def files_below(folder: Path) -> Iterator[Path]:
    yield from (path for path in folder.rglob("*") if path.is_file())


def test_planted_secrets_are_nowhere_but_in_the_header_sent_to_their_provider(
    system: System, api: Api, name: str
) -> None:
    messages = [{"role": "user", "content": WORDS}]
    with (
        running(CountingSimulator(key=KEY)) as good,
        running(CountingSimulator(key="other")) as bad,
    ):
        providers = [
            api.add_provider(f"{name} {n}", sim.url, api_key=KEY)
            for n, sim in enumerate((good, bad))
        ]
        answers = [api.http.get(f"/v1/providers/{p['id']}").text for p in providers]
        for provider in providers:
            model = f"{provider['slug']}/sim-model"
            body = {"model": model, "messages": messages}
            answers.append(api.http.post(CHAT, json=body).text)
            job_id = api.http.post(CHAT, json={**body, "background": True}).json()["id"]
            answers.append(str(api.ended([job_id], 20)))
        # Bad input must not echo it either.
        answers.append(
            api.http.post("/v1/providers", json={"name": "x", "api_key": KEY + "\n"}).text
        )
        sent = [r.headers.get("authorization") for r in good.simulator.requests]
        assert f"Bearer {KEY}" in sent
    answers.append(api.http.get("/v1/providers").text)
    assert not [answer for answer in answers if KEY in answer]
    # A name that is not secret shows that the search works.
    places = [*files_below(system.data_dir), system.log]
    contents = {path: path.read_bytes() for path in places}
    assert [path for path, raw in contents.items() if providers[0]["id"].encode() in raw]
    for secret in (KEY, WORDS):
        assert [path for path, raw in contents.items() if secret.encode() in raw] == []
    # The admin key is in its own file and nowhere else, the log included.
    holders = [path for path, raw in contents.items() if system.admin_key.encode() in raw]
    assert holders == [system.data_dir / "admin.key"]
