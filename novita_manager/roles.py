"""What people may do. Three groups bundle the permissions; they belong to the product and are made alike on every start.

Who needs something between them makes a group of their own.
"""

from collections.abc import Iterable

from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.db import transaction
from django.db.models import Case, Q, QuerySet, When
from django.utils import timezone

from instances.events import SYSTEM, record
from instances.scopes import PERMISSION_OF, may

ROLES = {
    "viewer": "Sees everything but secrets, people and keys. Changes nothing.",
    "operator": "Also creates, starts, stops, deletes and adopts instances, acknowledges alarms and pauses automation.",
    "admin": "Everything: also secrets, auto-stop policies, people, groups and API keys.",
}
_FLEET = Q(content_type__app_label__in=("instances", "autostop", "sync"))
_OPERATE = Q(content_type__app_label="instances", codename__in=("change_instance", "add_instance"))
_SECRETS = Q(content_type__app_label="instances", codename="reveal_secrets")
_POLICIES = Q(content_type__app_label="autostop", codename="change_policy")
# People are shut out, not deleted; keys are revoked; what was refused or answered is only looked at.
_ACCESS = Q(
    content_type__app_label__in=("auth", "novita_manager", "axes"),
    codename__in=(
        *("view_user", "add_user", "change_user", "view_group", "add_group", "change_group", "delete_group"),
        *("view_apikey", "add_apikey", "change_apikey", "view_idempotencyrecord", "view_accessattempt"),
    ),
)
_OF_ROLE = {
    "viewer": _FLEET & Q(codename__startswith="view_"),
    "operator": (_FLEET & Q(codename__startswith="view_")) | _OPERATE,
    "admin": (_FLEET & Q(codename__startswith="view_")) | _OPERATE | _SECRETS | _POLICIES | _ACCESS,
}
_SCOPES = Q(content_type__app_label="instances", codename__in=[name.partition(".")[2] for name in PERMISSION_OF.values()])
# The other permissions that Django makes for each table have no effect: they are asked for nowhere.
_WORDS = {
    "view_instance": "See the fleet (read)",
    "change_instance": "Start, stop and set instances, acknowledge alarms, pause automation (operate)",
    "add_instance": "Create, delete, adopt and release instances (create)",
    "reveal_secrets": "See passwords, environment values and logs (secrets)",
    "change_policy": "Make, change and delete auto-stop policies",
    "view_user": "See people",
    "add_user": "Make people",
    "change_user": "Change people: what they may do, and their passwords",
    "add_apikey": "Make API keys",
    "change_apikey": "Revoke API keys",
    "view_accessattempt": "See sign-ins that were refused",
}


def permissions_to_give() -> QuerySet[Permission]:
    """What a group of your own may hold: the scopes first, then what there is to see, then access."""
    scopes_first = Case(When(_SCOPES, then=0), When(_FLEET, then=1), default=2)
    return (
        Permission.objects.filter(_OF_ROLE["admin"]).alias(place=scopes_first).order_by("place", "content_type", "codename")
    )


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
