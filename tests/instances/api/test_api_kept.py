"""Answers kept while nothing is written, tags of what is shown, and pages that stay the same while rows are alike."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext

from instances.models import Instance, Machine, ProviderAccount
from tests.factories import NOW, make_account, make_instance, make_job, make_machine
from tests.instances.api.calls import Caller

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def no_budget_is_spent() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def statements(caller: Caller, path: str) -> list[str]:
    with CaptureQueriesContext(connection) as queries:
        assert caller.get(path).status_code == 200
    return [query["sql"] for query in queries]


def fleet(number: int = 3) -> list[Instance]:
    make_account()
    return [make_instance(name=f"n{one}") for one in range(number)]


@pytest.mark.parametrize("path", ["/instances", "/instances/n0"])
def test_while_nothing_is_written_an_answer_is_given_again_for_the_look_up_of_the_key_alone(path: str) -> None:
    caller = Caller()
    fleet()
    first = caller.get(path)
    caller.get(path)

    assert len(statements(caller, path)) <= 2
    assert caller.get(path).content == first.content


def test_a_list_that_is_made_anew_costs_five_statements() -> None:
    caller = Caller()
    instances = fleet(12)
    caller.get("/instances")
    caller.get("/instances")
    Instance.objects.filter(pk=instances[0].pk).update(owner="somebody")
    caller.get("/instances?limit=1")
    Instance.objects.filter(pk=instances[0].pk).update(owner="")
    caller.get("/instances")
    Machine.objects.filter(instance=instances[1]).update(status="running")

    assert len(statements(caller, "/instances")) <= 5


CHANGES: dict[str, Any] = {
    "a column of the instance": lambda one: Instance.objects.filter(pk=one.pk).update(labels={"team": "a"}),
    "a column of its machine": lambda one: Machine.objects.filter(pk=one.machine_id).update(endpoints=[]),
    "an open job": lambda one: make_job(one, verb="restart"),
    "the money of a former machine": lambda one: _with_former_machine(one),
    "a complete list": lambda one: ProviderAccount.objects.update(complete_list_at=NOW + timedelta(minutes=1)),
    "its end": lambda one: Instance.objects.filter(pk=one.pk).update(phase="gone", ended_at=NOW),
    "another instance": lambda _: make_instance(name="another"),
}


def _with_former_machine(one: Instance) -> None:
    current = one.machine
    make_machine(one, metered_usd="12.5", absent_at=NOW, running_since=None)
    Instance.objects.filter(pk=one.pk).update(machine=current)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_whatever_is_written_shows_in_the_next_list(change: Any) -> None:
    caller = Caller()
    instances = fleet()
    before = [caller.get("/instances") for _ in range(3)][-1]

    change(instances[1])

    after = caller.get("/instances", HTTP_IF_NONE_MATCH=before["ETag"])
    assert after.status_code == 200
    assert after.json() != before.json()
    by_name = {one["name"]: caller.get(f"/instances/{one['name']}").json() for one in after.json()["results"]}
    for one in after.json()["results"]:
        same = by_name[one["name"]] | {"cost_usd_so_far": one["cost_usd_so_far"]}
        assert one == same


@pytest.mark.parametrize("path", ["/instances", "/instances/n0", "/jobs", "/events", "/alarms", "/regions", "/automation"])
def test_who_has_it_already_is_told_so(path: str) -> None:
    caller = Caller("read")
    fleet()
    first = caller.get(path)

    again = caller.get(path, HTTP_IF_NONE_MATCH=first["ETag"])
    among_others = caller.get(path, HTTP_IF_NONE_MATCH=f'"other", {first["ETag"]}')
    other = caller.get(path, HTTP_IF_NONE_MATCH='W/"other"')

    assert [one.status_code for one in (first, again, among_others, other)] == [200, 304, 304, 200]
    assert again.content == b""
    assert again["ETag"] == first["ETag"]
    assert first["Cache-Control"] == "private, no-cache"


def test_the_cost_grows_by_the_clock_and_the_tag_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("instances.api.kept._LONGEST_SECONDS", 0)
    caller = Caller()
    began = datetime.now(UTC)
    make_account(now=began)
    make_instance(name="n0", now=began, machine={"billed_since": began, "billed_price_usd_per_hour": "3600"})
    with time_machine.travel(began + timedelta(seconds=10), tick=False):
        first = caller.get("/instances/n0")
    with time_machine.travel(began + timedelta(seconds=20), tick=False):
        second = caller.get("/instances/n0", HTTP_IF_NONE_MATCH='"none"')

    assert (first.json()["cost_usd_so_far"], second.json()["cost_usd_so_far"]) == ("10.000000", "20.000000")
    assert first["ETag"] == second["ETag"]


def test_what_is_shown_to_secret_keys_only_is_stored_by_nobody() -> None:
    fleet()

    answer = Caller("admin").get("/instances/n0/connection")

    assert answer["Cache-Control"] == "no-store"
    assert not answer.has_header("ETag")


def test_pages_hold_each_row_once_although_all_are_alike() -> None:
    caller = Caller()
    for number in range(9):
        make_instance(name=f"n{number}", owner="same")

    for ordering in ("owner", "-phase", "region", "-created_at"):
        pages = [caller.get(f"/instances?ordering={ordering}&limit=2&offset={offset}").json() for offset in range(0, 10, 2)]
        ids = [one["id"] for page in pages for one in page["results"]]
        assert len(ids) == len(set(ids)) == 9, ordering
