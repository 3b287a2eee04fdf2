"""Secrets planted wherever one can be held are in nothing that leaves, is logged or is stored in the open."""

import io
import logging
from collections.abc import Iterator

import pytest
from django.db import connection
from django.utils import timezone

from instances.events import SYSTEM
from instances.models import Delivery, Event, WebhookEndpoint
from instances.webhooks import endpoints
from novita_manager.logs import Lines
from tests.factories import make_instance
from tests.instances.api.calls import Caller
from tests.instances.webhooks.conftest import Lane, happen, make_endpoint
from tests.instances.webhooks.receiver import Receiver

pytestmark = pytest.mark.django_db

ENV, PASSWORD, TOKEN = "planted-env-value", "planted-password", "planted-path-token"


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Every line that is logged, at every level, as it is written: by us and by the libraries."""
    root = logging.getLogger()
    kept, level = io.StringIO(), root.level
    monkeypatch.setattr(Lines, "stream", kept)
    handler = logging.StreamHandler(kept)
    handler.setFormatter(root.handlers[0].formatter if root.handlers else None)
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield kept
    root.removeHandler(handler)
    root.setLevel(level)


def stored(table: str) -> str:
    """A table as the database holds it."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table}")  # noqa: S608 - names of our own tables
        return str(cursor.fetchall())


def test_no_secret_leaves_or_stands_in_the_open(lane: Lane, receiver: Receiver, log: io.StringIO) -> None:
    programs = make_endpoint(f"{receiver.url}/{TOKEN}")
    chat = make_endpoint(f"{receiver.url}/chat/{TOKEN}", format="slack", min_severity="info")
    box = make_instance(
        envs=[{"key": "TOKEN", "value": ENV}],
        machine={"connection": {"ssh": {"password": PASSWORD}}},
        webhook_url=f"{receiver.url}/own/{TOKEN}",
    )
    own = endpoints.new_secret_of(box, now=timezone.now())
    for type_ in ("instance.ready", "instance.unhealthy", "instance.failed"):
        happen(box, type_)
    lane.wait_seconds(12)
    receiver.says(410)
    happen(box, "instance.gone")
    lane.wait_seconds(12)
    rotated = endpoints.rotate_secret(programs, overlap=endpoints.OVERLAP, actor=SYSTEM, now=timezone.now()).secret

    sent = "".join(one.body.decode() + str(one.headers) for one in (*receiver.got, *receiver.refused))
    reader = Caller("read")
    shown = "".join(
        reader.get(path).content.decode()
        for path in ("/webhooks", "/webhooks/deliveries", "/events", "/alarms", f"/webhooks/{chat.pk}", "/instances")
    )
    details = "".join(reader.get(f"/webhooks/deliveries/{one.pk}").content.decode() for one in Delivery.objects.all())
    tables = ("webhookendpoint", "delivery", "deliveryattempt", "event", "alarm")
    at_rest = "".join(stored(f"instances_{table}") for table in tables)
    secrets = [ENV, PASSWORD, programs.secret, own, rotated]
    assert len(receiver.got) >= 5
    assert WebhookEndpoint.objects.filter(enabled=False).exists()
    for where, text in {"sent": sent, "shown": shown, "details": details, "rest": at_rest, "log": log.getvalue()}.items():
        for secret in secrets:
            assert secret not in text, where
        if where != "sent":
            assert TOKEN not in text, where
    assert Event.objects.filter(type="webhook.disabled").exists()
    assert "webhook.attempted" in log.getvalue()
