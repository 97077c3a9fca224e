"""A real llama.cpp server with a real model, with and without a key of its own."""

from __future__ import annotations

from deploy.llama_server import ALIAS
from tests.api import Api
from tests.eventually import eventually
from tests.llama_cpp import llama_server, needs_llama_cpp

OLD_KEY = "sk-llama-old-0123456789"
NEW_KEY = "sk-llama-new-0123456789"
JOBS = 24
QUESTION = [{"role": "user", "content": "Say hello."}]

pytestmark = needs_llama_cpp


def test_without_a_key_it_is_registered_discovered_and_answers(api: Api, name: str) -> None:
    with llama_server() as url:
        provider = api.add_provider(name, url)
        found = api.discovered(provider["id"], "ok", 10)
        assert found["discovery"]["model_count"] == 1
        assert found["discovery"]["key_verified_at"] is None
        answer = api.chat(f"{provider['slug']}/{ALIAS}", messages=QUESTION, max_tokens=4)
        assert answer.status_code == 200, answer.text
        assert answer.json()["usage"]["completion_tokens"] == 4


def test_a_key_is_rotated_while_jobs_run_and_none_fails(api: Api, name: str) -> None:
    with llama_server(OLD_KEY, NEW_KEY) as url:
        provider = api.add_provider(name, url, api_key=OLD_KEY)
        path = f"/v1/providers/{provider['id']}"
        found = api.discovered(provider["id"], "ok", 10)
        # This version lists models only to who has a key, so that the list proves it.
        assert found["discovery"]["key_verified_at"] is not None
        model = f"{provider['slug']}/{ALIAS}"
        ids = [
            api.submit(model, messages=QUESTION, max_tokens=4, metadata={"n": str(number)})
            for number in range(JOBS)
        ]
        eventually(lambda: api.job(ids[2])["status"] == "completed", 60)
        rotated = api.http.patch(path, json={"api_key": NEW_KEY}).json()
        assert rotated["api_key"]["fingerprint"] != provider["api_key"]["fingerprint"]
        assert rotated["discovery"]["key_verified_at"] is None
        assert api.job(ids[-1])["status"] != "completed"  # it was rotated under way
        jobs = api.ended(ids, 90)
        assert {job["status"] for job in jobs.values()} == {"completed"}
        proven = eventually(lambda: api.http.get(path).json()["discovery"]["key_verified_at"], 10)
        assert proven >= rotated["api_key"]["rotated_at"]


def test_a_wrong_key_shows_and_the_right_one_mends_it(api: Api, name: str) -> None:
    with llama_server(NEW_KEY) as url:
        provider = api.add_provider(name, url, api_key=OLD_KEY)
        path = f"/v1/providers/{provider['id']}"
        found = api.discovered(provider["id"], "auth_failed", 10)
        assert found["discovery"]["error"]["code"] == "upstream_authentication_failed"
        answer = api.chat(f"{provider['slug']}/{ALIAS}", messages=QUESTION, max_tokens=4)
        assert answer.json()["error"]["code"] == "upstream_authentication_failed"
        api.http.patch(path, json={"api_key": NEW_KEY})
        mended = api.discovered(provider["id"], "ok", 10)
        assert mended["discovery"]["model_count"] == 1
