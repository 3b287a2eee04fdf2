"""Columns encrypted at rest with the newest of `FIELD_ENCRYPTION_KEYS`; older keys still decrypt.

A value is decrypted where it is used, not where its row is read: a row whose key was lost can still be listed, stopped and
deleted, and a list of a thousand rows decrypts nothing.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models
from django.db.models.query_utils import DeferredAttribute


class UnreadableSecretError(ValueError):
    """No key decrypts a stored value. The text names the remedy."""


def _keys() -> MultiFernet:
    return _made_of(tuple(settings.FIELD_ENCRYPTION_KEYS))


@lru_cache(maxsize=4)
def _made_of(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def encrypt(value: Any) -> str:
    """A JSON-serialisable value as an opaque token."""
    return _keys().encrypt(json.dumps(value).encode()).decode()


def decrypt(token: str) -> Any:
    """The value in a token. Raises UnreadableSecretError where no key fits."""
    try:
        return json.loads(_keys().decrypt(token.encode()))
    except InvalidToken:
        raise UnreadableSecretError(
            "no key in FIELD_ENCRYPTION_KEYS decrypts this value: put the key it was written with back"
        ) from None


@dataclass(frozen=True, slots=True)
class _Sealed:
    """A token as the database holds it."""

    token: str


class _Unsealing(DeferredAttribute):
    """Decrypts at the first look."""

    def __get__(self, instance: models.Model | None, cls: type[models.Model] | None = None) -> Any:
        value = super().__get__(instance, cls)
        if instance is not None and isinstance(value, _Sealed):
            value = instance.__dict__[self.field.attname] = decrypt(value.token)
        return value

    def __set__(self, instance: models.Model, value: Any) -> None:
        instance.__dict__[self.field.attname] = value


class EncryptedJSONField(models.TextField):  # type: ignore[type-arg]
    """A JSON value that the database only ever sees encrypted; None and empty values are stored as "".

    Looking at a value that no key decrypts raises UnreadableSecretError; saving its row keeps it as it is.
    """

    descriptor_class = _Unsealing

    def from_db_value(self, value: str | None, expression: object, connection: object) -> Any:
        return _Sealed(value) if value else None

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        return model_instance.__dict__.get(self.attname)

    def get_prep_value(self, value: Any) -> str:
        if isinstance(value, _Sealed):
            return value.token
        return encrypt(value) if value else ""
