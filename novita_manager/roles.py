"""What people may do, in the words of API scopes: each scope is one permission, and groups bundle them."""

from django.contrib.auth.models import AnonymousUser, User

# operate: verbs that start and stop; create: those that rent, end, adopt and release; secrets: passwords, env values, logs.
PERMISSION_OF = {
    "read": "instances.view_instance",
    "operate": "instances.change_instance",
    "create": "instances.add_instance",
    "secrets": "instances.reveal_secrets",
}
SCOPE_OF_VERB = {"adopt": "create", "release": "create", "delete": "create"}


def may(user: User | AnonymousUser, scope: str) -> bool:
    """Whether a person has the scope; who is not signed in has none."""
    granted = getattr(user, f"may_{scope}", None)  # read with the person where a session names one
    if granted is None or user.is_superuser:
        return user.has_perm(PERMISSION_OF[scope])
    return user.is_active and bool(granted)


def scopes_of(user: User | AnonymousUser) -> frozenset[str]:
    return frozenset(scope for scope in PERMISSION_OF if may(user, scope))


def scope_of_verb(verb: str) -> str:
    return SCOPE_OF_VERB.get(verb, "operate")
