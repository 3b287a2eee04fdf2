"""Columns encrypted at rest with the newest of `FIELD_ENCRYPTION_KEYS`; older keys still decrypt.

A value is decrypted where it is used, not where its row is read: a row whose key was lost can still be listed, stopped and
deleted, and a list of a thousand rows decrypts nothing.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.apps import apps
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


def encrypted_columns() -> Iterator[tuple[type[models.Model], str]]:
    """Every column of this kind, of all models."""
    for model in apps.get_models():
        for column in model._meta.local_fields:
            if isinstance(column, EncryptedJSONField):
                yield model, column.attname


def renew(model: type[models.Model], column: str) -> tuple[int, list[str]]:
    """Encrypt a column's values with the newest key: how many were written, and the ids of those that no key decrypts.

    A row that somebody writes meanwhile is left to them: what they write bears the newest key already.
    """
    renewed, unreadable = 0, []
    rows = model._default_manager.exclude(**{column: ""}).order_by("pk")
    for key, sealed in rows.values_list("pk", column).iterator(chunk_size=500):
        try:
            value = decrypt(sealed.token)
        except UnreadableSecretError:
            unreadable.append(str(key))
            continue
        unchanged = model._default_manager.filter(pk=key, **{column: sealed})
        renewed += unchanged.update(**{column: value})
    return renewed, unreadable
