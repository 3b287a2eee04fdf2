"""People who are signed in, read with what they may do in the one query that every request makes for them."""

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import Permission, User
from django.db.models import Exists, OuterRef, Q, QuerySet

from instances.scopes import PERMISSION_OF


class PeopleBackend(ModelBackend):
    def get_user(self, user_id: int) -> User | None:
        """An active person, with `may_read`, `may_operate` and so on; None for anybody else."""
        granted = {f"may_{scope}": Exists(_granting(permission)) for scope, permission in PERMISSION_OF.items()}
        found = User.objects.annotate(**granted).filter(pk=user_id).first()
        return found if found is not None and self.user_can_authenticate(found) else None


def _granting(permission: str) -> QuerySet[Permission]:
    app, _, codename = permission.partition(".")
    theirs = Q(user=OuterRef("pk")) | Q(group__user=OuterRef("pk"))
    return Permission.objects.filter(theirs, content_type__app_label=app, codename=codename)
