"""The life of API keys: where they may be used from, how they are replaced, and what is told of refused ones."""

import ipaddress
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.utils import timezone

from instances.models import Event
from novita_manager import refused_keys
from novita_manager.keys import issue_key, revoke_key, rotate_key
from novita_manager.models import ApiKey
from tests.factories import PERSON, client_of, make_key

pytestmark = pytest.mark.django_db

PATH = "/api/v1/instances"


@pytest.fixture(autouse=True)
def no_budget_is_spent() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def told(type_: str) -> list[dict[str, Any]]:
    return [event.after for event in Event.objects.filter(type=type_).order_by("id")]


def test_a_key_is_stored_as_a_hash_and_told_without_itself() -> None:
    row, plain = issue_key(actor=PERSON, now=timezone.now(), name="ci", scopes=["read"], owner="team")

    columns = str(ApiKey.objects.filter(pk=row.pk).values().get())
    assert plain not in columns
    assert plain.removeprefix("nvm_").startswith(row.prefix)
    [event] = told("api_key.created")
    assert (event["name"], event["prefix"], event["scopes"]) == ("ci", row.prefix, ["read"])
    assert plain not in str(event)


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("203.0.113.9", 200),
        ("::ffff:203.0.113.9", 200),
        ("2001:db8::7", 200),
        ("203.0.114.1", 403),
        ("2001:db9::1", 403),
        ("127.0.0.1", 403),
    ],
)
def test_a_key_with_networks_is_taken_from_there_only(address: str, status: int) -> None:
    _, plain = make_key("read", allowed_networks=["203.0.113.0/24", "2001:db8::/32"])

    answer = client_of(plain).get(PATH, REMOTE_ADDR=address)

    assert answer.status_code == status
    if status == 403:
        assert answer.json()["code"] == "network_not_allowed"


def test_a_forged_header_moves_nobody_into_an_allowed_network(settings: Any) -> None:
    _, plain = make_key("read", allowed_networks=["203.0.113.0/24"])
    forged: Any = {"REMOTE_ADDR": "198.51.100.1", "HTTP_X_FORWARDED_FOR": "203.0.113.9"}

    assert client_of(plain).get(PATH, **forged).status_code == 403
    settings.TRUSTED_PROXIES = [ipaddress.ip_network("198.51.100.0/24")]
    assert client_of(plain).get(PATH, **forged).status_code == 200


def test_what_is_no_network_makes_no_key() -> None:
    with pytest.raises(ValueError, match="example"):
        make_key("read", allowed_networks=["example"])


def test_a_successor_may_do_the_same_and_both_work_for_the_overlap() -> None:
    now = timezone.now()
    old, old_plain = make_key("operate", name="ci", owner="team", allowed_networks=["127.0.0.0/8"], max_instances=3)

    fresh, plain = rotate_key(old, overlap=timedelta(hours=1), actor=PERSON, now=now)

    same = ("name", "owner", "scopes", "allowed_networks", "max_instances", "max_usd_per_hour")
    assert [getattr(fresh, name) for name in same] == [getattr(old, name) for name in same]
    assert {client_of(one).get(PATH).status_code for one in (plain, old_plain)} == {200}
    ApiKey.objects.filter(pk=old.pk).update(expires_at=now - timedelta(seconds=1))
    assert (client_of(old_plain).get(PATH).status_code, client_of(plain).get(PATH).status_code) == (401, 200)
    [event] = told("api_key.rotated")
    assert plain not in str(event)


def test_an_overlap_prolongs_no_life() -> None:
    now = timezone.now()
    ends_at = now + timedelta(minutes=5)
    old, _ = make_key("read", expires_at=ends_at)

    rotate_key(old, overlap=timedelta(hours=1), actor=PERSON, now=now)

    old.refresh_from_db()
    assert old.expires_at == ends_at


def test_a_key_has_one_successor_and_a_dead_one_none() -> None:
    now = timezone.now()
    old, _ = make_key("read")
    rotate_key(old, overlap=timedelta(hours=1), actor=PERSON, now=now)
    dead, _ = make_key("read", name="dead")
    revoke_key(dead, actor=PERSON, now=now)

    for key in (old, dead):
        with pytest.raises(ValueError, match=r"successor|revoked"):
            rotate_key(key, overlap=timedelta(hours=1), actor=PERSON, now=now)


@pytest.mark.django_db(transaction=True)
def test_a_revoked_key_lets_nobody_in_at_once_although_keys_are_remembered() -> None:
    row, plain = make_key("read")
    client = client_of(plain)
    assert [client.get(PATH).status_code for _ in range(3)] == [200, 200, 200]

    revoke_key(row, actor=PERSON, now=timezone.now())

    assert client.get(PATH).status_code == 401


def test_refused_keys_are_slowed_down_by_address_and_valid_ones_are_not(settings: Any) -> None:
    settings.RATE_LIMIT_SIGN_IN = "3/h"
    wrong, right = client_of("nvm_" + "0" * 64), client_of(make_key("read")[1])

    statuses = [wrong.get(PATH).status_code for _ in range(5)]

    assert statuses == [401, 401, 401, 429, 429]
    assert int(wrong.get(PATH)["Retry-After"]) >= 1
    assert wrong.get(PATH, REMOTE_ADDR="203.0.113.9").status_code == 401
    assert right.get(PATH).status_code == 200


def test_refused_keys_are_told_twice_for_an_address_however_many_they_are(settings: Any) -> None:
    settings.RATE_LIMIT_SIGN_IN = "3/h"
    row, plain = make_key("read", expires_at=timezone.now() - timedelta(days=1))

    for _ in range(20):
        client_of(plain).get(PATH)

    events = told("api_key.refused")
    assert [event["throttled"] for event in events] == [False, True]
    assert (events[0]["prefix"], events[0]["address"]) == (row.prefix, "127.0.0.1")
    assert plain not in str(events)


def test_many_addresses_do_not_fill_the_timeline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refused_keys, "_MOST_EVENTS", "5/h")
    wrong = client_of("nvm_" + "0" * 64)

    for number in range(20):
        wrong.get(PATH, REMOTE_ADDR=f"203.0.113.{number}")

    assert len(told("api_key.refused")) == 5
