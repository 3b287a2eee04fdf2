"""A Novita id that is not the one of the instance's current machine: read by it, never change by it."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from instances.models import Event, Instance, Job, Machine
from tests.factories import NOW, make_instance
from tests.instances.api.calls import Caller

pytestmark = pytest.mark.django_db
SECOND = "nvsurplus0000001"
CHANGES = [
    ("delete", "", None),
    ("patch", "", {"protected": True}),
    ("post", "/start", None),
    ("post", "/stop", None),
    ("post", "/restart", None),
    ("post", "/migrate", None),
    ("post", "/save-image", {"image": "registry.example/team/image:1"}),
    ("post", "/adopt", {}),
    ("post", "/release", None),
    ("delete", "/keep", None),
    ("post", "/heartbeat", None),
    ("delete", "/heartbeat", None),
]


def with_a_second(**columns: Any) -> Instance:
    instance = make_instance(name="train-1")
    values: dict[str, Any] = {"status": "running", "observed_at": NOW, "surplus_since": NOW}
    Machine.objects.create(instance=instance, novita_id=SECOND, created_at=NOW, **values | columns)
    return instance


def send(method: str, path: str, body: Any) -> Any:
    call = getattr(Caller(), method)
    return call(path) if method == "delete" else call(path, body)


@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
def test_what_is_asked_of_a_second_machine_never_reaches_the_good_one(method: str, path: str, body: Any) -> None:
    instance = with_a_second()
    before, events = Instance.objects.filter(pk=instance.pk).values().get(), Event.objects.count()

    answer = send(method, f"/instances/{SECOND}{path}", body)

    assert (answer.status_code, answer.json()["code"]) == (409, "not_current"), answer.content
    assert SECOND in answer.json()["detail"]
    assert str(instance.machine) in answer.json()["detail"]
    assert answer.json()["ids"] == [str(instance.pk)]
    assert Instance.objects.filter(pk=instance.pk).values().get() == before
    assert not Job.objects.exists()
    assert Event.objects.count() == events


def test_what_runs_on_after_a_move_is_not_stopped_for_reporting_under_its_former_id() -> None:
    instance = with_a_second(absent_at=NOW, surplus_since=None)

    used = Caller().put(f"/instances/{SECOND}/last-used", {})
    kept = Caller().post(f"/instances/{SECOND}/keep", {"until": in_an_hour(), "reason": "a demonstration"})

    assert (used.status_code, kept.status_code) == (200, 200), kept.content
    instance.refresh_from_db()
    assert instance.last_used_at is not None
    assert instance.keep_until is not None


def in_an_hour() -> str:
    return (timezone.now() + timedelta(hours=1)).isoformat()


@pytest.mark.parametrize("action", ["start", "stop", "restart", "migrate", "delete", "adopt"])
def test_nor_in_bulk(action: str) -> None:
    with_a_second()

    answer = Caller().post("/instances/bulk", {"action": action, "refs": [SECOND]})

    [result] = answer.json()["results"]
    assert (result["ref"], result["ok"], result["code"]) == (SECOND, False, "not_current")
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({}, "see to it in Novita's console"),
        ({"surplus_since": None}, "see to it in Novita's console"),
        ({"let_go_at": NOW}, "its deletion was asked for"),
        ({"absent_at": NOW}, "it is gone from Novita"),
    ],
)
def test_the_refusal_says_what_may_be_done_about_the_other(columns: dict[str, Any], told: str) -> None:
    with_a_second(**columns)

    assert told in Caller().delete(f"/instances/{SECOND}").json()["detail"]


def test_an_instance_without_a_machine_is_not_changed_by_one_it_had() -> None:
    instance = with_a_second(absent_at=NOW)
    Instance.objects.filter(pk=instance.pk).update(machine=None)

    answer = Caller().delete(f"/instances/{SECOND}")

    assert (answer.status_code, answer.json()["code"]) == (409, "not_current")
    assert "has no machine now" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["", "/events", "/explain", "/heartbeat"])
def test_it_is_read_by_any_of_its_machines(path: str) -> None:
    instance = with_a_second()

    answer = Caller().get(f"/instances/{SECOND}{path}")

    assert answer.status_code == 200
    assert path or answer.json()["id"] == str(instance.pk)


def test_a_change_is_taken_by_our_id_the_name_and_the_current_machine() -> None:
    instance = with_a_second()

    for ref in (str(instance.pk), "TRAIN-1", str(instance.machine)):
        answer = Caller(name=f"by {ref}").put(f"/instances/{ref}/last-used", {})
        assert (answer.status_code, answer.json()["id"]) == (200, str(instance.pk))
