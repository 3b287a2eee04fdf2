"""Whose endpoint it is and what signs for it: those of people, the one of the settings, those of instances."""

import json
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from instances.models import Event, WebhookEndpoint
from instances.operations import change_settings
from instances.webhooks import endpoints
from instances.webhooks.signing import new_secret
from tests.factories import NOW, PERSON, make_instance
from tests.instances.api.calls import Caller
from tests.instances.webhooks.conftest import Lane, happen, make_endpoint
from tests.instances.webhooks.receiver import Receiver, verified

pytestmark = pytest.mark.django_db


def test_a_secret_that_is_rotated_signs_beside_the_old_one_until_its_time_is_over(lane: Lane, receiver: Receiver) -> None:
    endpoint = make_endpoint(receiver.url)
    old = endpoint.secret
    new = endpoints.rotate_secret(endpoint, overlap=timedelta(hours=1), actor=PERSON, now=timezone.now()).secret
    instance = make_instance(status="")

    happen(instance, "instance.created")
    lane.run()
    verified(receiver.got[0], old)
    verified(receiver.got[0], new)
    assert len(receiver.got[0].headers["webhook-signature"].split()) == 2

    lane.wait(timedelta(minutes=61), every=timedelta(minutes=1))
    happen(instance, "instance.gone")
    lane.run()
    verified(receiver.got[1], new)
    assert len(receiver.got[1].headers["webhook-signature"].split()) == 1


def test_the_settings_make_an_endpoint_that_their_secrets_sign(lane: Lane, receiver: Receiver, settings: Any) -> None:
    settings.WEBHOOK_URL = receiver.url
    settings.WEBHOOK_SECRETS = [new_secret(), new_secret()]
    happen(make_instance(status=""), "instance.created")

    lane.run()

    for secret in settings.WEBHOOK_SECRETS:
        verified(receiver.got[0], secret)
    settings.WEBHOOK_URL = ""
    happen(make_instance(status=""), "instance.gone")
    lane.run()
    assert len(receiver.got) == 1
    assert WebhookEndpoint.objects.get().disabled_reason == "the setting WEBHOOK_URL is empty"
    settings.WEBHOOK_URL = receiver.url
    happen(make_instance(status=""), "instance.gone")
    lane.run()
    assert len(receiver.got) == 2


@pytest.mark.parametrize(
    ("url", "format_"),
    [
        ("https://hooks.slack.com/services/T/B/x", "slack"),
        ("https://discord.com/api/webhooks/1/x", "discord"),
        ("https://hooks.example/", "standard"),
    ],
)
def test_the_address_of_a_chat_is_spoken_to_in_its_own_format(
    url: str, format_: str, settings: Any, clock: time_machine.Traveller
) -> None:
    settings.WEBHOOK_URL = url

    endpoints.follow_settings(timezone.now())

    assert WebhookEndpoint.objects.get().format == format_


def test_an_instance_s_own_address_is_told_of_it_alone(lane: Lane, receiver: Receiver) -> None:
    mine, other = make_instance(status="", webhook_url=receiver.url + "/mine"), make_instance(status="")
    secret = endpoints.new_secret_of(mine, now=timezone.now())
    assert not endpoints.new_secret_of(mine, now=timezone.now())

    happen(mine, "instance.created")
    happen(other, "instance.created")
    lane.run()

    assert [one.path for one in receiver.got] == ["/hooks/mine"]
    verified(receiver.got[0], secret)


def test_an_instance_with_another_address_gets_another_secret_and_none_without(lane: Lane, receiver: Receiver) -> None:
    instance = make_instance(webhook_url=receiver.url + "/a")
    first = endpoints.new_secret_of(instance, now=timezone.now())

    instance = change_settings(instance.pk, {"webhook_url": receiver.url + "/b"}, actor=PERSON, reason="", now=NOW)
    second = endpoints.new_secret_of(instance, now=timezone.now())
    assert first != second

    instance = change_settings(instance.pk, {"webhook_url": ""}, actor=PERSON, reason="", now=NOW)
    happen(instance)
    lane.run()
    assert not [one for one in receiver.got if one.path == "/hooks/a"]
    told = Event.objects.filter(type="instance.settings_changed").values_list("before", "after")
    assert "/hooks" not in json.dumps(list(told))


def test_where_the_settings_have_a_secret_it_signs_an_instance_s_own_address(
    lane: Lane, receiver: Receiver, settings: Any
) -> None:
    settings.WEBHOOK_SECRETS = [new_secret()]
    instance = make_instance(status="", webhook_url=receiver.url)
    assert not endpoints.new_secret_of(instance, now=timezone.now())

    happen(instance, "instance.created")
    lane.run()

    verified(receiver.got[0], settings.WEBHOOK_SECRETS[0])


def lose_address(endpoint: WebhookEndpoint) -> None:
    """As where the key it was encrypted with is not there any more."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE instances_webhookendpoint SET url = 'no token' WHERE id = %s", [endpoint.pk.hex])


def test_an_address_that_no_key_decrypts_says_so_and_holds_back_no_other(lane: Lane, receiver: Receiver) -> None:
    lost, well = make_endpoint(f"{receiver.url}/lost"), make_endpoint(f"{receiver.url}/well")
    happen(make_instance(status=""))
    lose_address(lost)

    lane.run()

    assert [one.path for one in receiver.got] == ["/hooks/well"]
    assert "FIELD_ENCRYPTION_KEYS" in WebhookEndpoint.objects.get(pk=lost.pk).last_error
    shown = {one["id"]: one["url"] for one in Caller("admin").get("/webhooks").json()["results"]}
    assert (shown[str(lost.pk)], shown[str(well.pk)]) == ("", f"{receiver.url}/well")
    changed = Caller("admin", name="again").patch(f"/webhooks/{lost.pk}", {"url": f"{receiver.url}/found"})
    assert changed.status_code == 200
    lane.run()
    assert [one.path for one in receiver.got] == ["/hooks/well", "/hooks/found"]


def test_a_lost_address_of_the_settings_or_of_an_instance_is_taken_from_there_again(
    lane: Lane, receiver: Receiver, settings: Any
) -> None:
    settings.WEBHOOK_URL, settings.WEBHOOK_SECRETS = f"{receiver.url}/default", [new_secret()]
    instance = make_instance(status="", webhook_url=f"{receiver.url}/own")
    happen(instance)
    lane.run()
    for endpoint in WebhookEndpoint.objects.all():
        lose_address(endpoint)

    happen(instance)
    lane.run()

    assert sorted(one.path for one in receiver.got) == ["/hooks/default", "/hooks/default", "/hooks/own", "/hooks/own"]
