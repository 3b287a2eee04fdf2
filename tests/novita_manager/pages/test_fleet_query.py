"""What of the fleet is shown: filters, search, order and pages, all in the address."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.http import QueryDict
from django.test import Client
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from instances.alarms import raise_alarm
from instances.models import Instance
from novita_manager.pages.fleet_query import PAGE_ROWS, query_of
from tests.pages import person, running, signed_in


@pytest.fixture(name="ann")
def _ann(db: None) -> Client:
    return signed_in(person("ann", superuser=True))


def names(client: Client, address: str = "/") -> list[str]:
    return re.findall(r'class="name" href="[^"]+"><bdi>([^<]+)', client.get(address).content.decode())


def test_search_and_filters_narrow_what_is_shown(ann: Client) -> None:
    now = timezone.now()
    running("trainer", at=now, owner="vision")
    running("server", at=now, owner="speech", billing_mode="on_demand", phase="unhealthy")

    assert names(ann, "/?q=train") == ["trainer"]
    assert names(ann, "/?q=id-server") == ["server"]
    assert names(ann, "/?owner=speech") == ["server"]
    assert names(ann, "/?phase=ready") == ["trainer"]
    assert names(ann, "/?billing=on_demand") == ["server"]
    assert names(ann, "/?region=cn-hk-01&q=serv") == ["server"]
    assert names(ann, "/?q=nothing") == []
    assert "Nothing fits" in ann.get("/?q=nothing").content.decode()


def test_what_needs_attention_is_in_trouble_or_has_an_alarm(ann: Client) -> None:
    now = timezone.now()
    running("well", at=now)
    alarmed = running("alarmed", at=now)
    running("failed", at=now, phase="failed")
    raise_alarm("no_metrics", "x", text="no data", remedy="Look", now=now, instance=alarmed)

    assert sorted(names(ann, "/?show=attention")) == ["alarmed", "failed"]


def test_what_ended_stays_for_an_hour_and_is_found_again_when_asked_for(ann: Client) -> None:
    now = timezone.now()
    for name, age in (("fresh", timedelta(minutes=5)), ("old", timedelta(hours=2))):
        one = running(name, at=now)
        Instance.objects.filter(pk=one.pk).update(phase="deleted", ended_at=now - age)
    running("living", at=now)

    assert names(ann) == ["living", "fresh"]
    assert sorted(names(ann, "/?show=ended")) == ["fresh", "old"]
    assert sorted(names(ann, "/?phase=deleted")) == ["fresh", "old"]


def test_columns_sort_both_ways(ann: Client) -> None:
    now = timezone.now()
    for name, price in (("b", "0.35"), ("a", "5.12"), ("c", "0.20")):
        running(name, at=now, price=price)

    assert names(ann, "/?sort=name") == ["a", "b", "c"]
    assert names(ann, "/?sort=-name") == ["c", "b", "a"]
    assert names(ann, "/?sort=-price") == ["a", "b", "c"]
    assert 'aria-sort="descending"' in ann.get("/?sort=-price").content.decode()


def test_pages_hold_all_once_and_a_page_past_the_end_is_the_last(ann: Client) -> None:
    now = timezone.now()
    for number in range(PAGE_ROWS + 3):
        running(f"box-{number:03}", at=now)

    first, second = names(ann, "/?sort=name"), names(ann, "/?sort=name&page=2")

    assert len(first) == PAGE_ROWS
    assert first + second == [f"box-{number:03}" for number in range(PAGE_ROWS + 3)]
    assert names(ann, "/?sort=name&page=99") == second
    assert "Page 2 of 2" in ann.get("/?page=2").content.decode()


@given(
    st.dictionaries(
        st.sampled_from(["q", "show", "phase", "region", "billing", "owner", "sort", "page"]), st.text(max_size=40)
    )
)
def test_any_address_makes_a_query_that_its_own_address_makes_again(words: dict[str, str]) -> None:
    query = query_of(words)

    address = query.address()

    assert query_of(QueryDict(address.removeprefix("?")).dict()) == query


@pytest.mark.django_db
@settings(deadline=None, max_examples=40)
@given(st.sampled_from(["q", "show", "phase", "region", "billing", "owner", "sort", "page"]), st.text(max_size=30))
def test_no_address_breaks_the_page(name: str, text: str) -> None:
    client = Client()
    client.force_login(_somebody())
    assert client.get("/", {name: text}).status_code == 200


def _somebody() -> Any:
    from django.contrib.auth.models import User  # noqa: PLC0415 - hypothesis runs outside of fixtures

    return User.objects.filter(username="hyp").first() or person("hyp", superuser=True)
