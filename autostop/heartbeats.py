"""Heartbeats: a program inside an instance says that it works. The one writer of `Heartbeat`."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.urls import reverse

from autostop.models import Heartbeat
from autostop.policies import read_policies
from instances.events import Actor, record
from instances.messages.news import base_url
from instances.models import Instance
from instances.operations import Unmanaged, WrongPhase

_TOKEN_BYTES = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedHeartbeat:
    """Shown once: nothing can tell the address afterwards."""

    url: str
    snippet: str


def issue(instance_id: UUID, *, actor: Actor, now: datetime) -> IssuedHeartbeat:
    """A new address for the instance; an earlier one ends with it. Raises Unmanaged, WrongPhase."""
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    with transaction.atomic():
        instance = Instance.objects.select_for_update().get(pk=instance_id)
        if not instance.managed:
            raise Unmanaged("it was not made here and no rule touches it: a heartbeat would hold nothing")
        if instance.has_ended:
            raise WrongPhase(f"it is {instance.phase}: nothing runs in it")
        columns = {"token_hash": hash_of(token), "issued_at": now, "issued_by": actor.name[:255]}
        Heartbeat.objects.update_or_create(instance=instance, defaults=columns)
        record("instance.heartbeat_issued", at=now, actor=actor, instance=instance)
    url = f"{base_url()}{reverse('heartbeat', args=[token])}"
    return IssuedHeartbeat(url=url, snippet=f"while sleep 60; do curl -fsS -m 10 -X POST {url}; done &")


def revoke(instance_id: UUID, *, actor: Actor, now: datetime) -> bool:
    """End the address; False where there is none. What it told stays."""
    with transaction.atomic():
        instance = Instance.objects.select_for_update().get(pk=instance_id)
        ended = Heartbeat.objects.filter(instance=instance).exclude(token_hash=None).update(token_hash=None)
        if ended:
            record("instance.heartbeat_revoked", at=now, actor=actor, instance=instance)
        return bool(ended)


def beat(token: str, *, gpu_percent: float | None, cpu_cores: float | None, now: datetime) -> bool:
    """Note a beat, in one atomic update that only moves forward; False where no such address is valid.

    A beat is active where it tells no load, or one that reaches a limit of its instance's policy.
    """
    row = Heartbeat.objects.select_related("instance").filter(token_hash=hash_of(token)).first()
    if row is None:
        return False
    columns: dict[str, object] = {"beaten_at": now, "gpu_percent": gpu_percent, "cpu_cores": cpu_cores}
    if _is_active(row.instance, gpu_percent, cpu_cores, now):
        columns["active_at"] = now
    newest = Q(beaten_at=None) | Q(beaten_at__lt=now)
    Heartbeat.objects.filter(newest, pk=row.pk, token_hash=row.token_hash).update(**columns)
    return True


def hash_of(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _is_active(instance: Instance, gpu_percent: float | None, cpu_cores: float | None, now: datetime) -> bool:
    if gpu_percent is None and cpu_cores is None:
        return True
    rules = read_policies(now).of(instance.auto_stop_policy, instance.labels).rules
    return (gpu_percent or 0.0) >= rules.gpu_percent or (cpu_cores or 0.0) >= rules.cpu_cores
