import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from novita_manager.embedded.first_access import describe, open_first_access
from novita_manager.models import ApiKey

GIVEN_KEY = "k" * 40


@pytest.mark.django_db
def test_the_first_start_makes_an_admin_and_a_key_and_shows_both_once() -> None:
    made = open_first_access(password="", api_key="")

    assert User.objects.get(username="admin", is_superuser=True).check_password(made.password)
    key = ApiKey.objects.matching(made.api_key)
    assert key is not None
    assert key.has_scope("admin")
    shown = "\n".join(describe(made))
    assert made.password in shown
    assert made.api_key in shown


@pytest.mark.django_db
def test_a_second_start_makes_and_shows_nothing() -> None:
    open_first_access(password="", api_key="")

    again = open_first_access(password="", api_key="")

    assert describe(again) == []
    assert User.objects.count() == 1
    assert ApiKey.objects.count() == 1


@pytest.mark.django_db
def test_given_secrets_are_used_and_not_shown() -> None:
    made = open_first_access(password="a long pass phrase", api_key=GIVEN_KEY)

    assert User.objects.get(username="admin").check_password("a long pass phrase")
    assert ApiKey.objects.matching(GIVEN_KEY) is not None
    shown = "\n".join(describe(made))
    assert "pass phrase" not in shown
    assert GIVEN_KEY not in shown


@pytest.mark.django_db
def test_a_key_given_later_works_from_then_on() -> None:
    open_first_access(password="", api_key="")

    open_first_access(password="", api_key=GIVEN_KEY)
    open_first_access(password="", api_key=GIVEN_KEY)

    assert ApiKey.objects.count() == 2
    assert ApiKey.objects.matching(GIVEN_KEY) is not None


@pytest.mark.django_db
def test_a_given_key_that_was_revoked_stays_revoked() -> None:
    open_first_access(password="", api_key=GIVEN_KEY)
    ApiKey.objects.update(revoked_at=timezone.now())

    open_first_access(password="", api_key=GIVEN_KEY)

    assert ApiKey.objects.filter(revoked_at=None).count() == 0


@pytest.mark.django_db
def test_an_administrator_of_another_name_is_enough() -> None:
    User.objects.create_superuser("somebody", password="whatever it is")

    assert not open_first_access(password="", api_key="").admin_made
