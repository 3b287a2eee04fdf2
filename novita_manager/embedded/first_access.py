"""The first way in: an administrator for the pages and an API key for programs. Doing it again changes nothing."""

import secrets
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from instances.events import SYSTEM
from novita_manager.keys import issue_key
from novita_manager.models import ApiKey
from novita_manager.roles import make_role_groups

ADMIN_NAME = "admin"
KEY_NAME = "bootstrap"


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstAccess:
    """What was made just now. A secret is "" when it was not made up here: it existed, or was given by a setting."""

    admin_made: bool
    key_made: bool
    password: str
    api_key: str


def open_first_access(*, password: str, api_key: str) -> FirstAccess:
    """Make the groups of the roles; the user `admin` and a key that may do all, unless there were such.

    `password` and `api_key` are used where given. A given key that is unknown is added, so that it works from now on; one
    that was revoked stays revoked.
    """
    with transaction.atomic():
        make_role_groups()
        admin_made = not User.objects.filter(is_superuser=True).exists()
        made_password = "" if password else secrets.token_urlsafe(15)
        if admin_made:
            User.objects.create_superuser(ADMIN_NAME, password=password or made_password)
        known = ApiKey.objects.matching(api_key) if api_key else ApiKey.objects.filter(name=KEY_NAME).first()
        plain = ""
        if known is None:
            _, plain = issue_key(
                actor=SYSTEM,
                now=timezone.now(),
                reason="the first key",
                name=KEY_NAME,
                scopes=["admin"],
                owner=ADMIN_NAME,
                key=api_key or None,
            )
    return FirstAccess(
        admin_made=admin_made,
        key_made=known is None,
        password=made_password if admin_made else "",
        api_key="" if api_key else plain,
    )


def describe(made: FirstAccess) -> list[str]:
    """Lines for people; secrets stand in them only when they were made up here and can be read nowhere else."""
    lines = []
    if made.admin_made:
        lines.append(f"Admin:    {ADMIN_NAME} / {made.password or '(BOOTSTRAP_ADMIN_PASSWORD)'}")
    if made.key_made:
        lines.append(f"API key:  {made.api_key or '(BOOTSTRAP_API_KEY)'}")
    if made.password or made.api_key:
        lines.append("          Keep these: they are shown this once.")
    return lines
