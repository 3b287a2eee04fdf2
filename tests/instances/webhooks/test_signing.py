"""The library of Standard Webhooks verifies what we sign."""

import base64
from datetime import UTC, datetime

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from instances.webhooks.signing import key_of, new_secret, signed_headers

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLwSw"  # not a secret: the one of the specification's own example
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@given(st.text(), st.binary(min_size=16, max_size=64))
def test_the_library_verifies_any_body_with_any_secret(text: str, key: bytes) -> None:
    secret = "whsec_" + base64.b64encode(key).decode()
    body = text.encode("utf-8", "replace")
    with time_machine.travel(NOW, tick=False):
        headers = signed_headers("msg_1", int(NOW.timestamp()), body, [secret])

        Webhook(secret).verify(body, headers, json_parse=False)
        assert headers["webhook-signature"] == Webhook(secret).sign("msg_1", NOW, body.decode())


@time_machine.travel(NOW, tick=False)
def test_while_a_secret_is_replaced_either_verifies_and_no_third_does() -> None:
    older, newer = new_secret(), new_secret()

    headers = signed_headers("msg_1", int(NOW.timestamp()), b"{}", [newer, older])

    Webhook(newer).verify(b"{}", headers)
    Webhook(older).verify(b"{}", headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(b"{}", headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(newer).verify(b"{ }", headers)


def test_a_secret_is_read_with_and_without_its_prefix_and_padding() -> None:
    assert key_of(SECRET) == key_of(SECRET.removeprefix("whsec_"))
    assert key_of("whsec_" + base64.b64encode(b"x" * 32).decode().rstrip("=")) == b"x" * 32
    assert len(key_of(new_secret())) == 32


@pytest.mark.parametrize("secret", ["", "whsec_", "hunter2-with-dashes-and-more", "whsec_c2hvcnQ=", "whsec_äöü", "a" * 1000])
def test_what_is_no_secret_is_refused_without_repeating_it(secret: str) -> None:
    with pytest.raises(ValueError, match="write whsec_ followed by") as refused:
        key_of(secret)

    assert len(secret) < 8 or secret not in str(refused.value)
