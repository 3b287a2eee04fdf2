"""/metrics as Prometheus reads it."""

import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from instances.alarms import clear_alarm, raise_alarm
from instances.models import (
    AutomationPause,
    Job,
    Machine,
    PeriodicWork,
    ProviderAccount,
    ProviderBreaker,
    ProviderPace,
    Tally,
)
from instances.tally import flush, memory
from novita_manager.metrics.counts import COUNTERS, HISTOGRAMS
from tests.factories import client_of, make_account, make_instance, make_job, make_key

pytestmark = pytest.mark.django_db
PROMTOOL = shutil.which("promtool")
Sample = tuple[str, frozenset[tuple[str, str]]]


@pytest.fixture(autouse=True)
def nothing_is_counted() -> Iterator[None]:
    memory.take()
    yield
    memory.take()


def scraped() -> str:
    answer = Client().get("/metrics")
    assert answer.status_code == 200
    return answer.content.decode()


def samples() -> dict[Sample, float]:
    return {
        (sample.name.removeprefix("novita_manager_"), frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(scraped())
        for sample in family.samples
    }


def named(name: str, **labels: str) -> Sample:
    return name, frozenset(labels.items())


def a_busy_fleet(size: int = 3) -> None:
    now = datetime.now(UTC)
    make_account(complete_list_at=now - timedelta(seconds=12), balance_usd=Decimal("7.00"))
    for number in range(size):
        billed = {"billed_since": now, "billed_price_usd_per_hour": Decimal("0.35")}
        make_instance(machine=billed)
        make_instance(machine=billed, managed=False)
        make_job(
            make_instance(machine=billed),
            state="confirming",
            attempts=1,
            called_at=now - timedelta(seconds=60),
            now=now - timedelta(seconds=90),
        )
        raise_alarm("unconfirmed", str(number), text="it runs", remedy="look", now=now)
    for work in ("poll", "worker", "heartbeat", "reclaims"):
        PeriodicWork.objects.create(name=work, next_due_at=now - timedelta(seconds=30), finished_at=now, succeeded_at=now)
    ProviderPace.objects.create(state={"tokens": 3.0, "list_tokens": 1.0, "at": now.timestamp() + 60})
    ProviderBreaker.objects.create(kind="list", state={"opened_at": now.timestamp(), "failures": 5})


def test_who_may_read_it() -> None:
    stranger = "203.0.113.9"

    assert Client(REMOTE_ADDR=stranger).get("/metrics").status_code == 401
    assert client_of(make_key("read")[1]).get("/metrics", REMOTE_ADDR=stranger).status_code == 200
    assert client_of(make_key("secrets")[1]).get("/metrics", REMOTE_ADDR=stranger).status_code == 403
    assert Client(HTTP_X_FORWARDED_FOR="203.0.113.9").get("/metrics").status_code == 401
    assert Client().get("/metrics/").status_code == 200
    assert Client().post("/metrics").status_code == 405


def test_it_is_plain_text_for_prometheus_and_openmetrics_for_who_asks() -> None:
    a_busy_fleet()
    plain = Client().get("/metrics")
    modern = Client(HTTP_ACCEPT="application/openmetrics-text; version=1.0.0").get("/metrics")

    assert plain["Content-Type"].startswith("text/plain; version=0.0.4")
    assert modern["Content-Type"].startswith("application/openmetrics-text")
    parsed = openmetrics.text_string_to_metric_families(modern.content.decode())  # type: ignore[no-untyped-call]
    assert list(parsed)


def test_an_empty_database_tells_zeros_and_leaves_out_what_is_not_known() -> None:
    found = samples()

    assert found[named("instances", phase="ready", managed="true")] == 0
    assert found[named("billed_usd_per_hour", managed="true")] == 0
    assert found[named("unconfirmed_instances", wanted="deleted")] == 0
    assert found[named("jobs_oldest_due_age_seconds")] == 0
    assert found[named("account_frozen")] == found[named("automation_paused")] == 0
    assert found[named("provider_breaker_open", kind="list")] == 0
    assert found[named("provider_pace_tokens", rank="any")] > 0
    assert not {"balance_usd", "balance_runway_seconds", "data_age_seconds"} & {name for name, _ in found}


def test_a_stop_that_waits_unsent_counts_as_unconfirmed_once_it_is_alarmed() -> None:
    now = datetime.now(UTC)
    instance = make_instance(status="pulling", machine={"billed_since": now, "billed_price_usd_per_hour": Decimal("0.35")})
    make_job(instance, now=now)
    assert samples()[named("unconfirmed_instances", wanted="stopped")] == 0

    raise_alarm("unconfirmed", str(instance.pk), text="it waits", remedy="look", now=now, instance=instance)

    found = samples()
    assert found[named("unconfirmed_instances", wanted="stopped")] == 1
    assert found[named("unconfirmed_usd_per_hour", wanted="stopped")] == pytest.approx(0.35)


def test_the_fleet_its_money_and_what_waits() -> None:
    a_busy_fleet()

    found = samples()

    assert found[named("instances", phase="stopping", managed="true")] == 3
    assert found[named("billed_usd_per_hour", managed="true")] == pytest.approx(2.10)
    assert found[named("billed_usd_per_hour", managed="false")] == pytest.approx(1.05)
    assert found[named("unconfirmed_instances", wanted="stopped")] == 3
    assert found[named("unconfirmed_usd_per_hour", wanted="stopped")] == pytest.approx(1.05)
    assert found[named("alarms_open", kind="unconfirmed")] == 3
    assert found[named("balance_usd")] == 7
    assert found[named("balance_runway_seconds")] == pytest.approx(7 / 3.15 * 3600)
    assert 12 <= found[named("data_age_seconds")] < 20
    assert found[named("jobs_open", verb="stop", state="confirming")] == 3
    assert 90 <= found[named("jobs_oldest_due_age_seconds")] < 100


def test_what_keeps_the_product_going() -> None:
    a_busy_fleet()

    found = samples()

    assert 30 <= found[named("periodic_work_lateness_seconds", work="poll")] < 40
    # It beats after a pass, whenever that is; and signs of life have no cadence.
    assert named("periodic_work_lateness_seconds", work="heartbeat") not in found
    assert named("periodic_work_lateness_seconds", work="worker") not in found
    assert found[named("sign_of_life_timestamp_seconds", process="worker")] > 1_700_000_000
    assert found[named("provider_pace_tokens", rank="any")] == 3
    assert found[named("provider_pace_tokens", rank="list")] == 1
    assert found[named("provider_breaker_open", kind="list")] == 1
    assert found[named("provider_breaker_open", kind="create")] == 0


def test_work_in_hand_and_work_that_is_switched_off_is_not_late(settings: Any) -> None:
    a_busy_fleet()
    PeriodicWork.objects.filter(name="poll").update(lease_until=datetime.now(UTC) + timedelta(minutes=1))
    settings.MIGRATION_ENABLED = False

    found = samples()

    assert found[named("periodic_work_lateness_seconds", work="poll")] == 0
    assert named("periodic_work_lateness_seconds", work="reclaims") not in found


def test_a_stop_that_nobody_called_for_yet_a_met_one_and_a_cleared_alarm_do_not_count() -> None:
    a_busy_fleet()
    Job.objects.update(attempts=0)
    clear_alarm("unconfirmed", "0", now=datetime.now(UTC))
    Machine.objects.update(billed_since=None)
    ProviderAccount.objects.update(frozen_since=datetime.now(UTC))
    AutomationPause.objects.create(paused_until=datetime.now(UTC) + timedelta(hours=1))

    found = samples()

    assert found[named("unconfirmed_instances", wanted="stopped")] == 0
    assert found[named("alarms_open", kind="unconfirmed")] == 2
    assert named("balance_runway_seconds") not in found
    assert found[named("account_frozen")] == found[named("automation_paused")] == 1


def test_requests_are_counted_by_route_and_never_by_address() -> None:
    client = client_of(make_key("read")[1])
    for path in ("/api/v1/instances/one", "/api/v1/instances/two", "/nowhere/at-all", "/static/nothing.css"):
        client.get(path)
    client.generic("BREW", "/nowhere/else")
    flush()

    found = samples()

    assert found[named("http_requests_total", method="GET", route="/api/v1/instances/{ref}", status="404")] == 2
    assert found[named("http_requests_total", method="GET", route="(none)", status="404")] == 1
    assert found[named("http_requests_total", method="OTHER", route="(none)", status="404")] == 1
    assert found[named("http_requests_total", method="GET", route="/static/", status="404")] == 1
    route = {"method": "GET", "route": "/api/v1/instances/{ref}"}
    assert found[named("http_request_duration_seconds_count", **route)] == 2
    assert found[named("http_request_duration_seconds_bucket", **route, le="+Inf")] == 2
    assert found[named("http_request_duration_seconds_sum", **route)] > 0


def test_buckets_hold_those_below_them() -> None:
    histogram = HISTOGRAMS[0]
    for seconds in (0.001, 0.02, 0.02, 99.0):
        histogram.observe("GET", "/x", seconds=seconds)
    flush()

    found = samples()

    counted = [
        found[named("http_request_duration_seconds_bucket", method="GET", route="/x", le=edge)] for edge in histogram.edges
    ]
    assert counted == [1, 3, *[3] * (len(histogram.bounds) - 2), 4]


def test_rows_of_another_version_are_left_out() -> None:
    Tally.objects.create(series='["novita_manager_jobs_finished", "stop"]', value=3)
    Tally.objects.create(series='["novita_manager_forgotten", "stop"]', value=3)

    text = scraped()

    assert "forgotten" not in text
    assert "novita_manager_jobs_finished_total{" not in text


def test_the_number_of_queries_does_not_depend_on_the_fleet(django_assert_max_num_queries: Any) -> None:
    a_busy_fleet(2)
    client = Client()
    with django_assert_max_num_queries(11) as few:
        client.get("/metrics")
    for _ in range(20):
        make_job(make_instance(machine={"billed_since": datetime.now(UTC), "billed_price_usd_per_hour": Decimal("1")}))
    with django_assert_max_num_queries(len(few)):
        client.get("/metrics")


def test_every_name_follows_the_conventions_and_is_explained() -> None:
    a_busy_fleet()
    client_of(make_key("read")[1]).get("/api/v1/instances")
    flush()

    families = list(text_string_to_metric_families(scraped()))

    assert len({family.name for family in families}) == len(families)
    assert all(family.name.startswith("novita_manager_") and family.documentation for family in families)
    expected = {counter.name for counter in COUNTERS} | {histogram.name for histogram in HISTOGRAMS}
    assert {family.name for family in families} >= expected


@pytest.mark.skipif(
    shutil.which("promtool") is None, reason="no promtool on this machine (Debian: apt-get install prometheus)"
)
def test_promtool_has_nothing_to_say() -> None:
    a_busy_fleet()
    client_of(make_key("read")[1]).get("/api/v1/instances")
    flush()

    done = subprocess.run([PROMTOOL or "", "check", "metrics"], input=scraped(), capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_without_a_database_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise OperationalError("could not connect to server")

    monkeypatch.setattr("django.db.models.sql.compiler.SQLCompiler.execute_sql", away)

    answer = Client().get("/metrics")

    assert (answer.status_code, answer.json()["code"]) == (503, "database_away")
