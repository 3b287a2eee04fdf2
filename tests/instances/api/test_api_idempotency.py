"""Idempotency-Key at POSTs."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from instances.models import Alarm, Instance
from novita_manager import api
from novita_manager.idempotency import Replayed
from novita_manager.models import IdempotencyRecord
from tests.factories import NOW, make_instance, make_offer
from tests.instances.api.calls import NEW, Caller

pytestmark = pytest.mark.django_db


def create(caller: Caller, body: dict[str, Any] = NEW, key: str = "order-7") -> Any:
    return caller.post("/instances", body, HTTP_IDEMPOTENCY_KEY=key)


def test_the_same_create_sent_again_answers_the_first_reply() -> None:
    make_offer()
    caller = Caller()

    first, again = create(caller), create(caller, dict(reversed(NEW.items())))

    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json() == first.json()
    assert again["Location"] == first["Location"]
    assert again["Idempotent-Replayed"] == "true"
    assert not first.has_header("Idempotent-Replayed")
    assert Instance.objects.count() == 1


def test_another_body_under_the_same_key_is_a_mismatch() -> None:
    make_offer()
    caller = Caller()
    create(caller)

    answer = create(caller, NEW | {"name": "other"})

    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_mismatch")
    assert Instance.objects.count() == 1


def test_keys_of_two_callers_do_not_meet() -> None:
    make_offer()

    create(Caller(name="one"))
    answer = create(Caller(name="two"), NEW | {"name": "other"})

    assert answer.status_code == 202
    assert Instance.objects.count() == 2


def test_a_refusal_is_not_kept() -> None:
    caller = Caller()
    offer = make_offer(available=False)

    assert create(caller).status_code == 409
    assert create(caller, NEW | {"gpu_num": "2"}).status_code == 400
    offer.available = True
    offer.save()
    assert create(caller).status_code == 202


def test_a_request_in_flight_is_said_so_and_an_abandoned_one_taken_over() -> None:
    make_offer()
    caller = Caller()
    create(caller)
    record = IdempotencyRecord.objects.get()
    IdempotencyRecord.objects.update(finished_at=None, reply="")

    flying = create(caller)

    assert (flying.status_code, flying.json()["code"]) == (409, "in_flight")
    assert flying["Retry-After"] == "1"
    IdempotencyRecord.objects.filter(pk=record.pk).update(started_at=datetime.now(UTC) - timedelta(minutes=5))
    taken_over = create(caller)
    assert (taken_over.status_code, taken_over.json()["code"]) == (409, "name_taken")


def test_a_key_is_forgotten_after_a_day() -> None:
    make_offer()
    caller = Caller()
    create(caller)
    IdempotencyRecord.objects.update(started_at=datetime.now(UTC) - timedelta(hours=25))

    assert create(caller, NEW | {"name": "tomorrow"}).status_code == 202


def test_verbs_honour_the_key_too() -> None:
    caller = Caller()
    make_instance(name="one")

    first = caller.post("/instances/one/stop", HTTP_IDEMPOTENCY_KEY="k")
    again = caller.post("/instances/one/stop", HTTP_IDEMPOTENCY_KEY="k")
    other = caller.post("/instances/one/restart", HTTP_IDEMPOTENCY_KEY="k")

    assert again.json() == first.json()
    assert again["Idempotent-Replayed"] == "true"
    assert other.status_code == 422


def test_every_post_of_the_api_honours_the_key() -> None:
    without = []
    for route in api.urlpatterns:
        view: Any = getattr(route.callback, "cls", None)
        posts = "post" in (getattr(route.callback, "actions", None) or {}) or hasattr(view, "post")
        if posts and not issubclass(view, Replayed):
            without.append(str(route.pattern))

    assert without == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/auto-stop/check", {"dry_run": True}),
        ("/instances/stop-all", {}),
        ("/instances/bulk", {"action": "stop", "refs": ["one", "none"]}),
    ],
)
def test_posts_that_touch_many_answer_the_first_reply_too(path: str, body: dict[str, Any]) -> None:
    caller = Caller()
    make_instance(name="one")

    first, again = (caller.post(path, body, HTTP_IDEMPOTENCY_KEY="k") for _ in range(2))

    assert first.status_code < 300
    assert again["Idempotent-Replayed"] == "true"
    assert (again.status_code, again.json()) == (first.status_code, first.json())


def test_an_acknowledgement_is_replayed_although_the_alarm_has_cleared_since() -> None:
    caller = Caller()
    alarm = Alarm.objects.create(kind="k", text="t", remedy="r", opened_at=NOW, last_seen_at=NOW)

    first = caller.post(f"/alarms/{alarm.pk}/acknowledge", {"reason": "known"}, HTTP_IDEMPOTENCY_KEY="k")
    Alarm.objects.update(cleared_at=NOW)
    again = caller.post(f"/alarms/{alarm.pk}/acknowledge", {"reason": "known"}, HTTP_IDEMPOTENCY_KEY="k")

    assert (first.status_code, again.json()) == (200, first.json())


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\there"])
def test_a_key_that_cannot_be_one_is_refused(key: str) -> None:
    make_offer()

    assert create(Caller(), key=key).status_code == 400
    assert not Instance.objects.exists()


def test_the_kept_reply_is_encrypted() -> None:
    make_offer()
    create(Caller())

    with connection.cursor() as cursor:
        cursor.execute("SELECT reply FROM novita_manager_idempotencyrecord")
        (stored,) = cursor.fetchone()
    assert "trainer" not in stored
