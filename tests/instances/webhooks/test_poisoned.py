"""Events and messages that cannot be told: they keep back nobody else, and are given up like any other."""

from datetime import timedelta

import pytest

from instances.models import Alarm, Delivery, Event
from tests.factories import make_instance
from tests.instances.webhooks.conftest import Lane, happen, make_endpoint
from tests.instances.webhooks.receiver import Receiver

pytestmark = pytest.mark.django_db


def open_alarms() -> list[str]:
    return list(Alarm.objects.filter(cleared_at=None).values_list("subject", flat=True))


def test_an_event_that_cannot_be_told_is_skipped_with_one_alarm(lane: Lane, receiver: Receiver) -> None:
    make_endpoint(receiver.url)
    odd, good = make_instance(name="odd"), make_instance(name="good")
    for box in (odd, odd, good):
        happen(box)
    Event.objects.filter(instance=odd).update(after=3)

    lane.wait_seconds(3)

    assert {got.json["data"]["name"] for got in receiver.got} == {"good"}
    assert open_alarms() == ["events:telling"]
    assert not Event.objects.filter(told=False).exists()

    lane.wait(timedelta(minutes=61), every=timedelta(minutes=5))
    happen(good)
    lane.wait_seconds(3)
    assert open_alarms() == []


def test_a_message_tells_the_others_though_one_of_its_events_is_odd(lane: Lane, receiver: Receiver) -> None:
    make_endpoint(receiver.url, format="slack")
    odd = happen(make_instance(name="odd"), "instance.unhealthy", after={"phase": "unhealthy"})
    happen(make_instance(name="good"), "instance.unhealthy", after={"phase": "unhealthy"})
    lane.run()
    Event.objects.filter(pk=odd.pk).update(after=[])

    lane.wait_seconds(12)

    [got] = receiver.got
    assert "good" in str(got.json)
    assert f"event {odd.pk} cannot be read" in str(got.json)


def test_a_message_that_cannot_be_written_is_given_up_after_three_days_and_delays_nobody(
    lane: Lane, receiver: Receiver
) -> None:
    endpoint = make_endpoint(receiver.url, format="slack")
    happen(make_instance(name="odd"), "instance.unhealthy", after={"phase": "unhealthy"})
    lane.run()
    Delivery.objects.update(severity=99)
    lane.wait_seconds(12)
    [lost] = Delivery.objects.all()
    assert "cannot be written" in lost.attempt_log.get().error

    happen(make_instance(name="good"), "instance.unhealthy", after={"phase": "unhealthy"})
    lane.wait_seconds(12)
    assert ["good" in str(got.json) for got in receiver.got] == [True]

    lane.wait(timedelta(days=3, hours=5), every=timedelta(hours=1))
    lost.refresh_from_db()
    endpoint.refresh_from_db()
    assert (lost.state, endpoint.enabled) == ("failed", True)
