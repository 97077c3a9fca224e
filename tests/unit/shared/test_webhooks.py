"""Secrets of webhooks and what is signed with them, after Standard Webhooks."""

from __future__ import annotations

import base64

import pytest
from openai import InvalidWebhookSignatureError, OpenAI

from shared import webhooks
from shared.telemetry import Secret
from shared.webhooks import Webhook

# The specification's own example.
EXAMPLE = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def secret_of(size: int) -> str:
    return "whsec_" + base64.b64encode(bytes(range(size))).decode()


def test_the_specifications_example_is_signed_as_it_says() -> None:
    event_id, body = "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}'
    assert webhooks.headers(Secret(EXAMPLE), event_id, body, now=1614265330.9) == {
        "webhook-id": event_id,
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@pytest.mark.parametrize("text", [EXAMPLE, *map(secret_of, (24, 25, 26, 32, 63, 64))])
def test_a_secret_is_24_to_64_bytes(text: str) -> None:
    assert webhooks.is_secret(text)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "whsec_",
            EXAMPLE.removeprefix("whsec_"),
            EXAMPLE + "\n",
            " " + EXAMPLE,
            EXAMPLE[:-1],
        ),
        *(secret_of(23), secret_of(65), secret_of(25).rstrip("="), EXAMPLE.replace("w", "-")),
        *("WHSEC_" + EXAMPLE[6:], "whsec_" + "é" * 32, "whsec_whsec_" + EXAMPLE[6:]),
    ],
)
def test_what_is_no_secret(text: str) -> None:
    assert not webhooks.is_secret(text)


@pytest.mark.parametrize("secret", [secret_of(24), secret_of(64)])
def test_openais_sdk_takes_every_secret_that_we_take_and_no_other_one(secret: str) -> None:
    body = '{"id":"evt_1","text":"ü"}'.encode()
    receiver, now = OpenAI(api_key="x", webhook_secret=secret).webhooks, 1e9
    sent = webhooks.headers(Secret(secret), "evt_1", body, now=now)
    receiver.verify_signature(body, sent, tolerance=10**10)
    for other in (secret_of(25), EXAMPLE):
        with pytest.raises(InvalidWebhookSignatureError):
            receiver.verify_signature(body, sent, secret=other, tolerance=10**10)


def test_what_is_sealed_comes_back_and_prints_no_secret() -> None:
    webhook = Webhook("https://h/in?token=x", Secret(EXAMPLE))
    assert webhooks.unpacked(webhooks.packed(webhook)) == webhook
    assert EXAMPLE not in repr(webhook)
