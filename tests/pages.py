"""Rows and people that tests of pages and of the admin need: every value that matters is named by the test."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import Permission, User
from django.test import Client

from instances.events import Actor, record
from instances.models import Instance, Machine

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
KEY = Actor(kind="key", name="demo")


def running(name: str, *, at: datetime = NOW, price: str = "0.35", **columns: Any) -> Instance:
    """Managed, ready and billed for two hours, with one event."""
    began = at - timedelta(hours=2)
    instance = Instance.objects.create(
        **{
            "name": name,
            "product_name": "RTX 4090 24GB",
            "wanted": "running",
            "wanted_at": began,
            "wanted_by_kind": "key",
            "wanted_by_name": "demo",
            "met_at": began,
            "phase": "ready",
            "phase_reason": "Novita reports running",
            "phase_since": began,
            "ready_at": began + timedelta(minutes=1),
            "created_at": began,
            "owner": "vision",
            **columns,
        }
    )
    instance.machine = Machine.objects.create(
        instance=instance,
        novita_id=f"id-{name}",
        status="running",
        region="CN-HK-01",
        product_name="RTX 4090 24GB",
        billing_mode="spot",
        price_usd_per_hour=Decimal(price),
        billed_since=began,
        billed_price_usd_per_hour=Decimal(price),
        running_since=began,
        observed_at=at,
        created_at=began,
    )
    instance.save(update_fields=["machine"])
    record("instance.running", at=began, actor=KEY, instance=instance, reason="Novita reports running")
    return instance


def person(name: str, *permissions: str, superuser: bool = False, password: str = "") -> User:
    """A member of staff with these permissions of the instances app, such as `view_instance`."""
    user = User(username=name, is_staff=True, is_superuser=superuser)
    if password:
        user.set_password(password)
    user.save()
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return user


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client
