"""People and groups as values, so that a change of them can be told: what was, and what is. Passwords are in none."""

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import Group, User
from django.utils import timezone

from instances.events import Actor, record

Facts = Mapping[str, Any]


def facts_of_person(user: User) -> dict[str, Any]:
    return {
        "name": user.get_username(),
        "full_name": user.get_full_name(),
        "email": user.email,
        "active": user.is_active,
        "staff": user.is_staff,
        "superuser": user.is_superuser,
        "groups": sorted(user.groups.values_list("name", flat=True)),
        "password": "set" if user.has_usable_password() else "none",
    }


def facts_of_group(group: Group) -> dict[str, Any]:
    permissions = group.permissions.values_list("content_type__app_label", "codename")
    return {"name": group.name, "permissions": sorted(f"{app}.{name}" for app, name in permissions)}


def tell_change(kind: str, before: Facts, after: Facts, *, actor: Actor) -> None:
    """One event of what differs, none where nothing does. `before` is empty of what was made just now."""
    changed = [name for name in after if name not in before or before[name] != after[name]]
    if not changed:
        return
    record(
        f"{kind}.{'changed' if before else 'created'}",
        at=timezone.now(),
        actor=actor,
        reason="in the admin",
        before={name: before[name] for name in changed if name in before},
        after={"name": after["name"], **{name: after[name] for name in changed}},
    )


def tell_deletion(kind: str, before: Facts, *, actor: Actor) -> None:
    record(f"{kind}.deleted", at=timezone.now(), actor=actor, reason="in the admin", before=dict(before))


def tell_password(user: User, *, actor: Actor) -> None:
    """That somebody gave a person another password, or took it away."""
    how = "set" if user.has_usable_password() else "taken away"
    after = {"name": user.get_username(), "password": how}
    record("person.password_changed", at=timezone.now(), actor=actor, reason="in the admin", after=after)
