"""Who calls: an API key in `Authorization: Bearer`, and for the reader of the schema a person signed in to the admin."""

import contextlib
import hmac

from django.db import DatabaseError
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from novita_manager.models import ApiKey, key_hash

_LONGEST_KEY = 512


class ApiKeyAuthentication(BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[ApiKey, ApiKey] | None:
        """The key as both user and credential; None without the header. Raises AuthenticationFailed."""
        scheme, _, plain = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if not scheme:
            return None
        if scheme.lower() != "bearer":
            raise AuthenticationFailed("write the API key as `Authorization: Bearer <api key>`")
        row = valid_key(plain.strip())
        request._request.api_key_prefix = row.prefix  # type: ignore[attr-defined]
        return row, row

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="novita-manager"'


def valid_key(plain: str) -> ApiKey:
    """The row of a key that may be used now. Raises AuthenticationFailed."""
    now = timezone.now()
    row = ApiKey.objects.matching(plain) if 0 < len(plain) <= _LONGEST_KEY and plain.isascii() else None
    # Looked up by hash, so timing tells nothing about the key; compared again in constant time all the same.
    if row is None or not hmac.compare_digest(row.hash, key_hash(plain)):
        raise AuthenticationFailed("this API key is not known here")
    why = row.why_invalid(now)
    if why:
        raise AuthenticationFailed(why)
    with contextlib.suppress(DatabaseError):  # a busy database must not fail a read for the sake of a note
        row.note_use(now)
    return row


class StaffSession(BaseAuthentication):
    """People signed in to the admin, for pages that a browser opens. Only ever used where nothing can be changed."""

    def authenticate(self, request: Request) -> tuple[object, None] | None:
        user = getattr(request._request, "user", None)
        return (user, None) if user is not None and user.is_active and user.is_staff else None
