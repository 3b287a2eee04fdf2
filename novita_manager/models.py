"""Who may call the API, and the replies kept for requests that may be sent again."""

import hashlib
import secrets
from datetime import datetime, timedelta

from django.db import models
from django.db.models import Q

from instances.encryption import EncryptedJSONField

PREFIX = "nvm_"
SCOPES = ("read", "operate", "create", "secrets", "admin")
# What each scope lets in beside itself; `secrets` stands apart and is added to any of them.
_IMPLIED = {
    "read": {"read"},
    "operate": {"read", "operate"},
    "create": {"read", "operate", "create"},
    "secrets": {"secrets"},
    "admin": set(SCOPES),
}
_USE_IS_NOTED_EVERY = timedelta(minutes=1)


def key_hash(key: str) -> str:
    """SHA-256 in hex: enough for keys of 32 random bytes, which no dictionary holds."""
    return hashlib.sha256(key.encode()).hexdigest()


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def issue(
        self,
        *,
        name: str,
        scopes: list[str],
        owner: str = "",
        key: str | None = None,
        expires_at: datetime | None = None,
    ) -> "tuple[ApiKey, str]":
        """A new key and its plain text, which is stored nowhere. `key` is used as it is where given."""
        unknown = sorted(set(scopes) - set(SCOPES))
        if unknown or not scopes:
            raise ValueError(f"scopes are {', '.join(SCOPES)}; not {', '.join(unknown) or 'none'}")
        plain = key or PREFIX + secrets.token_hex(32)
        row = self.create(
            name=name,
            owner=owner,
            scopes=sorted(set(scopes)),
            prefix=plain.removeprefix(PREFIX)[:8],
            hash=key_hash(plain),
            expires_at=expires_at,
        )
        return row, plain

    def matching(self, key: str) -> "ApiKey | None":
        """The row of a plain key, valid or not."""
        return self.filter(hash=key_hash(key)).first()


class ApiKey(models.Model):
    name = models.CharField(max_length=100)
    owner = models.CharField(max_length=255, blank=True)
    scopes = models.JSONField(default=list)
    prefix = models.CharField(max_length=8, editable=False)  # shown to tell keys apart
    hash = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        ordering = ["name", "id"]
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    # What request.user must answer; a key is nobody's session.
    is_authenticated = True
    is_anonymous = False
    is_staff = False

    def has_scope(self, scope: str) -> bool:
        return any(scope in _IMPLIED.get(held, ()) for held in self.scopes)

    def why_invalid(self, now: datetime) -> str:
        """Why it lets nobody in, or ""."""
        if self.revoked_at is not None:
            return "this API key was revoked"
        if self.expires_at is not None and self.expires_at <= now:
            return f"this API key expired at {self.expires_at:%Y-%m-%dT%H:%M:%SZ}"
        return ""

    def note_use(self, now: datetime) -> None:
        """Remember that it was used, at most once a minute."""
        before = now - _USE_IS_NOTED_EVERY
        if self.last_used_at is not None and self.last_used_at > before:
            return
        stale = Q(last_used_at=None) | Q(last_used_at__lte=before)
        ApiKey.objects.filter(stale, pk=self.pk).update(last_used_at=now)
        self.last_used_at = now


class HealthState(models.Model):
    """Since when one of the things `/health` looks at is in its state, whichever process saw the change."""

    name = models.CharField(max_length=20, primary_key=True)
    status = models.CharField(max_length=10)
    since = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name}: {self.status}"


class IdempotencyRecord(models.Model):
    """One request that named an Idempotency-Key: its body's hash and, once it is carried out, its reply."""

    api_key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=255)
    request_hash = models.CharField(max_length=64)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    reply = EncryptedJSONField(blank=True, default="")  # {"status", "headers", "body"}

    class Meta:
        constraints = [models.UniqueConstraint(fields=["api_key", "key"], name="idempotency_once_per_key")]
        indexes = [models.Index(fields=["started_at"])]

    def __str__(self) -> str:
        return self.key
