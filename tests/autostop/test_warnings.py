"""From a warning to what people do about it: the passes of the timetable, the links, their page."""

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client
from django.utils import timezone

from autostop.links import links_of
from autostop.models import Evaluation, KeepLink
from autostop.notices import WARNING, links_of_event
from autostop.passes import run_pass
from autostop.results import Outcome, PassResult
from instances.events import SYSTEM, Actor
from instances.messages.news import news_of
from instances.models import Delivery, Event, Instance, Job
from instances.operations import keep_until, record_use, request_stop
from instances.webhooks import endpoints, outbox
from tests.autostop.metrics_server import MetricsServer
from tests.autostop.rows import MINUTE, running_instance
from tests.factories import make_offer
from tests.pages import person, signed_in

pytestmark = pytest.mark.django_db
PERSON = Actor(kind="user", name="ada")


@pytest.fixture
def now(provider: MetricsServer) -> datetime:
    """The present time, which pages use, for the provider too."""
    provider.now = timezone.now()
    return provider.now


def a_pass(provider: MetricsServer, at: datetime) -> PassResult:
    provider.now = at
    return run_pass(now=at, dry_run=False, actor=SYSTEM, trigger="schedule")


def outcome(result: PassResult) -> Outcome:
    (item,) = result.items
    return item.outcome


def warned(provider: MetricsServer, at: datetime, **columns: Any) -> Instance:
    idle = running_instance("idle", at=at, **columns)
    assert outcome(a_pass(provider, at)) is Outcome.WARNED
    return idle


def urls(instance: Instance) -> dict[str, str]:
    stop_at = KeepLink.objects.filter(instance=instance).latest("id").stop_at
    return {link.act: urlsplit(link.url).path for link in links_of(instance.pk, stop_at)}


def test_an_idle_one_is_warned_once_and_stopped_when_it_was_said(provider: MetricsServer, now: datetime) -> None:
    idle = warned(provider, now)
    event = Event.objects.get(type=WARNING)

    assert outcome(a_pass(provider, now + 2 * MINUTE)) is Outcome.KEPT
    assert not Job.objects.exists()
    assert outcome(a_pass(provider, now + 5 * MINUTE)) is Outcome.STOPPED
    assert Event.objects.filter(type=WARNING).count() == 1
    told = datetime.fromisoformat(event.after["stop_at"]) - now
    assert abs(told - 5 * MINUTE) < timedelta(milliseconds=2)
    assert Job.objects.get(instance=idle).verb == "stop"


def test_passes_hours_apart_stop_what_they_warned_of(provider: MetricsServer, now: datetime, settings: Any) -> None:
    settings.AUTO_STOP_INTERVAL = timedelta(hours=2)
    idle = warned(provider, now)

    assert outcome(a_pass(provider, now + timedelta(hours=2))) is Outcome.STOPPED
    assert Event.objects.filter(type=WARNING).count() == 1
    assert Job.objects.get(instance=idle).verb == "stop"


def test_a_warning_names_cost_purge_date_and_stock_and_holds_no_secret(provider: MetricsServer, now: datetime) -> None:
    idle = running_instance("idle", at=now)
    offer = make_offer(product_name="RTX 4090 24GB")
    assert idle.machine is not None
    idle.machine.product_id, idle.machine.cluster_id = offer.product_id, offer.cluster_id
    idle.machine.save(update_fields=["product_id", "cluster_id"])

    a_pass(provider, now)

    event = Event.objects.get(type=WARNING)
    assert event.after["price_usd_per_hour"] == "0.35000"
    assert event.after["in_stock"] is True
    purged = datetime.fromisoformat(event.after["data_purged_at"]) - datetime.fromisoformat(event.after["stop_at"])
    assert purged == timedelta(days=7)
    assert "Novita keeps its local data until" in event.reason
    assert "RTX 4090 24GB is in stock there for a restart" in event.reason
    tokens = [url.rsplit("/", 1)[1] for url in urls(idle).values()]
    told = f"{event.reason} {event.after}"
    assert len(tokens) == 3
    assert not any(token in told for token in tokens)
    stored = str(list(KeepLink.objects.values()))
    assert not any(token in stored for token in tokens)
    assert [one["url"] for one in links_of_event(event)] == [link.url for link in links_of(idle.pk, _stop_at(idle))]


def _stop_at(instance: Instance) -> datetime:
    return KeepLink.objects.filter(instance=instance).latest("id").stop_at


@pytest.mark.parametrize("act", ["used", "kept"])
def test_a_use_or_a_keep_averts_the_stop_and_that_is_told(provider: MetricsServer, now: datetime, act: str) -> None:
    idle = warned(provider, now)

    if act == "used":
        record_use(idle.pk, at=now + MINUTE, actor=PERSON, now=now + MINUTE)
    else:
        keep_until(idle.pk, now + timedelta(hours=2), reason="a demo", actor=PERSON, now=now)
    result = a_pass(provider, now + 6 * MINUTE)

    assert outcome(result) is Outcome.KEPT
    assert not Job.objects.exists()
    event = Event.objects.get(type="instance.auto_stop_averted")
    assert event.before["stop_at"] < event.after["stop_at"]
    assert Evaluation.objects.get(instance=idle).promised_at is None


def test_after_activity_a_new_stop_time_is_warned_of_anew(provider: MetricsServer, now: datetime) -> None:
    idle = warned(provider, now)
    record_use(idle.pk, at=now + MINUTE, actor=PERSON, now=now + MINUTE)

    outcomes = [outcome(a_pass(provider, now + minutes * MINUTE)) for minutes in (6, 12, 16, 21)]

    assert outcomes == [Outcome.KEPT, Outcome.WARNED, Outcome.KEPT, Outcome.STOPPED]
    assert Event.objects.filter(type=WARNING).count() == 2


# --- the page -------------------------------------------------------------------------------------------------------
def test_looking_at_a_link_changes_nothing_however_often(client: Client, provider: MetricsServer, now: datetime) -> None:
    idle = warned(provider, now)

    for path in urls(idle).values():
        for _ in range(3):
            page = client.get(path)
            assert page.status_code == 200
            assert client.head(path).status_code == 200
            assert client.options(path).status_code == 405
            assert "no-store" in page["Cache-Control"]
            assert "unsafe" not in page["Content-Security-Policy"]
    text = client.get(urls(idle)["keep_2h"]).content.decode()
    idle.refresh_from_db()

    assert "idle" in text
    assert "$0.35 per hour" in text
    assert "kept at Novita until" in text
    assert "The button acts once" in text
    assert idle.keep_until is None
    assert not KeepLink.objects.exclude(used_at=None).exists()
    assert not Job.objects.exists()


def test_the_button_keeps_it_once(client: Client, provider: MetricsServer, now: datetime) -> None:
    idle = warned(provider, now)
    path = urls(idle)["keep_2h"]

    first, second = client.post(path), client.post(path)

    idle.refresh_from_db()
    assert (first.status_code, second.status_code) == (200, 409)
    assert "It is kept." in first.content.decode()
    assert "acts only once" in second.content.decode()
    assert idle.keep_until is not None
    assert timedelta(hours=2) - MINUTE < idle.keep_until - timezone.now() <= timedelta(hours=2)
    assert Event.objects.filter(type="instance.kept").count() == 1
    assert outcome(a_pass(provider, now + 6 * MINUTE)) is Outcome.KEPT


def test_keeping_it_today_lasts_to_midnight_but_not_shorter_than_two_hours(
    client: Client, provider: MetricsServer, now: datetime
) -> None:
    idle = warned(provider, now)

    client.post(urls(idle)["keep_today"])

    idle.refresh_from_db()
    assert idle.keep_until is not None
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    assert abs(idle.keep_until - max(midnight, now + timedelta(hours=2))) < MINUTE


def test_a_shorter_keep_does_not_shorten_a_longer_one(client: Client, provider: MetricsServer, now: datetime) -> None:
    idle = warned(provider, now)
    long = now + timedelta(days=3)
    keep_until(idle.pk, long, reason="training", actor=PERSON, now=now)

    client.post(urls(idle)["keep_2h"])

    idle.refresh_from_db()
    assert idle.keep_until == long


def test_stopping_now_takes_a_person_who_is_signed_in_and_may(
    client: Client, provider: MetricsServer, now: datetime
) -> None:
    idle = warned(provider, now)
    path = urls(idle)["stop_now"]

    offered, refused = client.get(path), client.post(path)
    reader = signed_in(person("reader", "view_instance")).post(path)
    assert "sign in first" in offered.content.decode()
    assert (refused.status_code, refused["Location"]) == (302, f"/sign-in?next={path.replace('/', '%2F')}")
    assert reader.status_code == 403
    assert not Job.objects.exists()

    done = signed_in(person("operator", "view_instance", "change_instance")).post(path)

    assert "It is asked to stop." in done.content.decode()
    job = Job.objects.get(instance=idle)
    assert (job.verb, job.requested_by_kind, job.requested_by_name) == ("stop", "user", "operator")


def test_a_link_of_what_was_stopped_or_has_expired_says_so(client: Client, provider: MetricsServer, now: datetime) -> None:
    idle = warned(provider, now)
    paths = urls(idle)
    KeepLink.objects.filter(act="keep_today").update(expires_at=now)
    assert "no longer valid" in client.get(paths["keep_today"]).content.decode()
    assert client.post(paths["keep_today"]).status_code == 409

    request_stop(idle.pk, actor=PERSON, reason="", now=now)
    assert "It was stopped, or is being stopped" in client.get(paths["keep_2h"]).content.decode()


@pytest.mark.parametrize("token", ["x", "a.b", "x" * 300, "%00", "..", "é"])
def test_a_link_nobody_made_is_unknown(client: Client, token: str) -> None:
    page = client.get(f"/keep/{token}")
    assert page.status_code == 404


def test_guessing_links_is_slowed_down(client: Client) -> None:
    answers = [client.get(f"/keep/guess{number}", REMOTE_ADDR="203.0.113.9") for number in range(32)]

    assert [one.status_code for one in answers[:30]] == [404] * 30
    assert answers[-1].status_code == 429
    assert int(answers[-1]["Retry-After"]) > 0


def test_a_message_of_the_warning_carries_its_links_and_nothing_that_is_stored_does(
    provider: MetricsServer, now: datetime
) -> None:
    address = {"url": "https://hooks.example/people", "format": "discord", "name": "people"}
    endpoints.create(address, actor=PERSON, now=now)
    idle = warned(provider, now)

    while outbox.fan_out(now):
        pass

    delivery = Delivery.objects.get(event__type=WARNING)
    (news,) = news_of([delivery], now=now)
    assert [urlsplit(link.url).path for link in news.links] == list(urls(idle).values())
    assert [link.label for link in news.links] == ["Keep it for 2 hours", "Keep it today", "Stop it now"]
    tokens = [link.url.rsplit("/", 1)[1] for link in news.links]
    stored = str([*Delivery.objects.values(), *Event.objects.values()])
    assert not any(token in stored for token in tokens)


def test_a_warning_of_a_stop_time_names_what_set_it(provider: MetricsServer, now: datetime) -> None:
    warned(provider, now, last_used_at=now, stop_at=now + 3 * MINUTE)

    reason = Event.objects.get(type=WARNING).reason
    assert reason.startswith("it is stopped at ")
    assert "whatever it does: its stop time" in reason
    assert "may sleep" not in reason
