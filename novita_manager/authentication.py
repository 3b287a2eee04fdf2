"""Who calls: an API key in `Authorization: Bearer`, or a person who is signed in, from a page of ours."""

import contextlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import DatabaseError, connection
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.request import Request

from instances import scopes
from instances.api.problems import Problem
from instances.operations import Allowance
from novita_manager.models import ApiKey, key_hash
from novita_manager.refused_keys import count_refusal

_LONGEST_KEY = 512
_MOST_REMEMBERED = 256


class ApiKeyAuthentication(BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[ApiKey, ApiKey] | None:
        """The key as both user and credential; None without the header. Raises AuthenticationFailed, Throttled, Problem."""
        scheme, _, plain = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if not scheme:
            return None
        if scheme.lower() != "bearer":
            raise AuthenticationFailed("write the API key as `Authorization: Bearer <api key>`")
        row = _admitted(plain.strip(), request)
        request._request.api_key_prefix = row.prefix  # type: ignore[attr-defined]
        return row, row

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="novita-manager"'


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody signed in, as a caller of the API: may what the pages let them do, and is bounded by no key's limits."""

    user: User

    kind = "user"

    @property
    def user_id(self) -> int:
        return self.user.pk

    @property
    def name(self) -> str:
        return self.user.get_username()

    @property
    def owner(self) -> str:
        return self.name

    def has_scope(self, scope: str) -> bool:
        if scope not in scopes.PERMISSION_OF:
            return self.user.is_superuser
        return scopes.may(self.user, scope)

    def allowance(self) -> Allowance | None:
        return None


class PersonSession(SessionAuthentication):
    """The session of the pages. What changes something must bring their CSRF token."""

    def authenticate(self, request: Request) -> tuple[User, Person] | None:
        found: Any = super().authenticate(request)
        return None if found is None else (found[0], Person(found[0]))

    def enforce_csrf(self, request: Request) -> None:
        try:
            super().enforce_csrf(request)
        except PermissionDenied:
            detail = "send the CSRF token of the pages as X-CSRFToken, or an API key instead of the session"
            raise Problem(detail, code="csrf_failed", status=403) from None


# Rows of keys by hash, as they were stored when they were made into objects; their last use alone is not looked at.
_remembered: dict[str, tuple[tuple[Any, ...], ApiKey]] = {}
_COLUMNS = ", ".join(str(one.column) for one in ApiKey._meta.concrete_fields if one.name != "last_used_at")
_BY_HASH = f"SELECT {_COLUMNS} FROM {ApiKey._meta.db_table} WHERE hash = %s"  # noqa: S608 - names of our own, no value


def _admitted(plain: str, request: Request) -> ApiKey:
    """The row of a key that may be used now and from there."""
    now, address = timezone.now(), request.META.get("REMOTE_ADDR", "")
    row = _row_of(plain) if 0 < len(plain) <= _LONGEST_KEY and plain.isascii() else None
    if row is None:
        count_refusal(request, "this API key is not known here", None)
        raise AuthenticationFailed("this API key is not known here")
    why = row.why_invalid(now)
    if why:
        count_refusal(request, why, row)
        raise AuthenticationFailed(why)
    if not row.may_come_from(address):
        count_refusal(request, "this API key may not be used from this network", row)
        raise Problem("this API key may not be used from this network", code="network_not_allowed", status=403)
    _note_use(row, now)
    return row


def _row_of(plain: str) -> ApiKey | None:
    """As stored now: it is read each time, and made into an object again where it differs from what it was."""
    digest = key_hash(plain)
    with connection.cursor() as cursor:
        cursor.execute(_BY_HASH, [digest])
        stored: tuple[Any, ...] | None = cursor.fetchone()
    if stored is None:
        return None
    known = _remembered.get(digest)
    if known is not None and known[0] == stored:
        return known[1]
    row = ApiKey.objects.filter(hash=digest).first()
    # Looked up by hash, so timing tells nothing about the key; compared again in constant time all the same.
    if row is None or not hmac.compare_digest(row.hash, digest):
        return None
    if len(_remembered) >= _MOST_REMEMBERED:
        _remembered.clear()
    _remembered[digest] = (stored, row)
    return row


def _note_use(row: ApiKey, now: datetime) -> None:
    with contextlib.suppress(DatabaseError):  # a busy database must not fail a read for the sake of a note
        row.note_use(now)
