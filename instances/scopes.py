"""What a person may do, in the words of API scopes: each scope is one permission, so that groups can bundle them."""

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, PermissionsMixin

# operate: verbs that start and stop; create: those that rent, end, adopt and release; secrets: passwords, env values, logs.
PERMISSION_OF = {
    "read": "instances.view_instance",
    "operate": "instances.change_instance",
    "create": "instances.add_instance",
    "secrets": "instances.reveal_secrets",
}
_CREATE = frozenset({"create", "adopt", "release", "delete"})


def may(user: PermissionsMixin | AbstractBaseUser | AnonymousUser, scope: str) -> bool:
    """Whether a person has the scope; who is not signed in has none."""
    if not isinstance(user, PermissionsMixin | AnonymousUser):
        return False
    granted = getattr(user, f"may_{scope}", None)  # read with the person where a session names one
    if granted is None or user.is_superuser:
        return user.has_perm(PERMISSION_OF[scope])
    return bool(granted)  # a session lets only the active in


def scopes_of(user: PermissionsMixin | AbstractBaseUser | AnonymousUser) -> frozenset[str]:
    return frozenset(scope for scope in PERMISSION_OF if may(user, scope))


def scope_of_verb(verb: str) -> str:
    """Of a verb on an instance, or of the job that carries it out."""
    return "create" if verb in _CREATE else "operate"
