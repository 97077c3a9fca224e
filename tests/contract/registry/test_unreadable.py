"""What does not open with the keyring in force is told in its own row; everything else is read."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import sqlalchemy as sa

from shared import ids
from shared.crypto import Sealer
from shared.domain import JobState
from shared.keyring import Keyring
from shared.store import checks
from shared.store.jobs import ClaimedJob
from shared.store.schema import chat_job, discovery, provider_check
from tests.contract.registry.conftest import CHAT, Registry, refused
from tests.contract.registry.test_jobs import foreground
from tests.contract.registry.test_metrics import samples

WORDS = "s3cret words"
UNREADABLE = "dragoman_values_unreadable_total"
RESULT = {"choices": [{"index": 0, "message": {"role": "assistant", "content": WORDS}}]}
LOST = Sealer(Keyring.generate())  # as if its key had been taken off the keyring by hand


def lose(registry: Registry, table: sa.Table, row: str, column: str) -> None:
    """Seal this value with a key that no keyring holds."""
    (key,) = table.primary_key.columns
    sealed = LOST.seal(WORDS.encode(), table=table.name, row=row, column=column)
    with registry.database.write() as tx:
        tx.execute(sa.update(table).where(key == row).values({column: sealed}))


def lose_of_job(registry: Registry, job: dict[str, Any], column: str) -> None:
    lose(registry, chat_job, job["id"].removeprefix(ids.COMPLETION), column)


def test_a_result_that_does_not_open_is_an_error_beside_its_state(
    registry: Registry, slug: str, caplog: pytest.LogCaptureFixture
) -> None:
    job = registry.submit(f"{slug}/m")
    registry.completed(job["id"], RESULT)
    lose_of_job(registry, job, "result_sealed")
    with caplog.at_level(logging.ERROR):
        answer = registry.get(f"{CHAT}/{job['id']}")
    read = answer.get_json()
    assert (answer.status_code, read["status"], read["choices"]) == (200, "completed", [])
    assert read["error"]["code"] == "unreadable"
    assert "keyring" in read["error"]["message"]
    (told,) = caplog.records
    assert f"{job['id'].removeprefix(ids.COMPLETION)} result_sealed" in told.getMessage()
    assert (told.exc_info, WORDS in caplog.text) == (None, False)


def test_every_read_of_what_does_not_open_is_counted_whatever_it_is_answered_with(
    registry: Registry, slug: str
) -> None:
    job = registry.submit(f"{slug}/m")
    registry.completed(job["id"], RESULT)
    lose_of_job(registry, job, "result_sealed")
    check_id = ids.new(ids.CHECK)
    with registry.database.write() as tx:
        checks.insert(tx, check_id, key_id="key_1", request_sealed="", now=registry.parts.now())
    lose(registry, provider_check, check_id, "result_sealed")
    [before] = samples(registry, UNREADABLE).values()
    assert registry.get(f"{CHAT}/{job['id']}").status_code == 200
    assert samples(registry, UNREADABLE) == {(): before + 1}
    assert registry.get(f"/v1/providers/checks/{check_id}").status_code == 500
    assert samples(registry, UNREADABLE) == {(): before + 2}


def test_a_failure_that_does_not_open_keeps_its_code(registry: Registry, slug: str) -> None:
    job = registry.submit(f"{slug}/m")
    (claimed,) = registry.claim(job["id"])
    error = {"message": "m", "type": "upstream_error", "code": "upstream_timeout", "param": None}
    registry.finish(claimed, JobState.FAILED, error_code="upstream_timeout", error=error)
    lose_of_job(registry, job, "error_sealed")
    answer = registry.get(f"{CHAT}/{job['id']}")
    read = answer.get_json()["error"]
    assert (answer.status_code, read["code"]) == (200, "upstream_timeout")
    assert "keyring" in read["message"]


def test_a_call_that_waited_for_such_a_result_is_refused(registry: Registry, slug: str) -> None:
    def end(claimed: ClaimedJob) -> None:
        sealed = LOST.seal(b"{}", table="chat_job", row=claimed.id, column="result_sealed")
        registry.finish(claimed, JobState.COMPLETED, result_sealed=sealed)

    answer = foreground(registry, f"{slug}/m", end)
    refused(answer, 500, "unreadable")
    assert answer.headers["x-should-retry"] == "false"


def test_a_verdict_that_does_not_open_leaves_its_provider_and_the_list_readable(
    registry: Registry,
) -> None:
    provider = registry.add()
    registry.discovered(provider["id"], "m", status="unreachable", error={"message": "gone"})
    lose(registry, discovery, provider["id"], "error_sealed")
    for answer in (
        registry.get(f"/v1/providers/{provider['id']}"),
        registry.get("/v1/providers?limit=100"),
    ):
        assert answer.status_code == 200, answer.text
    read = registry.get(f"/v1/providers/{provider['id']}").get_json()["discovery"]
    assert (read["status"], read["model_count"]) == ("unreachable", 1)
    assert read["error"]["code"] == "unreadable"


def test_a_check_that_does_not_open_is_refused_without_a_stack_trace(
    registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    check_id = ids.new(ids.CHECK)
    with registry.database.write() as tx:
        checks.insert(tx, check_id, key_id="key_1", request_sealed="", now=registry.parts.now())
    lose(registry, provider_check, check_id, "result_sealed")
    refused(registry.get(f"/v1/providers/checks/{check_id}"), 500, "unreadable")
    assert [record.exc_info for record in caplog.records if record.levelno >= logging.ERROR] == [
        None
    ]
