"""The way in and out: who gets in, who is slowed down, what is told of it, and that a password is told nowhere."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from instances.models import Event
from tests.pages import person

pytestmark = pytest.mark.django_db

PASSWORD = "a long enough password"
WRONG = "a wrong password of hers"


@pytest.fixture(autouse=True)
def _fresh_counts(settings: Any) -> Iterator[None]:
    """No attempt before, and hashes that cost no time: ninety attempts are made here."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    cache.clear()
    yield
    cache.clear()


@pytest.fixture(name="ann")
def _ann() -> User:
    return person("ann", "view_instance", password=PASSWORD)


def sign_in(client: Client, name: str = "ann", password: str = PASSWORD, **more: str) -> Any:
    address = more.pop("address", "192.0.2.1")
    return client.post("/sign-in", {"username": name, "password": password, **more}, REMOTE_ADDR=address)


def is_in(client: Client) -> bool:
    return client.get("/").status_code == 200


def told() -> list[tuple[str, str, str]]:
    return list(Event.objects.order_by("id").values_list("type", "actor_kind", "actor_name"))


@pytest.mark.usefixtures("ann")
def test_a_person_signs_in_and_out() -> None:
    client = Client()
    assert client.get("/").headers["Location"] == "/sign-in?next=/"
    assert sign_in(client)["Location"] == "/"
    assert is_in(client)
    assert client.get("/sign-in?next=/admin/")["Location"] == "/admin/"
    assert client.get("/sign-out").status_code == 405
    assert client.post("/sign-out")["Location"] == "/sign-in"
    assert not is_in(client)
    assert told() == [("sign_in.succeeded", "user", "ann")]
    event = Event.objects.get()
    assert event.after == {"address": "192.0.2.1"}


def test_who_may_not_open_the_admin_signs_in_all_the_same(ann: User) -> None:
    User.objects.filter(pk=ann.pk).update(is_staff=False)
    client = Client()
    sign_in(client)
    assert is_in(client)


def test_the_admin_uses_the_same_way_in_and_out(ann: User) -> None:
    client = Client()
    door = client.get("/admin/instances/instance/", follow=True)
    assert door.redirect_chain[-1][0] == "/sign-in?next=%2Fadmin%2Finstances%2Finstance%2F"
    assert sign_in(client, next="/admin/instances/instance/")["Location"] == "/admin/instances/instance/"
    assert client.get("/admin/password_change/")["Location"] == "/password"
    assert client.post("/admin/logout/")["Location"] == "/sign-in"
    assert not is_in(client)


@pytest.mark.usefixtures("ann")
@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_nobody_is_sent_elsewhere(elsewhere: str) -> None:
    assert sign_in(Client(), next=elsewhere)["Location"] == "/"


@pytest.mark.parametrize("shut_out", [False, True])
def test_a_wrong_password_and_an_account_shut_out_look_alike(ann: User, shut_out: bool) -> None:
    User.objects.filter(pk=ann.pk).update(is_active=not shut_out)
    client = Client()
    response = sign_in(client, password=PASSWORD if shut_out else WRONG)
    assert response.status_code == 200
    assert "Name and password do not match." in response.content.decode()
    assert PASSWORD not in response.content.decode()
    assert WRONG not in response.content.decode()
    assert not is_in(client)


@pytest.mark.usefixtures("ann")
def test_a_failure_is_told_by_name_and_address_and_never_with_the_password() -> None:
    sign_in(Client(), password=WRONG)
    event = Event.objects.get()
    assert (event.type, event.actor_kind, event.actor_name) == ("sign_in.failed", "outside", "192.0.2.1")
    assert event.after == {"name": "ann", "address": "192.0.2.1"}
    assert WRONG not in str(Event.objects.values())
    assert WRONG not in str(AccessAttempt.objects.values("get_data", "post_data", "path_info"))


def test_a_name_nobody_has_is_not_kept_for_it_may_be_a_password() -> None:
    sign_in(Client(), name="my secret passphrase", password="x")
    assert Event.objects.get().after == {"name": "", "address": "192.0.2.1"}


def test_an_empty_form_is_no_attempt() -> None:
    response = sign_in(Client(), name="", password="")
    assert "Write your name and your password." in response.content.decode()
    assert not Event.objects.exists()


@pytest.mark.usefixtures("ann")
def test_too_many_attempts_from_an_address_wait_until_the_window_is_over(settings: Any) -> None:
    settings.RATE_LIMIT_SIGN_IN = "3/m"
    with time_machine.travel(timezone.now(), tick=False) as clock:
        for _ in range(3):
            assert sign_in(Client(), password=WRONG).status_code == 200
        refused = sign_in(Client())
        assert refused.status_code == 429
        assert 1 <= int(refused["Retry-After"]) <= 60
        assert "Too many attempts from here. Try again in" in refused.content.decode()
        assert sign_in(Client(), address="192.0.2.99").status_code == 302, "another address is not slowed down"
        clock.shift(timedelta(seconds=int(refused["Retry-After"]) + 1))
        assert sign_in(Client()).status_code == 302
    failures = [one for one in told() if one[0] == "sign_in.failed"]
    assert len(failures) == 3, "what was not tried is not told"


@pytest.mark.usefixtures("ann")
def test_one_name_from_one_address_is_locked_after_ten_failures(settings: Any) -> None:
    settings.RATE_LIMIT_SIGN_IN = "1000/m"
    with time_machine.travel(timezone.now(), tick=False) as clock:
        for _ in range(9):
            assert sign_in(Client(), password=WRONG).status_code == 200
        locked = sign_in(Client(), password=WRONG)
        assert locked.status_code == 429
        assert int(locked["Retry-After"]) == 15 * 60
        assert "Too many attempts from here. Try again in 15 min." in locked.content.decode()

        clock.shift(timedelta(minutes=5))
        even_right = sign_in(Client())
        assert even_right.status_code == 429
        assert int(even_right["Retry-After"]) == 10 * 60, "trying again does not make the wait longer"
        assert sign_in(Client(), address="192.0.2.99").status_code == 302, "she gets in from elsewhere"

        clock.shift(timedelta(minutes=10, seconds=1))
        assert sign_in(Client()).status_code == 302
    reasons = list(Event.objects.filter(type="sign_in.failed").order_by("id").values_list("reason", flat=True))
    assert reasons == [""] * 9 + ["locked for a while"] * 2


@pytest.mark.usefixtures("ann")
def test_getting_in_forgets_the_failures_before(settings: Any) -> None:
    settings.RATE_LIMIT_SIGN_IN = "1000/m"
    for _ in range(2):
        for _ in range(9):
            sign_in(Client(), password=WRONG)
        assert sign_in(Client()).status_code == 302


@pytest.mark.usefixtures("ann")
def test_a_flood_of_failures_is_no_flood_of_events(settings: Any) -> None:
    settings.RATE_LIMIT_SIGN_IN = "1000/m"
    settings.AXES_FAILURE_LIMIT = 1000
    with time_machine.travel(timezone.now(), tick=False):
        for number in range(70):
            sign_in(Client(), name=f"nobody-{number}", password="x", address=f"192.0.2.{number}")
    assert Event.objects.count() == 60


def test_a_person_changes_their_password_and_every_other_session_ends(ann: User) -> None:
    here, elsewhere = Client(), Client()
    sign_in(here)
    sign_in(elsewhere)
    new = "an even longer password"
    data = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    wrong = here.post("/password", {**data, "old_password": WRONG})
    assert "Your old password was entered incorrectly" in wrong.content.decode()
    short = here.post("/password", {**data, "new_password1": "short", "new_password2": "short"})
    assert "too short" in short.content.decode()
    assert here.post("/password", data)["Location"] == "/"
    assert is_in(here)
    assert not is_in(elsewhere)
    event = Event.objects.get(type="person.password_changed")
    assert (event.actor_name, event.after) == ("ann", {"name": "ann"})
    assert new not in str(Event.objects.values())
    assert sign_in(Client(), password=new).status_code == 302
    assert Client().get("/password").status_code == 302, "nobody signed out sees it"


@pytest.mark.usefixtures("ann")
def test_a_stolen_session_cannot_try_old_passwords_without_end(settings: Any) -> None:
    client = Client()
    sign_in(client)
    settings.RATE_LIMIT_SIGN_IN = "2/m"
    data = {"old_password": WRONG, "new_password1": "x" * 20, "new_password2": "x" * 20}
    with time_machine.travel(timezone.now(), tick=False):
        answers = [client.post("/password", data).status_code for _ in range(3)]
    assert answers == [200, 200, 429]


def test_a_form_that_was_open_too_long_says_what_to_do(ann: User) -> None:
    client = Client(enforce_csrf_checks=True)
    response = client.post("/sign-in", {"username": "ann", "password": PASSWORD})
    assert response.status_code == 403
    assert "This page was older than your session: go back, reload it and send it again." in response.content.decode()


def test_the_way_in_is_kept_by_no_cache_and_runs_under_the_strict_policy() -> None:
    response = Client().get("/sign-in")
    assert "no-store" in response["Cache-Control"]
    assert "unsafe" not in response["Content-Security-Policy"]
    assert "<style" not in response.content.decode()
    assert "<script>" not in response.content.decode()
