"""A clock that stands where a test puts it, a receiver on loopback, and the lane driven by one thread."""

from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from instances.events import record
from instances.models import Event, Instance, WebhookEndpoint
from instances.webhooks import deliveries, digests, endpoints, outbox, sender
from tests.factories import NOW, PERSON
from tests.instances.webhooks.receiver import Receiver, receiving


class Lane:
    """What the lane does each second, without its threads."""

    def __init__(self, clock: time_machine.Traveller) -> None:
        self._clock = clock

    def run(self) -> int:
        """Write what is told and send what is due; how many attempts were made."""
        now = timezone.now()
        while outbox.fan_out(now):
            pass
        digests.queue_due(now)
        due = deliveries.due(now)
        return sum(sender.send(pk, is_message=is_message) is not None for pk, _, is_message in due)

    def wait(self, span: timedelta, *, every: timedelta = timedelta(seconds=1)) -> None:
        """Let time pass, the lane running all the while."""
        end = timezone.now() + span
        while timezone.now() < end:
            self._clock.shift(min(every, end - timezone.now()))
            self.run()

    def wait_seconds(self, seconds: float) -> None:
        self.wait(timedelta(seconds=seconds))


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def lane(clock: time_machine.Traveller) -> Lane:
    return Lane(clock)


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    settings.WEBHOOK_ALLOWED_NETWORKS = [ip_network("127.0.0.0/8")]
    with receiving() as one:
        yield one


def make_endpoint(url: str, **columns: Any) -> WebhookEndpoint:
    return endpoints.create({"url": url, "name": "tests", **columns}, actor=PERSON, now=timezone.now()).endpoint


def happen(instance: Instance | None = None, type_: str = "instance.ready", **fields: Any) -> Event:
    values: dict[str, Any] = {"at": timezone.now(), "actor": PERSON, "reason": "a test", **fields}
    return record(type_, instance=instance, **values)
