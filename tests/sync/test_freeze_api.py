"""The freeze over HTTP: whether there is one, and how a person lifts it."""

from typing import Any

import pytest

from instances.alarms import raise_alarm
from instances.models import Alarm, Event, Machine, ProviderAccount
from instances.operations import destruction_hold_reason, hold_reason, lift_freeze
from tests.factories import NOW, PERSON, client_of, make_account, make_instance, make_key

pytestmark = pytest.mark.django_db


def caller(*scopes: str) -> Any:
    return client_of(make_key(*scopes)[1])


def doubted() -> None:
    make_account(doubted_since=NOW, doubt_reason="3 of 6 are missing", suspicion="abc")
    make_instance(machine={"unverified_since": NOW})
    raise_alarm("list_not_believed", "", text="3 of 6 are missing", remedy="", now=NOW)


def test_a_freeze_is_shown_with_what_it_holds() -> None:
    assert caller("read").get("/api/v1/sync/freeze").json()["frozen"] is False
    doubted()

    shown = caller("read").get("/api/v1/sync/freeze").json()

    assert (shown["frozen"], shown["reason"], shown["unverified"]) == (True, "3 of 6 are missing", 1)
    assert "deleting" in shown["holds"]
    assert (hold_reason(NOW), destruction_hold_reason(NOW)) == ("", "3 of 6 are missing")


def test_a_person_lifts_it_with_a_reason() -> None:
    doubted()
    lift = "/api/v1/sync/freeze/lift"

    assert caller("read").post(lift, {"reason": "x"}, content_type="application/json").status_code == 403
    assert caller("operate").post(lift, {}, content_type="application/json").status_code == 400
    answer = caller("operate").post(lift, {"reason": "we deleted them"}, content_type="application/json")

    assert (answer.status_code, answer.json()["frozen"], answer.json()["unverified"]) == (200, False, 0)
    account = ProviderAccount.objects.get()
    assert (account.doubted_since, account.accepted_lack) == (None, "abc")
    assert not Alarm.objects.filter(cleared_at=None).exists()
    assert not Machine.objects.exclude(unverified_since=None).exists()
    [told] = Event.objects.filter(type="account.freeze_lifted")
    assert (told.reason, told.before, told.after) == (
        "we deleted them",
        {"lists": "3 of 6 are missing"},
        {"lifted": ["lists"]},
    )


def test_a_frozen_key_is_accepted_as_the_accounts_own(settings: Any) -> None:
    make_account(frozen_since=NOW, frozen_reason="none is seen", key_fingerprint="old")

    assert lift_freeze(actor=PERSON, reason="the key is right", now=NOW) == ["key"]

    account = ProviderAccount.objects.get()
    assert (account.frozen_since, account.frozen_reason) == (None, "")
    assert account.key_fingerprint != "old"


def test_without_a_freeze_there_is_nothing_to_lift() -> None:
    assert lift_freeze(actor=PERSON, reason="", now=NOW) == []
    make_account()
    assert lift_freeze(actor=PERSON, reason="", now=NOW) == []
    assert not Event.objects.exists()
