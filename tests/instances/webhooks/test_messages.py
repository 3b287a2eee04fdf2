"""Messages through the lane: what comes by default, many boxes at once, quiet hours, mail, the daily digest."""

import json
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.core import mail
from django.db.models import F
from django.utils import timezone

from instances.alarms import clear_alarm, raise_alarm
from instances.messages import news, rendering
from instances.models import Delivery, Event, RunningInterval
from instances.webhooks import deliveries, endpoints
from instances.webhooks.kinds import TELLINGS
from instances.webhooks.payloads import test_body as body_of_test
from tests.factories import NOW, PERSON, make_instance, make_job, make_machine
from tests.instances.webhooks.conftest import Lane, happen, make_endpoint
from tests.instances.webhooks.receiver import Receiver

pytestmark = pytest.mark.django_db

NIGHT = {"quiet_from": time(22), "quiet_until": time(7)}


def text_of(receiver: Receiver, number: int = -1) -> str:
    return json.dumps(receiver.got[number].json, ensure_ascii=False)


def two_boxes_unhealthy(lane: Lane, receiver: Receiver) -> None:
    """Two that one message will tell of, and that wait to be told."""
    make_endpoint(receiver.url, format="slack")
    for name in ("one", "two"):
        happen(make_instance(name=name), "instance.unhealthy")
    lane.run()


def test_thirty_boxes_at_once_are_one_message(lane: Lane, receiver: Receiver) -> None:
    make_endpoint(receiver.url, format="slack")
    for number in range(30):
        happen(make_instance(name=f"box-{number:02}"), "instance.unhealthy", after={"phase": "unhealthy"})

    lane.wait_seconds(12)

    assert len(receiver.got) == 1
    message = receiver.got[0].json
    assert message["text"] == "⚠ 30 instances: unhealthy (30)"
    assert "box-00" in text_of(receiver)
    assert "and 15 more" in text_of(receiver)
    states = Delivery.objects.values_list("state", flat=True)
    assert sorted(states) == ["delivered"] + ["grouped"] * 29


def test_a_message_says_what_which_box_since_when_what_it_costs_why_and_where_to_look(
    lane: Lane, receiver: Receiver, settings: Any
) -> None:
    settings.PUBLIC_URL = "https://manager.example/gpu"
    make_endpoint(receiver.url, format="slack")
    box = make_instance(name="train-1", machine={"metered_usd": Decimal("1.2345")})
    happen(box, "instance.unhealthy", reason="port 8080: no answer", after={"phase": "unhealthy"})

    lane.wait_seconds(12)

    text = text_of(receiver)
    for part in (
        "train-1: unhealthy",
        "since 2026-11-24 12:00:00 UTC",
        "$0.35 per hour",
        "$1.23 so far",
        "Why: port 8080: no answer",
        f"https://manager.example/gpu/fleet/{box.pk}",
    ):
        assert part in text


def test_news_of_no_weight_comes_only_where_it_is_asked_for(lane: Lane, receiver: Receiver) -> None:
    make_endpoint(receiver.url + "/usual", format="slack")
    make_endpoint(receiver.url + "/all", format="slack", min_severity="info")
    make_endpoint(receiver.url + "/urgent", format="slack", min_severity="urgent")
    make_endpoint(receiver.url + "/alarms", format="slack", types=["alarm"])
    happen(make_instance(), "instance.ready")
    lane.wait_seconds(12)
    assert [one.path for one in receiver.got] == ["/hooks/all"]

    happen(make_instance(), "instance.unhealthy")
    lane.wait_seconds(12)

    assert sorted(one.path for one in receiver.got[1:]) == ["/hooks/all", "/hooks/usual"]


def test_quiet_hours_keep_what_is_not_urgent_for_one_message_in_the_morning(
    lane: Lane, receiver: Receiver, clock: time_machine.Traveller
) -> None:
    make_endpoint(receiver.url, format="slack", digest_at=None, **NIGHT)
    clock.move_to(datetime(2026, 11, 24, 23, 0, tzinfo=UTC), tick=False)
    happen(make_instance(name="late-1"), "instance.unhealthy", after={"phase": "unhealthy"})
    lane.wait(timedelta(hours=2), every=timedelta(minutes=5))
    happen(make_instance(name="late-2"), "instance.unhealthy", after={"phase": "unhealthy"})
    failed = make_instance(name="costly", machine={"billed_since": NOW})
    happen(failed, "instance.failed", after={"phase": "failed"}, reason="it does not come up; still billed")
    lane.wait(timedelta(minutes=5), every=timedelta(seconds=11))

    assert len(receiver.got) == 1
    assert "costly: failed and still billed" in text_of(receiver)
    assert "late" not in text_of(receiver)

    lane.wait(timedelta(hours=6, minutes=10), every=timedelta(minutes=5))
    assert len(receiver.got) == 2
    assert "late-1" in text_of(receiver)
    assert "late-2" in text_of(receiver)
    assert "now ready" in text_of(receiver)  # what became of them since


def test_an_alarm_tells_its_remedy_and_that_it_is_over_where_it_is(
    lane: Lane, receiver: Receiver, clock: time_machine.Traveller
) -> None:
    make_endpoint(receiver.url, format="slack", digest_at=None, **NIGHT)
    raise_alarm("data_purge", "x", text="its data goes", remedy="start it", now=timezone.now())
    lane.wait_seconds(12)
    assert "its data is about to be purged" in text_of(receiver)
    assert "start it" in text_of(receiver)

    clock.move_to(datetime(2026, 11, 24, 23, 0, tzinfo=UTC), tick=False)
    raise_alarm("no_metrics", "y", text="no data", remedy="look at it by hand", now=timezone.now())
    lane.wait(timedelta(hours=1), every=timedelta(minutes=5))
    clear_alarm("no_metrics", "y", now=timezone.now())
    lane.wait(timedelta(hours=8), every=timedelta(minutes=5))
    assert "over since 2026-11-25 00:00:00 UTC" in text_of(receiver)
    assert "look at it by hand" not in text_of(receiver)


def test_a_reclaim_and_what_came_of_it_are_told(lane: Lane, receiver: Receiver) -> None:
    make_endpoint(receiver.url, format="slack")
    box = make_instance(name="spot-1")
    happen(box, "instance.reclaimed", reason="Novita took this spot instance back")
    lane.wait_seconds(12)
    job = make_job(box, verb="start", state="succeeded", requested_by_kind="rule", requested_by_name="reclaim")
    happen(box, "job.start_succeeded", job=job)
    happen(box, "instance.reclaim_ended", reason="It was found taken back at 03:12; a start in place at 03:12 worked")
    lane.wait_seconds(12)

    assert "spot-1: taken back by Novita" in text_of(receiver, 0)
    assert "spot-1: its reclaim is over" in text_of(receiver, 1)
    assert "a start in place at 03:12 worked" in text_of(receiver, 1)
    assert Delivery.objects.count() == 2


def test_all_that_is_told_has_words_of_its_own() -> None:
    told = {type_ for type_, telling in TELLINGS.items() if telling.severity and not type_.startswith("alarm.")}

    assert told == set(news._WORDS)


def links_of(event: Event) -> list[dict[str, str]]:
    return [{"label": "Keep it for 2 h", "url": f"https://manager.example/keep/token-{event.pk}"}]


def test_a_warning_before_a_stop_carries_the_links_that_act_and_they_stand_nowhere_else(
    lane: Lane, receiver: Receiver, settings: Any
) -> None:
    settings.MESSAGE_LINKS = [f"{__name__}.links_of"]
    make_endpoint(receiver.url, format="discord")
    make_endpoint(receiver.url + "/programs")
    event = happen(make_instance(), "instance.auto_stop_warning", reason="idle for 18 min")

    lane.wait_seconds(12)

    token = f"token-{event.pk}"
    people = [one for one in receiver.got if one.path == "/hooks"]
    assert token in people[0].body.decode()
    assert token not in next(one for one in receiver.got if one.path == "/hooks/programs").body.decode()
    with pytest.MonkeyPatch.context() as patch:  # what the database holds
        patch.setattr("instances.encryption.decrypt", lambda stored: stored)
        assert token not in str(list(Delivery.objects.values()))


def test_a_message_that_fails_is_tried_again_with_all_that_it_told(lane: Lane, receiver: Receiver) -> None:
    make_endpoint(receiver.url, format="discord")
    receiver.says(500)
    for name in ("one", "two"):
        happen(make_instance(name=name), "instance.unhealthy")
    lane.wait_seconds(12)
    receiver.says(204)

    lane.wait(timedelta(minutes=2), every=timedelta(seconds=2))

    assert len(receiver.got) == 1
    assert receiver.got[0].body == receiver.refused[0].body
    assert "one" in text_of(receiver)
    assert "two" in text_of(receiver)


def test_what_was_put_into_a_message_is_told_in_it_though_the_process_died_before_its_words(
    lane: Lane, receiver: Receiver
) -> None:
    two_boxes_unhealthy(lane, receiver)
    due = timezone.now() + timedelta(seconds=12)
    leader = Delivery.objects.order_by("next_attempt_at").first()
    assert leader is not None
    assert deliveries.claim_message(leader.pk, due) is not None  # and nothing more: it died here
    happen(make_instance(name="three"), "instance.unhealthy")

    lane.wait(timedelta(minutes=2))

    told = "".join(text_of(receiver, number) for number in range(len(receiver.got)))
    assert [told.count(f"{name}: unhealthy") > 0 for name in ("one", "two", "three")] == [True] * 3
    assert Delivery.objects.get(pk=leader.pk).state == "delivered"


def test_what_was_put_into_a_message_is_told_in_it_though_its_words_could_not_be_written_at_first(
    lane: Lane, receiver: Receiver
) -> None:
    two_boxes_unhealthy(lane, receiver)
    Delivery.objects.update(severity=99)
    lane.wait_seconds(12)
    assert sorted(Delivery.objects.values_list("state", "attempts")) == [("grouped", 0), ("pending", 1)]

    Delivery.objects.update(severity="warning")
    lane.wait(timedelta(minutes=2))

    [got] = receiver.got
    assert "one" in str(got.json)
    assert "two" in str(got.json)


def test_a_message_that_another_worker_took_over_while_its_words_were_written_is_not_sent_empty(
    lane: Lane, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_endpoint(receiver.url, format="slack")
    happen(make_instance(name="one"), "instance.unhealthy")
    lane.run()
    written = rendering.body_of

    def taken_over(delivery: Delivery, *rest: Any, **more: Any) -> str:
        Delivery.objects.filter(pk=delivery.pk).update(fence=F("fence") + 1)
        return written(delivery, *rest, **more)

    monkeypatch.setattr(rendering, "body_of", taken_over)
    lane.wait_seconds(12)

    assert receiver.got == []
    assert Delivery.objects.get().state == "pending"


def test_a_message_without_words_that_is_sent_again_is_put_into_no_other(lane: Lane, receiver: Receiver) -> None:
    two_boxes_unhealthy(lane, receiver)
    Delivery.objects.update(severity=99)
    lane.wait(timedelta(days=3, hours=5), every=timedelta(hours=1))
    given_up = Delivery.objects.get(state="failed")
    Delivery.objects.update(severity="warning")
    happen(make_instance(name="three"), "instance.unhealthy")
    lane.run()
    newer = Delivery.objects.get(state="pending")

    deliveries.redeliver(given_up, actor=PERSON, now=timezone.now())
    Delivery.objects.filter(pk=newer.pk).update(next_attempt_at=timezone.now())
    assert deliveries.claim_message(newer.pk, timezone.now()) is not None
    lane.wait_seconds(12)

    told = "".join(text_of(receiver, number) for number in range(len(receiver.got)))
    assert "one" in told
    assert "two" in told


def test_one_that_was_told_in_another_is_told_again_in_it(lane: Lane, receiver: Receiver) -> None:
    make_endpoint(receiver.url, format="slack")
    for name in ("one", "two"):
        happen(make_instance(name=name), "instance.unhealthy")
    lane.wait_seconds(12)
    grouped = Delivery.objects.get(state="grouped")

    again = deliveries.redeliver(grouped, actor=PERSON, now=timezone.now())
    lane.run()

    assert again.pk == grouped.told_in_id
    assert [one.body for one in receiver.got] == [receiver.got[0].body] * 2


def test_a_test_is_sent_in_each_format(lane: Lane, receiver: Receiver, settings: Any) -> None:
    settings.EMAIL = {"FROM": ""}
    for format_ in ("standard", "slack", "discord", "mail"):
        url = "mailto:ops@example.com" if format_ == "mail" else f"{receiver.url}/{format_}"
        endpoint = make_endpoint(url, format=format_)
        body = "" if endpoint.is_for_people else body_of_test(endpoint, asked_by="alice", now=timezone.now())
        deliveries.request_test(endpoint, body, actor=PERSON, now=timezone.now())

    lane.run()

    told = {one.path.rpartition("/")[2]: one.json for one in receiver.got}
    assert told["standard"]["type"] == "webhook.test"
    assert "This is a test" in told["slack"]["text"]
    assert "This is a test" in told["discord"]["content"]
    assert mail.outbox[0].subject == "[novita-manager] This is a test"


def test_mail_goes_to_all_who_are_named(lane: Lane, settings: Any) -> None:
    settings.EMAIL = {"FROM": ""}
    make_endpoint("mailto:ops@example.com,team@example.com", format="mail")
    happen(make_instance(name="train-1"), "instance.unhealthy", reason="no answer\nBcc: everybody@example.com")

    lane.wait_seconds(12)

    sent = mail.outbox[0]
    assert sent.to == ["ops@example.com", "team@example.com"]
    assert sent.subject == "[novita-manager] train-1: unhealthy"
    assert "Why: no answer" in sent.body
    assert Delivery.objects.get().message_id in sent.extra_headers["Message-ID"]


def test_a_mail_server_that_is_away_is_tried_again(lane: Lane, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    make_endpoint("mailto:ops@example.com", format="mail")
    happen(make_instance(), "instance.unhealthy")

    lane.wait_seconds(12)

    delivery = Delivery.objects.get()
    assert delivery.state == "pending"
    assert "ConnectionRefusedError" in delivery.attempt_log.all()[0].error


def test_the_digest_comes_once_a_day_at_its_hour_with_the_figures_of_yesterday(
    lane: Lane, receiver: Receiver, clock: time_machine.Traveller
) -> None:
    make_endpoint(receiver.url, format="slack", digest_at=time(9), time_zone="Europe/Berlin")
    box = make_instance(name="train-1")
    machine = make_machine(box, billed_since=NOW, billed_price_usd_per_hour=Decimal("0.50"))
    RunningInterval.objects.create(machine=machine, started_at=NOW, price_usd_per_hour=Decimal("0.50"))
    idle = make_instance(name="idle-1", status="exited")
    make_job(idle, verb="stop", state="succeeded", requested_by_kind="rule", requested_by_name="auto-stop")
    raise_alarm("default_region", "", text="DEFAULT_REGION does not exist", remedy="set it", now=NOW)

    clock.move_to(datetime(2026, 11, 25, 7, 59, tzinfo=UTC), tick=False)
    lane.run()
    before = len(receiver.got)
    lane.wait(timedelta(minutes=3), every=timedelta(seconds=30))

    digest = text_of(receiver)
    assert len(receiver.got) == before + 1
    # From noon to midnight in Berlin: eleven hours at $0.50.
    assert "2026-11-24: $5.50 spent, 1 running now at $0.50 per hour" in digest
    for part in ("train-1", "Stopped for idling: 1", "idle-1", "Open alarms: 1", "DEFAULT_REGION does not exist"):
        assert part in digest
    lane.wait(timedelta(hours=25), every=timedelta(minutes=10))
    assert len(receiver.got) == before + 2
    assert Delivery.objects.filter(type="digest").count() == 2


def test_who_wants_no_digest_gets_none(lane: Lane, receiver: Receiver) -> None:
    endpoint = make_endpoint(receiver.url, format="slack", digest_at=time(9))
    endpoints.change(endpoint, {"digest_at": None}, actor=PERSON, now=timezone.now())

    lane.wait(timedelta(days=2), every=timedelta(hours=1))

    assert receiver.got == []
