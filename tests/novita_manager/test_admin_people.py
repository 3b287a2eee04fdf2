"""People and groups in the admin: who may change whom, what is told, and that nobody locks themselves out."""

from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import Group, Permission, User
from django.test import Client

from instances.models import Event
from novita_manager.roles import make_role_groups
from tests.instances.admin_calls import run, text_of, words_of
from tests.pages import person, signed_in

pytestmark = pytest.mark.django_db

PEOPLE = "/admin/auth/user/"
GROUPS = "/admin/auth/group/"
SECRET = "a long enough password"


@pytest.fixture(autouse=True)
def _roles(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # costs no time
    make_role_groups()
    Event.objects.all().delete()


def in_group(name: str, *groups: str, staff: bool = True) -> User:
    user = User.objects.create_user(name, password=SECRET, is_staff=staff)
    user.groups.set(Group.objects.filter(name__in=groups))
    return User.objects.get(pk=user.pk)


@pytest.fixture(name="ada")
def _ada() -> User:
    return in_group("ada", "admin")


@pytest.fixture(name="client")
def _client(ada: User) -> Client:
    return signed_in(ada)


def ids(*groups: str) -> list[str]:
    return [str(pk) for pk in Group.objects.filter(name__in=groups).values_list("pk", flat=True)]


def save(client: Client, user: User, **changes: Any) -> Any:
    """The form of a person as it is, but for the changes; None leaves a tick out."""
    data = {
        "username": user.username,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "email": user.email,
        "is_active": "on" if user.is_active else None,
        "is_staff": "on" if user.is_staff else None,
        "groups": [str(pk) for pk in user.groups.values_list("pk", flat=True)],
        **changes,
    }
    return client.post(f"{PEOPLE}{user.pk}/change/", {name: one for name, one in data.items() if one is not None})


def the_event() -> Event:
    return Event.objects.get()


def test_a_person_is_made_with_a_role_and_that_is_told_without_the_password(client: Client) -> None:
    data = {"username": "otto", "usable_password": "true", "password1": SECRET, "password2": SECRET}
    response = client.post(f"{PEOPLE}add/", {**data, "is_staff": "on", "groups": ids("operator")})
    assert response.status_code == 302, words_of(response)
    otto = User.objects.get(username="otto")
    assert otto.check_password(SECRET)
    assert [group.name for group in otto.groups.all()] == ["operator"]
    event = the_event()
    assert (event.type, event.actor_kind, event.actor_name) == ("person.created", "user", "ada")
    assert (event.after["name"], event.after["groups"], event.after["staff"]) == ("otto", ["operator"], True)
    assert SECRET not in str(Event.objects.values())
    assert otto.password not in str(Event.objects.values())


def test_a_change_is_told_with_what_was_and_what_is(client: Client) -> None:
    otto = in_group("otto", "viewer")
    assert save(client, otto, groups=ids("operator"), email="otto@example.org").status_code == 302
    event = the_event()
    assert event.type == "person.changed"
    assert event.before == {"groups": ["viewer"], "email": ""}
    assert event.after == {"name": "otto", "groups": ["operator"], "email": "otto@example.org"}


def test_saving_without_a_change_tells_nothing(client: Client) -> None:
    assert save(client, in_group("otto", "viewer")).status_code == 302
    assert not Event.objects.exists()


def test_who_is_shut_out_is_out_at_once(client: Client) -> None:
    otto = in_group("otto", "viewer")
    his = signed_in(otto)
    assert his.get("/").status_code == 200
    save(client, otto, is_active=None)
    assert the_event().after == {"name": "otto", "active": False}
    assert his.get("/").status_code == 302


def test_another_password_is_told_and_ends_the_sessions(client: Client) -> None:
    otto = in_group("otto", "viewer")
    his = signed_in(otto)
    new = "something long and new"
    data = {"usable_password": "true", "password1": new, "password2": new}
    response = client.post(f"{PEOPLE}{otto.pk}/password/", {**data, "set-password": "1"})
    assert response.status_code == 302, words_of(response)
    event = the_event()
    assert (event.type, event.actor_name) == ("person.password_changed", "ada")
    assert event.after == {"name": "otto", "password": "set"}
    assert new not in str(Event.objects.values())
    assert his.get("/").status_code == 302
    client.post(f"{PEOPLE}{otto.pk}/password/", {**data, "password2": "other", "set-password": "1"})
    assert Event.objects.count() == 1, "a refused one is no change"


@pytest.mark.parametrize("change", [{"is_active": None}, {"is_staff": None}, {"groups": []}, {"groups": ["viewer"]}])
def test_nobody_takes_their_own_administration_away(client: Client, ada: User, change: dict[str, Any]) -> None:
    if change.get("groups"):
        change = {"groups": ids("viewer")}
    response = save(client, ada, **change)
    assert "This would end your own administration: let another administrator do it." in words_of(response)
    assert User.objects.get(pk=ada.pk).has_perm("auth.change_user")
    assert not Event.objects.exists()


def test_another_administrator_may_take_it_away(client: Client) -> None:
    eve = in_group("eve", "admin")
    assert save(client, eve, groups=ids("viewer")).status_code == 302
    assert not User.objects.get(pk=eve.pk).has_perm("auth.change_user")


def test_a_superuser_keeps_to_be_one(ada: User) -> None:
    root = User.objects.create_superuser("root", password=SECRET)
    response = save(signed_in(root), root, is_superuser=None)
    assert "This would end your own administration" in words_of(response)
    assert save(signed_in(root), root, is_superuser="on", first_name="R").status_code == 302


def test_nobody_is_deleted_and_so_their_story_stays(client: Client) -> None:
    otto = in_group("otto", "viewer")
    assert client.post(f"{PEOPLE}{otto.pk}/delete/", {"post": "yes"}).status_code == 403
    run(client, PEOPLE, "delete_selected", otto, post="yes")
    assert User.objects.filter(pk=otto.pk).exists()


def test_no_admin_makes_a_superuser_nor_touches_one(client: Client) -> None:
    root = User.objects.create_superuser("root", password=SECRET)
    otto = in_group("otto", "viewer")
    save(client, otto, is_superuser="on")
    assert not User.objects.get(pk=otto.pk).is_superuser
    assert save(client, root, is_active=None).status_code == 403
    new = "something long and new"
    data = {"usable_password": "true", "password1": new, "password2": new, "set-password": "1"}
    assert client.post(f"{PEOPLE}{root.pk}/password/", data).status_code == 403
    assert User.objects.get(pk=root.pk).check_password(SECRET)


@pytest.fixture(name="hans")
def _hans() -> Client:
    """May change people, and little else."""
    user = person("hans", "view_instance", "view_user", "change_user", "add_user", "view_group", "change_group", "add_group")
    return signed_in(user)


def test_nobody_gives_a_group_that_may_more_than_they_may(hans: Client) -> None:
    otto = in_group("otto")
    response = save(hans, otto, groups=ids("operator"))
    assert "You cannot give the group operator: you do not hold" in words_of(response)
    data = {"username": "new", "usable_password": "true", "password1": SECRET, "password2": SECRET}
    assert hans.post(f"{PEOPLE}add/", {**data, "groups": ids("admin")}).status_code == 200
    assert not User.objects.filter(username="new").exists()
    assert not otto.groups.exists()


def test_nobody_changes_a_person_who_may_more_than_they_may(hans: Client, ada: User) -> None:
    data = {"usable_password": "true", "password1": "x" * 20, "password2": "x" * 20, "set-password": "1"}
    assert hans.post(f"{PEOPLE}{ada.pk}/password/", data).status_code == 403
    assert save(hans, ada, is_active=None).status_code == 403
    assert User.objects.get(pk=ada.pk).check_password(SECRET)


def test_nobody_makes_a_group_that_may_more_than_they_may(hans: Client) -> None:
    operate = Permission.objects.get(codename="change_instance")
    response = hans.post(f"{GROUPS}add/", {"name": "mine", "permissions": [operate.pk]})
    assert "You cannot give these permissions: you do not hold instances.change_instance yourself." in words_of(response)
    assert not Group.objects.filter(name="mine").exists()


def test_a_group_is_made_changed_and_deleted_and_each_is_told(client: Client) -> None:
    read = Permission.objects.get(codename="view_instance")
    operate = Permission.objects.get(codename="change_instance")
    client.post(f"{GROUPS}add/", {"name": "night shift", "permissions": [read.pk]})
    group = Group.objects.get(name="night shift")
    client.post(f"{GROUPS}{group.pk}/change/", {"name": "night shift", "permissions": [read.pk, operate.pk]})
    client.post(f"{GROUPS}{group.pk}/delete/", {"post": "yes"})
    events = list(Event.objects.order_by("id"))
    assert [one.type for one in events] == ["group.created", "group.changed", "group.deleted"]
    assert {one.actor_name for one in events} == {"ada"}
    assert events[1].before == {"permissions": ["instances.view_instance"]}
    assert events[1].after == {
        "name": "night shift",
        "permissions": ["instances.change_instance", "instances.view_instance"],
    }


def test_the_roles_are_looked_at_and_never_bent(client: Client) -> None:
    root = signed_in(User.objects.create_superuser("root", password=SECRET))
    viewer = Group.objects.get(name="viewer")
    for one in (client, root):
        assert one.get(f"{GROUPS}{viewer.pk}/change/").status_code == 200
        assert one.post(f"{GROUPS}{viewer.pk}/change/", {"name": "viewer", "permissions": []}).status_code == 403
        assert one.post(f"{GROUPS}{viewer.pk}/delete/", {"post": "yes"}).status_code == 403
    assert viewer.permissions.exists()


def test_a_group_that_makes_somebody_an_administrator_cannot_be_taken_from_under_them() -> None:
    group = Group.objects.create(name="keepers")
    group.permissions.set(
        Permission.objects.filter(
            codename__in=("view_user", "change_user", "view_group", "change_group", "delete_group", "view_instance")
        )
    )
    kim = in_group("kim", "keepers")
    client = signed_in(kim)
    response = client.post(f"{GROUPS}{group.pk}/change/", {"name": "keepers", "permissions": []})
    assert "This would end your own administration" in words_of(response)
    assert client.post(f"{GROUPS}{group.pk}/delete/", {"post": "yes"}).status_code == 403
    assert User.objects.get(pk=kim.pk).has_perm("auth.change_user")


def test_the_list_of_people_says_what_they_may(client: Client) -> None:
    in_group("otto", "operator", staff=False)
    shown = words_of(client.get(PEOPLE))
    assert "otto - active operator pages" in shown
    assert "ada - active admin pages and admin" in shown


def test_a_locked_sign_in_is_shown_without_odd_names_and_opened(client: Client) -> None:
    in_group("otto", "viewer")
    common = {"user_agent": "x", "ip_address": "192.0.2.1", "failures_since_start": 10}
    otto = AccessAttempt.objects.create(username="otto", **common)
    AccessAttempt.objects.create(username="my secret passphrase", **common)
    address = "/admin/axes/accessattempt/"
    shown = text_of(client.get(address))
    assert "otto" in shown
    assert "my secret passphrase" not in shown
    assert "(a name nobody has)" in shown
    assert "1 may try again." in words_of(run(client, address, "let_in", otto))
    assert not AccessAttempt.objects.filter(pk=otto.pk).exists()
    event = the_event()
    assert (event.type, event.actor_name, event.after) == (
        "sign_in.unlocked",
        "ada",
        {"name": "otto", "address": "192.0.2.1"},
    )
