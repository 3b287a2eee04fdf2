"""Webhooks over HTTP: who may see what, secrets shown once, and what is refused in words that help."""

import base64
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from instances.api.webhook_forms import DeliveryDetailShape, DeliveryShape, WebhookShape
from instances.api.webhook_json import delivery_detail_json, delivery_json, webhook_json
from instances.models import Event, Instance, WebhookEndpoint
from instances.webhooks.kinds import TEST, WEBHOOK_TYPES
from instances.webhooks.signing import key_of
from tests.factories import make_instance, make_offer, make_storage
from tests.instances.api.calls import NEW, Caller
from tests.instances.webhooks.conftest import happen, make_endpoint

pytestmark = pytest.mark.django_db

URL = "https://hooks.example/services/token-of-the-path"


def created(caller: Caller, **body: Any) -> Any:
    answer = caller.post("/webhooks", {"url": URL, **body})
    assert answer.status_code == 201, answer.content
    return answer.json()


def test_the_shapes_that_are_described_are_the_ones_that_are_sent() -> None:
    endpoint = make_endpoint(URL)
    delivery = endpoint.deliveries.create(
        type="x", created_at=timezone.now(), tried_from=timezone.now(), next_attempt_at=timezone.now()
    )

    assert list(webhook_json(endpoint, whole=True)) == list(WebhookShape().fields)
    assert list(delivery_json(delivery)) == list(DeliveryShape().fields)
    assert list(delivery_detail_json(delivery)) == list(DeliveryDetailShape().fields)


def test_the_description_names_every_type_that_receivers_get() -> None:
    schema = Caller("read").client.get("/api/schema").json()

    assert set(schema["webhooks"]) == {*WEBHOOK_TYPES, TEST}


def test_a_webhook_is_made_and_its_secret_shown_in_that_answer_alone() -> None:
    caller = Caller("admin", owner="team-a")

    made = created(caller, name="ci", types=["instance.ready"])

    assert len(key_of(made["secret"])) == 32
    assert (made["format"], made["types"], made["owner"], made["enabled"]) == (
        "standard",
        ["instance.ready"],
        "team-a",
        True,
    )
    assert (made["min_severity"], made["quiet_hours"], made["digest_at"]) == (None, None, None)
    shown = caller.get(f"/webhooks/{made['id']}").json()
    assert "secret" not in shown
    assert {**shown, "secret": made["secret"]} == made
    assert made["secret"] not in str(
        WebhookEndpoint.objects.raw("SELECT * FROM instances_webhookendpoint")[0].__dict__["name"]
    )
    event = Event.objects.get(type="webhook.created")
    assert (event.actor_kind, event.after["url"]) == ("key", "https://hooks.example")


def test_whoever_only_reads_sees_no_path_and_changes_nothing() -> None:
    made = created(Caller("admin"))
    reader = Caller("read", name="reader")
    path = f"/webhooks/{made['id']}"

    assert reader.get("/webhooks").json()["results"][0]["url"] == "https://hooks.example"
    assert "token-of-the-path" not in reader.get(path).content.decode()
    for answer in (
        reader.post("/webhooks", {"url": URL}),
        reader.patch(path, {"enabled": False}),
        reader.delete(path),
        reader.post(f"{path}/rotate-secret"),
        reader.post(f"{path}/test"),
    ):
        assert answer.status_code == 403


def test_a_message_endpoint_has_severity_quiet_hours_and_a_digest() -> None:
    made = created(
        Caller("admin"),
        format="slack",
        types=["alarm", "instance.unhealthy"],
        min_severity="info",
        time_zone="Europe/Berlin",
        quiet_hours={"from": "22:00", "until": "07:30"},
    )

    assert made["secret"] == ""
    assert (made["quiet_hours"], made["digest_at"]) == ({"from": "22:00", "until": "07:30"}, "09:00")
    assert (made["min_severity"], made["time_zone"]) == ("info", "Europe/Berlin")
    assert WebhookEndpoint.objects.get().next_digest_at is not None


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"url": "ftp://hooks.example/"}, "url", "not_an_address"),
        ({"url": "http://user:word@hooks.example/"}, "url", "not_an_address"),
        ({"url": "http://127.0.0.1:8000/"}, "url", "private_address"),
        ({"url": "http://0x7f000001/"}, "url", "private_address"),
        ({"url": "http://169.254.169.254/"}, "url", "private_address"),
        ({"url": "mailto:ops@example.com"}, "url", "not_of_this_format"),
        ({"url": URL, "format": "mail"}, "url", "not_of_this_format"),
        ({"url": "mailto:ops@example.com", "format": "mail"}, "url", "no_mail_server"),
        ({"url": "mailto:ops", "format": "mail"}, "url", "invalid"),
        ({"url": URL, "format": "pager"}, "format", "invalid_choice"),
        ({"url": URL, "types": ["instance.born"]}, "types.0", "invalid_choice"),
        ({"url": URL, "types": ["alarm"]}, "types", "not_of_this_format"),
        ({"url": URL, "min_severity": "urgent"}, "min_severity", "not_of_this_format"),
        ({"url": URL, "format": "slack", "time_zone": "Mars/Olympus"}, "time_zone", "unknown_zone"),
        (
            {"url": URL, "format": "slack", "quiet_hours": {"from": "25:00", "until": "07:00"}},
            "quiet_hours.from",
            "not_a_time_of_day",
        ),
        ({"url": URL, "format": "slack", "quiet_hours": {"from": "22:00"}}, "quiet_hours.until", "required"),
        ({"url": URL, "secret": "whsec_mine"}, "secret", "unknown_field"),
        ({}, "url", "required"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_field(body: dict[str, Any], field: str, code: str) -> None:
    answer = Caller("admin").post("/webhooks", body)

    assert answer.status_code == 400
    assert (answer.json()["errors"][0]["field"], answer.json()["errors"][0]["code"]) == (field, code)


def test_settings_change_and_only_a_difference_is_told() -> None:
    caller = Caller("admin")
    made = created(caller, format="slack")
    path = f"/webhooks/{made['id']}"

    changed = caller.patch(path, {"enabled": False, "types": ["alarm"], "quiet_hours": None, "digest_at": "08:15"})
    caller.patch(path, {"enabled": False})

    assert changed.status_code == 200
    assert (changed.json()["enabled"], changed.json()["disabled_reason"]) == (False, "switched off by tests")
    assert (changed.json()["digest_at"], changed.json()["quiet_hours"]) == ("08:15", None)
    assert Event.objects.filter(type="webhook.changed").count() == 1
    assert caller.patch(path, {"format": "discord"}).status_code == 400
    assert caller.patch(path, {"enabled": True}).json()["disabled_reason"] == ""


def test_a_secret_is_rotated_with_an_overlap() -> None:
    caller = Caller("admin")
    made = created(caller)

    rotated = caller.post(f"/webhooks/{made['id']}/rotate-secret", {"overlap": "2h"}).json()

    assert rotated["secret"] != made["secret"]
    assert rotated["previous_secret_until"] is not None
    endpoint = WebhookEndpoint.objects.get()
    assert (endpoint.secret, endpoint.previous_secret) == (rotated["secret"], made["secret"])
    slack = created(caller, format="slack")
    assert caller.post(f"/webhooks/{slack['id']}/rotate-secret").json()["code"] == "not_signed"


def test_a_key_that_repeats_its_request_gets_the_same_secret() -> None:
    caller = Caller("admin")

    answers = [caller.post("/webhooks", {"url": URL}, HTTP_IDEMPOTENCY_KEY="k1").json() for _ in range(2)]

    assert answers[0] == answers[1]
    assert WebhookEndpoint.objects.count() == 1


def test_deliveries_are_seen_attempt_by_attempt_and_sent_again() -> None:
    caller = Caller("admin")
    made = created(caller)
    asked = caller.post(f"/webhooks/{made['id']}/test", {"reason": "is it there?"})
    assert asked.status_code == 202
    delivery = asked.json()
    assert (delivery["type"], delivery["state"], delivery["webhook_id"]) == ("webhook.test", "pending", made["id"])
    WebhookEndpoint.objects.get().deliveries.get().attempt_log.create(
        at=timezone.now(), status=500, milliseconds=12, error="HTTP 500"
    )

    page = caller.get(f"/webhooks/{made['id']}/deliveries").json()
    assert [one["id"] for one in page["results"]] == [delivery["id"]]
    assert "count" not in page
    assert caller.get("/webhooks/deliveries?state=pending").json()["results"] == page["results"]
    assert caller.get("/webhooks/deliveries?state=failed").json()["results"] == []
    detail = caller.get(f"/webhooks/deliveries/{delivery['id']}").json()
    assert detail["attempt_log"][0]["error"] == "HTTP 500"
    assert '"type":"webhook.test"' in detail["body"]
    again = caller.post(f"/webhooks/deliveries/{delivery['id']}/redeliver")
    assert (again.status_code, again.json()["code"]) == (409, "still_pending")
    WebhookEndpoint.objects.get().deliveries.update(state="failed", finished_at=timezone.now())
    assert caller.post(f"/webhooks/deliveries/{delivery['id']}/redeliver").json()["state"] == "pending"


def test_a_message_s_body_is_not_shown() -> None:
    caller = Caller("admin")
    make_endpoint(URL, format="slack")
    row = WebhookEndpoint.objects.get().deliveries.create(
        type="x", body="{}", created_at=timezone.now(), tried_from=timezone.now(), next_attempt_at=timezone.now()
    )

    assert caller.get(f"/webhooks/deliveries/{row.pk}").json()["body"] is None


def test_what_is_not_there_is_404_and_one_that_is_goes_with_its_deliveries() -> None:
    caller = Caller("admin")
    made = created(caller)
    nowhere = "00000000-0000-4000-8000-000000000000"

    for path in (
        f"/webhooks/{nowhere}",
        f"/webhooks/{nowhere}/deliveries",
        f"/webhooks/deliveries/{nowhere}",
        "/webhooks/x",
    ):
        assert caller.get(path).status_code == 404, path
    assert caller.delete(f"/webhooks/{made['id']}").status_code == 204
    assert caller.get(f"/webhooks/{made['id']}").status_code == 404


@pytest.fixture
def products() -> None:
    make_offer()
    make_storage()


@pytest.mark.usefixtures("products")
def test_a_create_with_a_webhook_url_shows_its_secret_once_and_a_replay_again() -> None:
    caller = Caller("admin")
    body = {**NEW, "webhook_url": URL}

    first = caller.post("/instances", body, HTTP_IDEMPOTENCY_KEY="k1")
    again = caller.post("/instances", body, HTTP_IDEMPOTENCY_KEY="k1")

    assert first.status_code == 202, first.content
    secret = first.json()["webhook_secret"]
    assert len(key_of(secret)) == 32
    assert again.json() == first.json()
    assert "webhook_secret" not in caller.get(f"/instances/{first.json()['id']}").json()
    shown = caller.get("/webhooks?declared_in=instance").json()["results"][0]
    assert shown["instance_id"] == first.json()["id"]
    assert caller.delete(f"/webhooks/{shown['id']}").json()["code"] == "not_changeable"
    assert caller.patch(f"/webhooks/{shown['id']}", {"url": "https://other.example/"}).json()["code"] == "not_changeable"


@pytest.mark.usefixtures("products")
def test_without_one_or_where_the_settings_have_a_secret_none_is_shown(settings: Any) -> None:
    caller = Caller("admin")
    assert "webhook_secret" not in caller.post("/instances", NEW).json()

    settings.WEBHOOK_SECRETS = ["whsec_" + base64.b64encode(b"x" * 32).decode()]
    answer = caller.post("/instances", {**NEW, "name": "second", "webhook_url": URL})

    assert answer.status_code == 202
    assert "webhook_secret" not in answer.json()


def test_a_patch_that_names_another_address_shows_a_new_secret() -> None:
    caller, instance = Caller("admin"), make_instance(name="one")

    first = caller.patch("/instances/one", {"webhook_url": URL})
    same = caller.patch("/instances/one", {"webhook_url": URL})
    other = caller.patch("/instances/one", {"webhook_url": "https://other.example/"})

    assert first.json()["webhook_secret"] != other.json()["webhook_secret"]
    assert "webhook_secret" not in same.json()
    assert Instance.objects.get(pk=instance.pk).webhook_url == "https://other.example/"


def test_an_instance_s_address_may_not_be_private_by_its_letters() -> None:
    make_instance(name="one")

    answer = Caller("admin").patch("/instances/one", {"webhook_url": "http://10.0.0.1/"})

    assert answer.json()["errors"][0]["code"] == "private_address"
    assert "WEBHOOK_ALLOWED_NETWORKS" in answer.json()["detail"]


def test_a_list_of_deliveries_costs_the_same_however_long_it_is(django_assert_max_num_queries: Any) -> None:
    caller = Caller("read")
    endpoint = make_endpoint(URL)
    now = timezone.now()
    for number in range(20):
        event = happen(make_instance(status=""), "instance.created")
        endpoint.deliveries.create(
            event=event, type=event.type, created_at=now + timedelta(seconds=number), tried_from=now, next_attempt_at=now
        )

    with django_assert_max_num_queries(6):
        assert len(caller.get("/webhooks/deliveries").json()["results"]) == 20
