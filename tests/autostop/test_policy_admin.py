"""Policies in the admin: checked and written as by the API, for who holds the permission, with what follows from them."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from autostop.models import Policy
from autostop.policy_form import PolicyForm
from instances.models import Event
from tests.autostop.rows import NOW, running_instance
from tests.instances.admin_calls import words_of
from tests.pages import person, signed_in

pytestmark = pytest.mark.django_db
LIST = "/admin/autostop/policy/"


@pytest.fixture(name="ada")
def _ada() -> Client:
    user = person("ada", "view_instance")
    user.user_permissions.add(Permission.objects.get(codename="change_policy"))
    return signed_in(user)


def policy(name: str = "labs", **columns: Any) -> Policy:
    return Policy.objects.create(**{"name": name, "mode": "observe", "created_at": NOW, "changed_at": NOW, **columns})


def typed(row: Policy | None = None, **changes: str) -> dict[str, Any]:
    """The form as a browser sends it back, but for the changes; empty texts where there is nothing."""
    form = PolicyForm(instance=row) if row else PolicyForm()
    sent = {name: form[name].value() for name in form.fields}
    data = {name: value if isinstance(value, list) else "" if value is None else str(value) for name, value in sent.items()}
    return {**data, **changes}


def test_a_policy_is_made_with_an_event_and_told_whom_it_concerns(ada: Client) -> None:
    running_instance("box", labels={"team": "labs"})
    running_instance("other")

    shown = ada.post(
        f"{LIST}add/",
        typed(name="labs", mode="enforce", threshold="10m", labels='{"team": "labs"}', reason="they asked"),
        follow=True,
    )

    row = Policy.objects.get(name="labs")
    assert (row.mode, row.threshold, row.labels, row.holds) == (
        "enforce",
        timedelta(minutes=10),
        {"team": "labs"},
        {"use": None, "gpu": None, "cpu": None, "heartbeat": None},
    )
    assert "Policy labs applies to 1 instance, 1 of them running. From the next pass on it stops what is idle" in words_of(
        shown
    )
    event = Event.objects.get(type="auto_stop_policy.created")
    assert (event.actor_kind, event.actor_name, event.reason) == ("user", "ada", "they asked")
    assert event.after["threshold"] == "10m"


def test_only_what_was_changed_is_sent_and_told_with_before_and_after(ada: Client) -> None:
    row = policy(threshold=timedelta(minutes=30), labels={"team": "labs"})

    ada.post(f"{LIST}{row.pk}/change/", typed(row, threshold="15m"))

    row.refresh_from_db()
    assert (row.threshold, row.labels, row.gpu_percent, row.holds) == (timedelta(minutes=15), {"team": "labs"}, None, {})
    event = Event.objects.get(type="auto_stop_policy.changed")
    assert (event.before, event.after) == ({"threshold": "30m"}, {"name": "labs", "threshold": "15m"})


def test_what_is_emptied_is_as_the_default_again(ada: Client) -> None:
    row = policy(threshold=timedelta(minutes=30), max_age=timedelta(hours=3))

    ada.post(f"{LIST}{row.pk}/change/", typed(row, threshold="", max_age=""))

    row.refresh_from_db()
    assert (row.threshold, row.max_age) == (None, None)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"threshold": "soon"}, "write a duration"),
        ({"threshold": "0s"}, "at least 1s is needed"),
        ({"mode": "canary"}, "a canary says on how many"),
        ({"time_zone": "Nowhere/At-All"}, "time zone"),
        ({"holds": '{"moon": null}'}, "moon"),
        ({"holds": "{}"}, "name at least one signal"),
        ({"schedule_mode": "once_at"}, "a schedule needs a time"),
        ({"schedule_mode": "once_at", "schedule_stop": "25:00"}, "write"),
        ({"rank": "-1"}, "at least 0 is needed"),
    ],
    ids=str,
)
def test_the_api_s_own_checks_refuse(ada: Client, changes: dict[str, str], told: str) -> None:
    row = policy()

    shown = words_of(ada.post(f"{LIST}{row.pk}/change/", typed(row, **changes)))

    assert told in shown
    assert not Event.objects.filter(type="auto_stop_policy.changed").exists()


@pytest.mark.parametrize("name", ["labs", "default", "two words", ""])
def test_a_name_that_is_taken_reserved_or_odd_is_refused(ada: Client, name: str) -> None:
    policy("labs")

    assert ada.post(f"{LIST}add/", typed(name=name)).status_code == 200
    assert Policy.objects.count() == 1


def test_working_hours_are_set_and_their_next_five_turns_shown(ada: Client) -> None:
    row = policy()
    hours = {"schedule_mode": "keep_off_between", "schedule_start": "08:00", "schedule_stop": "19:00"}

    ada.post(f"{LIST}{row.pk}/change/", {**typed(row, time_zone="Asia/Tokyo", **hours), "schedule_days": ["mon", "tue"]})

    row.refresh_from_db()
    assert (row.schedule_mode, f"{row.schedule_start}", row.schedule_days) == (
        "keep_off_between",
        "08:00:00",
        ["mon", "tue"],
    )
    shown = words_of(ada.get(f"{LIST}{row.pk}/change/"))
    assert shown.count("08:00 JST") + shown.count("19:00 JST") == 5
    assert words_of(ada.post(f"{LIST}{row.pk}/change/", typed(row, schedule_mode=""))) is not None
    row.refresh_from_db()
    assert (row.schedule_mode, row.schedule_stop) == ("", None)


def test_a_policy_that_instances_name_is_not_deleted_and_another_is(ada: Client) -> None:
    row = policy()
    instance = running_instance("box", auto_stop_policy="labs")
    asked = words_of(ada.get(f"{LIST}{row.pk}/remove/", follow=True))
    assert "It applies to 1 instance, 1 of them running" in asked

    refused = ada.post(f"{LIST}{row.pk}/remove/", {"confirmed": "yes"}, follow=True)
    assert "Not deleted: instances name this policy: 1" in words_of(refused)

    instance.auto_stop_policy = ""
    instance.save()
    ada.post(f"{LIST}{row.pk}/remove/", {"confirmed": "yes", "reason": "no longer"}, follow=True)
    assert not Policy.objects.exists()
    event = Event.objects.get(type="auto_stop_policy.deleted")
    assert (event.actor_name, event.reason, event.before) == ("ada", "no longer", {"name": "labs"})


def test_who_may_only_see_policies_changes_none() -> None:
    row = policy()
    user = person("vic", "view_instance", "view_policy")
    vic = signed_in(user)

    assert vic.get(f"{LIST}{row.pk}/change/").status_code == 200
    assert vic.post(f"{LIST}{row.pk}/change/", typed(row, threshold="1s")).status_code == 403
    assert vic.get(f"{LIST}add/").status_code == 403
    assert vic.post(f"{LIST}{row.pk}/remove/", {"confirmed": "yes"}).status_code in (302, 403)
    row.refresh_from_db()
    assert row.threshold is None


def test_one_that_cannot_be_read_says_so_and_keeps_no_other_from_being_shown(ada: Client) -> None:
    Policy.objects.filter(pk=policy("odd").pk).update(time_zone="Nowhere/At-All")
    policy("well")

    shown = words_of(ada.get(LIST))

    assert "ZoneInfoNotFoundError" in shown
    assert "well" in shown
