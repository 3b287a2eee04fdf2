"""From an event to a receiver that verifies it: what is sent, what is tried again, what is given up, and who is told."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import transaction
from django.utils import timezone

from instances.events import event_of, record
from instances.models import Alarm, Delivery, Event, WebhookEndpoint
from instances.webhooks import deliveries, endpoints, outbox
from instances.webhooks.post import Answer
from tests.factories import NOW, PERSON, make_account, make_instance
from tests.instances.webhooks.conftest import Lane, happen, make_endpoint
from tests.instances.webhooks.receiver import Receiver, verified

pytestmark = pytest.mark.django_db


def states() -> list[str]:
    return list(Delivery.objects.order_by("created_at", "id").values_list("state", flat=True))


def test_an_event_arrives_signed_with_its_instance(lane: Lane, receiver: Receiver) -> None:
    make_account()
    endpoint = make_endpoint(receiver.url)
    instance = make_instance(name="train-1")
    event = happen(instance, "instance.ready", before={"phase": "checking"}, after={"phase": "ready"}, reason="it answers")

    lane.run()

    told = verified(receiver.got[-1], endpoint.secret)
    assert (told["type"], told["timestamp"]) == ("instance.ready", "2026-11-24T12:00:00Z")
    data = told["data"]
    assert (data["id"], data["name"], data["phase"]) == (str(instance.pk), "train-1", "ready")
    assert (data["previous_phase"], data["reason"], data["event_id"]) == ("checking", "it answers", event.pk)
    assert data["price_usd_per_hour"] == "0.35"
    delivery = Delivery.objects.get(event=event)
    assert (delivery.state, delivery.attempts) == ("delivered", 1)
    assert receiver.got[-1].headers["webhook-id"] == delivery.message_id
    attempt = delivery.attempt_log.get()
    assert (attempt.status, attempt.error) == (204, "")


def test_a_move_is_told_as_it_was_even_where_it_has_moved_on(lane: Lane, receiver: Receiver) -> None:
    make_endpoint(receiver.url, types=["instance.stopping"])
    instance = make_instance()
    happen(instance, "instance.stopping", before={"phase": "ready"}, after={"phase": "stopping"}, reason="asked to")

    lane.run()

    data = receiver.got[0].json["data"]
    assert (data["phase"], data["phase_reason"], data["previous_phase"]) == ("stopping", "asked to", "ready")


def test_only_chosen_types_come_and_nothing_that_is_no_type_of_the_contract(lane: Lane, receiver: Receiver) -> None:
    make_endpoint(receiver.url, types=["instance.deleted"])
    instance = make_instance()
    for type_ in ("instance.ready", "instance.deleted", "instance.requested", "job.stop_sent"):
        happen(instance, type_)
    happen(None, "alarm.opened", after={"kind": "unconfirmed", "subject": ""})

    lane.run()

    assert receiver.types == ["instance.deleted"]


def test_nothing_is_told_of_a_change_that_is_taken_back(lane: Lane, receiver: Receiver) -> None:
    make_endpoint(receiver.url)
    instance = make_instance(status="")

    with transaction.atomic():
        happen(instance)
        transaction.set_rollback(True)

    lane.run()
    assert receiver.got == []


def test_events_that_are_stored_in_bulk_are_told_like_others(lane: Lane, receiver: Receiver) -> None:
    make_endpoint(receiver.url, types=["instance.discovered"])
    instance = make_instance(status="")
    told = [event_of(type_, at=NOW, actor=PERSON, instance=instance) for type_ in ("instance.discovered", "instance.noted")]
    Event.objects.bulk_create(told)

    lane.run()

    assert receiver.types == ["instance.discovered"]


def test_an_event_is_told_once_whoever_looks_at_the_outbox(lane: Lane, receiver: Receiver) -> None:
    make_endpoint(receiver.url)
    event = happen(make_instance(status=""), "instance.created")
    lane.run()

    Event.objects.filter(pk=event.pk).update(told=False)  # as a pass that died after writing would leave it
    lane.run()

    assert receiver.types == ["instance.created"]


def test_a_receiver_that_is_down_for_72_hours_loses_nothing(
    lane: Lane, receiver: Receiver, clock: time_machine.Traveller
) -> None:
    endpoint = make_endpoint(receiver.url)
    instance = make_instance(status="")
    down_until = NOW + timedelta(hours=72)
    receiver.answer = lambda _: (503 if timezone.now() < down_until else 200, {})
    events = []
    for hour in range(0, 72, 6):
        clock.move_to(NOW + timedelta(hours=hour), tick=False)
        events.append(happen(instance, "instance.created").pk)
        lane.wait(timedelta(hours=6), every=timedelta(minutes=10))

    lane.wait(timedelta(hours=5), every=timedelta(minutes=10))

    assert sorted(one.json["data"]["event_id"] for one in receiver.got) == events
    assert set(states()) == {"delivered"}
    first = [one for one in (*receiver.refused, *receiver.got) if one.json["data"]["event_id"] == events[0]]
    assert len({one.headers["webhook-id"] for one in first}) == 1
    assert len({one.body for one in first}) == 1
    assert len(first) > 15
    # Signed anew with the time of each attempt, so that the last one still verifies.
    clock.move_to(NOW + timedelta(seconds=int(first[-1].headers["webhook-timestamp"]) - int(NOW.timestamp())), tick=False)
    verified(first[-1], endpoint.secret)


def test_what_waits_is_sent_at_once_when_the_receiver_is_back(lane: Lane, receiver: Receiver) -> None:
    make_endpoint(receiver.url)
    receiver.says(500)
    for _ in range(3):
        happen(make_instance(status=""), "instance.created")
    lane.wait(timedelta(hours=8), every=timedelta(minutes=5))
    assert states() == ["pending"] * 3

    receiver.says(200)
    lane.wait(timedelta(hours=5), every=timedelta(minutes=1))

    assert states() == ["delivered"] * 3
    assert WebhookEndpoint.objects.values_list("failing_since", "held_until", "failures").get() == (None, None, 0)


def test_a_burst_that_meets_a_receiver_in_its_restart_waits_seconds_and_not_hours(lane: Lane, receiver: Receiver) -> None:
    make_endpoint(receiver.url, types=["instance.unhealthy"])
    instance = make_instance()
    receiver.says(503)
    for _ in range(12):
        happen(instance, "instance.unhealthy")
    lane.run()
    assert (len(receiver.refused), WebhookEndpoint.objects.get().failures) == (12, 1)

    receiver.says(204)
    lane.wait_seconds(10)

    assert len(receiver.got) == 12


def test_a_dead_receiver_is_not_hammered_with_all_that_waits(lane: Lane, receiver: Receiver) -> None:
    make_endpoint(receiver.url)
    receiver.says(500)
    for _ in range(30):
        happen(make_instance(status=""), "instance.created")
    lane.run()
    tried = len(receiver.refused)

    lane.wait_seconds(3)  # less than the first gap

    assert len(receiver.refused) == tried


@pytest.mark.parametrize("asked", ["600", "Tue, 24 Nov 2026 12:10:00 GMT"])
def test_retry_after_is_honoured(lane: Lane, receiver: Receiver, asked: str) -> None:
    make_endpoint(receiver.url)
    receiver.says(429, Retry_After=asked)
    happen(make_instance(status=""), "instance.created")
    lane.run()
    receiver.says(200)

    lane.wait(timedelta(seconds=599), every=timedelta(seconds=20))
    assert receiver.got == []
    lane.wait_seconds(2)
    assert len(receiver.got) == 1


def test_410_switches_it_off_and_tells_its_owner(lane: Lane, receiver: Receiver) -> None:
    endpoint = make_endpoint(receiver.url, owner="team-a")
    receiver.says(410)
    happen(make_instance(status=""), "instance.created")

    lane.run()
    lane.wait(timedelta(days=1), every=timedelta(hours=1))

    endpoint.refresh_from_db()
    assert not endpoint.enabled
    assert "410" in endpoint.disabled_reason
    alarm = Alarm.objects.get(kind="webhook_disabled", cleared_at=None)
    assert "team-a" in alarm.text
    assert "/hooks" not in alarm.text
    assert len(receiver.refused) == 1


def test_lasting_failure_switches_it_off_and_what_waits_comes_when_it_is_on_again(lane: Lane, receiver: Receiver) -> None:
    endpoint = make_endpoint(receiver.url)
    receiver.says(500)
    happen(make_instance(status=""), "instance.created")
    lane.run()
    lane.wait(timedelta(hours=70), every=timedelta(minutes=20))
    second = happen(make_instance(status=""), "instance.gone")
    assert WebhookEndpoint.objects.get().enabled

    lane.wait(timedelta(hours=12), every=timedelta(minutes=20))

    endpoint.refresh_from_db()
    assert not endpoint.enabled
    assert "took nothing since 2026-11-24 12:00" in endpoint.disabled_reason
    assert states() == ["failed", "pending"]
    receiver.says(200)
    endpoints.change(endpoint, {"enabled": True}, actor=PERSON, now=timezone.now())
    lane.run()
    assert [one.json["data"]["event_id"] for one in receiver.got] == [second.pk]
    assert not Alarm.objects.filter(cleared_at=None).exists()


def test_one_refused_delivery_holds_back_no_other(lane: Lane, receiver: Receiver) -> None:
    make_endpoint(receiver.url)
    bad, good = make_instance(name="bad", status=""), make_instance(name="good", status="")
    receiver.answer = lambda got: (400 if got.json["data"]["name"] == "bad" else 200, {})
    happen(bad, "instance.created")
    happen(good, "instance.created")

    lane.run()

    assert [one.json["data"]["name"] for one in receiver.got] == ["good"]


def test_a_redirect_is_a_failure_and_is_not_followed(lane: Lane, receiver: Receiver) -> None:
    make_endpoint(receiver.url)
    receiver.says(302, Location=receiver.url + "/elsewhere")
    happen(make_instance(status=""), "instance.created")

    lane.run()

    assert [one.path for one in receiver.refused] == ["/hooks"]
    assert "redirects are not followed" in Delivery.objects.get().attempt_log.get().error


def test_a_private_address_gets_no_connection(lane: Lane, receiver: Receiver, settings: Any) -> None:
    make_endpoint(receiver.url)
    settings.WEBHOOK_ALLOWED_NETWORKS = []
    happen(make_instance(status=""), "instance.created")

    lane.run()

    assert receiver.got == receiver.refused == []
    assert "127.0.0.1 is this machine itself" in Delivery.objects.get().attempt_log.get().error


def test_no_proxy_of_the_environment_is_asked(lane: Lane, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    make_endpoint(receiver.url)
    happen(make_instance(status=""), "instance.created")

    lane.run()

    assert len(receiver.got) == 1


def test_it_is_redelivered_with_the_same_id_and_body(lane: Lane, receiver: Receiver) -> None:
    make_endpoint(receiver.url)
    happen(make_instance(status=""), "instance.created")
    lane.run()

    deliveries.redeliver(Delivery.objects.get(), actor=PERSON, now=timezone.now())
    lane.run()

    first, again = receiver.got
    assert (first.body, first.headers["webhook-id"]) == (again.body, again.headers["webhook-id"])
    assert Delivery.objects.get().attempt_log.count() == 2


def test_while_it_is_tried_it_cannot_be_redelivered(lane: Lane, receiver: Receiver) -> None:
    make_endpoint(receiver.url)
    receiver.says(500)
    happen(make_instance(status=""), "instance.created")
    lane.run()

    with pytest.raises(deliveries.StillPending, match="tried again by itself at"):
        deliveries.redeliver(Delivery.objects.get(), actor=PERSON, now=timezone.now())


def test_whoever_lost_the_lease_stores_nothing(lane: Lane, receiver: Receiver, clock: time_machine.Traveller) -> None:
    make_endpoint(receiver.url)
    happen(make_instance(status=""), "instance.created")
    outbox.fan_out(timezone.now())
    slow = deliveries.claim(Delivery.objects.get().pk, timezone.now())
    assert slow is not None
    assert deliveries.claim(slow.pk, timezone.now()) is None

    lane.wait(deliveries.LEASE + timedelta(seconds=1))
    deliveries.store(slow, Answer(error="too late"), at=NOW, now=timezone.now())

    assert states() == ["delivered"]
    assert Delivery.objects.get().attempt_log.count() == 1


def test_recording_costs_one_query_however_many_listen(
    django_assert_num_queries: Any, clock: time_machine.Traveller
) -> None:
    instance = make_instance(webhook_url="https://hooks.example/a")
    for number in range(20):
        make_endpoint(f"https://hooks.example/{number}")

    with django_assert_num_queries(1):
        record("instance.ready", at=NOW, actor=PERSON, instance=instance)


def test_an_idle_lane_asks_little_and_a_batch_costs_no_more_than_one(
    django_assert_max_num_queries: Any, clock: time_machine.Traveller
) -> None:
    make_account()
    for number in range(3):
        make_endpoint(f"https://hooks.example/{number}")
    outbox.fan_out(timezone.now())
    with django_assert_max_num_queries(1):
        assert outbox.fan_out(timezone.now()) == 0
    instances = [make_instance() for _ in range(20)]
    outbox.fan_out(timezone.now())
    for instance in instances:
        happen(instance)

    with django_assert_max_num_queries(20):
        assert outbox.fan_out(timezone.now()) == 20
    assert Delivery.objects.filter(type="instance.ready").count() >= 60


def test_no_backlog_of_one_receiver_keeps_another_from_its_turn(clock: time_machine.Traveller) -> None:
    """Two that take seconds for each, with more due than a batch; one with news that came later, one with urgent news."""
    slow, as_slow, quick, urgent = (make_endpoint(f"https://hooks.example/{number}") for number in range(4))
    now = timezone.now()

    def wait_for(endpoint: WebhookEndpoint, number: int, **columns: Any) -> None:
        values = {"endpoint": endpoint, "type": "instance.ready", "tried_from": now, "created_at": now, **columns}
        Delivery.objects.bulk_create(Delivery(**{"next_attempt_at": now, **values}) for _ in range(number))

    wait_for(slow, deliveries.BATCH + 1, next_attempt_at=now - timedelta(minutes=9))
    wait_for(as_slow, deliveries.BATCH + 1, next_attempt_at=now - timedelta(minutes=8))
    wait_for(quick, 3)
    wait_for(urgent, 1, severity="urgent")

    due = deliveries.due(now)

    turns = [endpoint_id for _, endpoint_id, _ in due]
    assert turns[0] == urgent.pk
    assert [turns.count(one.pk) for one in (slow, as_slow, quick, urgent)] == [deliveries.BATCH, deliveries.BATCH, 3, 1]
    assert len({pk for pk, _, _ in due}) == len(due)


def test_what_is_done_is_forgotten_after_thirty_days(lane: Lane, receiver: Receiver) -> None:
    make_endpoint(receiver.url)
    happen(make_instance(status=""), "instance.created")
    lane.run()

    assert deliveries.forget_old(timezone.now() + timedelta(days=29)) == 0
    deliveries.forget_old(timezone.now() + timedelta(days=31))

    assert not Delivery.objects.exists()
    assert Event.objects.exists()
