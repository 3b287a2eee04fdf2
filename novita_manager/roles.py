"""What people may do. Three groups bundle the permissions; they belong to the product and are made alike on every start.

Who needs something between them makes a group of their own.
"""

from collections.abc import Iterable

from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from instances.events import SYSTEM, record
from instances.scopes import PERMISSION_OF, may

ROLES = {
    "viewer": "Sees everything but secrets, people and keys. Changes nothing.",
    "operator": "Also creates, starts, stops, deletes and adopts instances, acknowledges alarms and pauses automation.",
    "admin": "Everything: also secrets, people, groups and API keys.",
}
_FLEET = Q(content_type__app_label__in=("instances", "autostop", "sync"))
_OPERATE = Q(content_type__app_label="instances", codename__in=("change_instance", "add_instance"))
_SECRETS = Q(content_type__app_label="instances", codename="reveal_secrets")
_ACCESS = Q(content_type__app_label__in=("novita_manager", "axes")) | Q(
    content_type__app_label="auth", content_type__model__in=("user", "group")
)
_OF_ROLE = {
    "viewer": _FLEET & Q(codename__startswith="view_"),
    "operator": (_FLEET & Q(codename__startswith="view_")) | _OPERATE,
    "admin": (_FLEET & Q(codename__startswith="view_")) | _OPERATE | _SECRETS | _ACCESS,
}
# All that has an effect: the other permissions that Django makes for each table are asked for nowhere.
OF_EFFECT = _OF_ROLE["admin"]
_WORDS = {
    "view_instance": "See the fleet (read)",
    "change_instance": "Start, stop and set instances, acknowledge alarms, pause automation (operate)",
    "add_instance": "Create, delete, adopt and release instances (create)",
    "reveal_secrets": "See passwords, environment values and logs (secrets)",
}


def words_of(permission: Permission) -> str:
    """A permission as people read it."""
    return _WORDS.get(permission.codename, permission.name.removeprefix("Can ").capitalize())


def make_role_groups() -> None:
    """Make the three groups hold exactly what they stand for; what changes leaves an event."""
    with transaction.atomic():
        for name, wanted in _OF_ROLE.items():
            group, made = Group.objects.get_or_create(name=name)
            permissions = set(Permission.objects.filter(wanted))
            before = set(group.permissions.all())
            if permissions != before:
                group.permissions.set(permissions)
            if made or permissions != before:
                _tell(name, gained=permissions - before, lost=before - permissions)


def _tell(name: str, *, gained: Iterable[Permission], lost: Iterable[Permission]) -> None:
    record(
        "group.role_made",
        at=timezone.now(),
        actor=SYSTEM,
        reason="the permissions of a role are part of the product",
        before={"lost": sorted(one.codename for one in lost)},
        after={"name": name, "gained": sorted(one.codename for one in gained)},
    )


def administers(user: User | AnonymousUser) -> bool:
    """Whether a person may change people, and so what everybody may do."""
    return user.is_active and user.is_staff and user.has_perm("auth.change_user")


def held_by(user: User) -> frozenset[str]:
    """Every permission of an active person, such as `instances.view_instance`; a superuser holds all there are."""
    return frozenset(user.get_all_permissions())


def scopes_to_give(user: User | AnonymousUser) -> tuple[str, ...]:
    """Scopes of API keys a person may give away: those they have, and `admin` where they have all and administer."""
    own = tuple(scope for scope in PERMISSION_OF if may(user, scope))
    return (*own, "admin") if len(own) == len(PERMISSION_OF) and administers(user) else own
