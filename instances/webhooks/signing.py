"""Signatures after Standard Webhooks (https://www.standardwebhooks.com, 2026-11-25): HMAC-SHA256 over id, time and body.

A secret is written `whsec_` and its bytes in base64. While one is replaced, both sign: the header holds both signatures.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Sequence

PREFIX = "whsec_"
_MADE_BYTES = 32
_LEAST_BYTES, _MOST_BYTES = 16, 128


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(_MADE_BYTES)).decode()


def key_of(secret: str) -> bytes:
    """The bytes that sign. Raises ValueError with the remedy, never with the secret."""
    text = secret.removeprefix(PREFIX)
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not _LEAST_BYTES <= len(key) <= _MOST_BYTES:
        raise ValueError(f"write whsec_ followed by {_LEAST_BYTES} to {_MOST_BYTES} random bytes in base64")
    return key


def signed_headers(message_id: str, timestamp: int, body: bytes, signing: Sequence[str]) -> dict[str, str]:
    """The three headers of a delivery; `timestamp` in seconds, one signature for each secret, the newest first."""
    text = f"{message_id}.{timestamp}.".encode() + body
    signatures = [
        "v1," + base64.b64encode(hmac.new(key_of(secret), text, hashlib.sha256).digest()).decode() for secret in signing
    ]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }
