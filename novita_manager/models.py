"""Who may call the API, and the replies kept for requests that may be sent again."""

import hashlib
import ipaddress
import secrets
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q

from instances.encryption import EncryptedJSONField
from instances.operations import Allowance

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


def networks(words: list[str]) -> list[str]:
    """Addresses and networks in their one usual form. Raises ValueError naming the one that is none."""
    return sorted({str(ipaddress.ip_network(word.strip())) for word in words})


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def issue(
        self,
        *,
        name: str,
        scopes: list[str],
        owner: str = "",
        key: str | None = None,
        expires_at: datetime | None = None,
        allowed_networks: list[str] | None = None,
        max_instances: int | None = None,
        max_usd_per_hour: Decimal | None = None,
    ) -> "tuple[ApiKey, str]":
        """A new key and its plain text, which is stored nowhere. `key` is used as it is where given. Raises ValueError."""
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
            allowed_networks=networks(allowed_networks or []),
            max_instances=max_instances,
            max_usd_per_hour=max_usd_per_hour,
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
    allowed_networks = models.JSONField(default=list, blank=True)  # from anywhere where empty
    max_instances = models.PositiveIntegerField(null=True, blank=True)
    max_usd_per_hour = models.DecimalField(max_digits=12, decimal_places=5, null=True, blank=True)
    replaced_by = models.OneToOneField(
        "self", null=True, blank=True, editable=False, on_delete=models.SET_NULL, related_name="replaces"
    )
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        ordering = ["name", "id"]
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    kind = "key"  # of the actor that its acts are told under
    # What request.user must answer; a key is nobody's session.
    is_authenticated = True
    is_anonymous = False
    is_staff = False

    def has_scope(self, scope: str) -> bool:
        return any(scope in _IMPLIED.get(held, ()) for held in self.scopes)

    @cached_property
    def _networks(self) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
        return [ipaddress.ip_network(one) for one in self.allowed_networks]

    def may_come_from(self, address: str) -> bool:
        """Whether it may be used from there; an IPv4 address written as IPv6 is the IPv4 address."""
        if not self.allowed_networks:
            return True
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        plain = getattr(parsed, "ipv4_mapped", None) or parsed
        return any(plain in network for network in self._networks)

    def allowance(self) -> Allowance | None:
        """What may run in its name, None where nothing bounds it. Called in a transaction: admissions follow one another.

        Keys of one name share what they may have, so that a key and its successor have no more than one of them.
        """
        if self.max_instances is None and self.max_usd_per_hour is None:
            return None
        list(ApiKey.objects.select_for_update().filter(name=self.name).order_by("pk").values_list("pk"))
        return Allowance(
            kind=self.kind, name=self.name, max_instances=self.max_instances, max_usd_per_hour=self.max_usd_per_hour
        )

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

    # Who sent it: one of the two.
    api_key = models.ForeignKey(ApiKey, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=255)
    request_hash = models.CharField(max_length=64)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    reply = EncryptedJSONField(blank=True, default="")  # {"status", "headers", "body"}

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["api_key", "key"], name="idempotency_once_per_key"),
            models.UniqueConstraint(fields=["user", "key"], name="idempotency_once_per_user"),
            models.CheckConstraint(
                condition=Q(api_key__isnull=False, user=None) | Q(api_key=None, user__isnull=False),
                name="idempotency_of_one_caller",
            ),
        ]
        indexes = [models.Index(fields=["started_at"])]

    def __str__(self) -> str:
        return self.key


def record_owner(caller: Any) -> dict[str, Any]:
    """The columns that tell whose record it is, for a key or a person."""
    return {"api_key": caller} if isinstance(caller, ApiKey) else {"user_id": caller.user_id}
