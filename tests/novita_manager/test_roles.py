"""The three groups: what each may do, by permission and by effect."""

import pytest
from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.core.management import call_command
from django.test import Client

from instances.models import Event
from instances.scopes import PERMISSION_OF, may
from novita_manager.roles import ROLES, administers, make_role_groups, scopes_to_give
from tests.pages import running, signed_in

pytestmark = pytest.mark.django_db

SECRET_BEARING = {"apikey", "idempotencyrecord", "user", "group", "permission", "accessattempt", "session"}


def member(role: str, *, staff: bool = True) -> User:
    make_role_groups()
    user = User.objects.create_user(f"a-{role}", is_staff=staff)
    user.groups.add(Group.objects.get(name=role))
    return User.objects.get(pk=user.pk)


@pytest.mark.parametrize(
    ("role", "scopes"),
    [
        ("viewer", {"read"}),
        ("operator", {"read", "operate", "create"}),
        ("admin", {"read", "operate", "create", "secrets"}),
    ],
)
def test_each_role_has_its_scopes(role: str, scopes: set[str]) -> None:
    user = member(role)
    assert {scope for scope in PERMISSION_OF if may(user, scope)} == scopes


def test_who_is_signed_out_or_shut_out_has_no_scope() -> None:
    gone = member("admin")
    gone.is_active = False
    gone.save()
    for user in (AnonymousUser(), User.objects.get(pk=gone.pk)):
        assert not any(may(user, scope) for scope in PERMISSION_OF)


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_viewers_and_operators_see_no_people_no_keys_and_no_secrets(role: str) -> None:
    make_role_groups()
    permissions = Group.objects.get(name=role).permissions.all()
    assert SECRET_BEARING.isdisjoint({one.content_type.model for one in permissions})
    assert "reveal_secrets" not in {one.codename for one in permissions}


def test_viewers_only_look_and_see_every_table_of_the_fleet() -> None:
    make_role_groups()
    held = {one.codename for one in Group.objects.get(name="viewer").permissions.all()}
    assert all(name.startswith("view_") for name in held)
    tables = Permission.objects.filter(
        content_type__app_label__in=("instances", "autostop", "sync"), codename__startswith="view_"
    )
    assert held == {one.codename for one in tables}


def test_admins_administer_without_being_superusers() -> None:
    ada = member("admin")
    assert administers(ada)
    assert not ada.is_superuser
    assert scopes_to_give(ada) == ("read", "operate", "create", "secrets", "admin")
    client = signed_in(ada)
    for address in ("auth/user/add/", "auth/group/add/", "novita_manager/apikey/add/", "axes/accessattempt/"):
        assert client.get(f"/admin/{address}").status_code == 200


def test_bootstrap_makes_the_groups_and_doing_it_again_changes_nothing() -> None:
    call_command("bootstrap")
    assert set(ROLES) <= set(Group.objects.values_list("name", flat=True))
    events = Event.objects.filter(type="group.role_made").count()
    assert events == len(ROLES)
    call_command("bootstrap")
    assert Event.objects.filter(type="group.role_made").count() == events


def test_a_role_that_was_bent_is_put_right_and_that_is_told() -> None:
    make_role_groups()
    viewer = Group.objects.get(name="viewer")
    viewer.permissions.add(Permission.objects.get(codename="change_instance"))
    viewer.permissions.remove(Permission.objects.get(codename="view_event"))
    make_role_groups()
    held = {one.codename for one in viewer.permissions.all()}
    assert "change_instance" not in held
    assert "view_event" in held
    event = Event.objects.first()
    assert event is not None
    assert (event.before, event.after) == ({"lost": ["change_instance"]}, {"name": "viewer", "gained": ["view_event"]})


def test_groups_of_your_own_are_left_alone() -> None:
    own = Group.objects.create(name="night shift")
    own.permissions.add(Permission.objects.get(codename="change_instance"))
    make_role_groups()
    assert own.permissions.count() == 1


def test_a_viewer_without_the_admin_sees_the_fleet_and_is_refused_verbs_and_the_admin() -> None:
    instance = running("trainer")
    client = signed_in(member("viewer", staff=False))
    assert client.get("/").status_code == 200
    refused = client.post(f"/fleet/{instance.pk}/stop")
    assert refused.status_code == 403
    assert "Your account lacks the permission to operate." in refused.content.decode()
    door = client.get("/admin/", follow=True)
    assert door.status_code == 403
    assert "The admin is open to staff: your account may use the fleet page." in door.content.decode()


def test_an_operator_stops_and_deletes_but_sees_no_people() -> None:
    instance = running("trainer")
    client = signed_in(member("operator"))
    assert client.post(f"/fleet/{instance.pk}/stop").status_code == 302
    assert client.post(f"/fleet/{instance.pk}/delete", {"typed_name": "trainer"}).status_code == 302
    for address in ("auth/user/", "auth/group/", "novita_manager/apikey/", "novita_manager/idempotencyrecord/"):
        assert client.get(f"/admin/{address}").status_code == 403
    assert Client().get("/").status_code == 302
