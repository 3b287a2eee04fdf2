"""Columns encrypted at rest with the newest of `FIELD_ENCRYPTION_KEYS`; older keys still decrypt."""

import json
from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models


def _keys() -> MultiFernet:
    return _made_of(tuple(settings.FIELD_ENCRYPTION_KEYS))


@lru_cache(maxsize=4)
def _made_of(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def encrypt(value: Any) -> str:
    """A JSON-serialisable value as an opaque token."""
    return _keys().encrypt(json.dumps(value).encode()).decode()


def decrypt(token: str) -> Any:
    """The value in a token. Raises ValueError naming the remedy when no key fits."""
    try:
        return json.loads(_keys().decrypt(token.encode()))
    except InvalidToken:
        raise ValueError(
            "no key in FIELD_ENCRYPTION_KEYS decrypts this value: put the key it was written with back"
        ) from None


class EncryptedJSONField(models.TextField):  # type: ignore[type-arg]
    """A JSON value that the database only ever sees encrypted; None and empty values are stored as ""."""

    def from_db_value(self, value: str | None, expression: object, connection: object) -> Any:
        return decrypt(value) if value else None

    def get_prep_value(self, value: Any) -> str:
        return encrypt(value) if value else ""
