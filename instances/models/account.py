"""Rows there is one of: the account, the pause of automation; and the leases, pace and breakers that processes share."""

from datetime import datetime

from django.db import models


class ProviderAccount(models.Model):
    """The one account this database belongs to, and what was last read of it."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    name = models.CharField(max_length=500)  # the provider's base URL, or "simulator"
    first_contact_at = models.DateTimeField()
    # Start of the newest complete list: it vouches for every machine that is not missing.
    complete_list_at = models.DateTimeField(null=True, blank=True)
    list_total = models.PositiveIntegerField(default=0)
    last_list_problem = models.CharField(max_length=500, blank=True)
    # A doubt: lists lacked too much, or their pages disagreed. `suspicion` names what the newest complete list lacked since,
    # `accepted_lack` what a person said is lacking indeed.
    doubted_since = models.DateTimeField(null=True, blank=True)
    doubt_reason = models.CharField(max_length=500, blank=True)
    suspicion = models.CharField(max_length=64, blank=True)
    accepted_lack = models.CharField(max_length=64, blank=True)
    key_fingerprint = models.CharField(max_length=16, blank=True)
    key_refused_since = models.DateTimeField(null=True, blank=True)  # no write is sent meanwhile
    # And no read: what is refused waits, the rest goes on.
    writes_refused_since = models.DateTimeField(null=True, blank=True)
    balance_usd = models.DecimalField(max_digits=16, decimal_places=4, null=True, blank=True)
    balance_read_at = models.DateTimeField(null=True, blank=True)
    frozen_since = models.DateTimeField(null=True, blank=True)
    frozen_reason = models.CharField(max_length=500, blank=True)

    def __str__(self) -> str:
        return self.name


class AutomationPause(models.Model):
    """One switch that holds every rule, with an expiry. A past `paused_until` is no pause."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    paused_until = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=500, blank=True)
    actor_kind = models.CharField(max_length=10, blank=True)
    actor_name = models.CharField(max_length=255, blank=True)

    def __str__(self) -> str:
        return f"paused until {self.paused_until}" if self.paused_until else "not paused"

    def holds(self, now: datetime) -> bool:
        return self.paused_until is not None and now < self.paused_until


class PeriodicWork(models.Model):
    """Cadence and lease of one kind of work, claimed by one conditional UPDATE whatever poked it."""

    name = models.CharField(max_length=50, primary_key=True)
    next_due_at = models.DateTimeField()
    lease_owner = models.CharField(max_length=64, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    fence = models.PositiveBigIntegerField(default=0)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    succeeded_at = models.DateTimeField(null=True, blank=True)
    detail = models.CharField(max_length=500, blank=True)

    def __str__(self) -> str:
        return self.name


class ProviderPace(models.Model):
    """The token bucket all processes share towards Novita; changed by compare-and-set on `version`."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    state = models.JSONField(default=dict)
    version = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return "pace"


class ProviderBreaker(models.Model):
    """The circuit breaker of one kind of call; changed by compare-and-set on `version`."""

    kind = models.CharField(max_length=20, primary_key=True)
    state = models.JSONField(default=dict)
    version = models.PositiveBigIntegerField(default=0)
    changed_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.kind
