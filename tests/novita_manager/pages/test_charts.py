import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from instances.models import Event, RunningInterval
from instances.novita.errors import Unavailable
from instances.novita.types import InstanceMetrics, LogTail, MetricPoint
from novita_manager.pages.chart_lines import Interval, cost_chart, cumulative_cost, path_of, thinned
from tests.pages import person, running, signed_in

NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


class Provider:
    def __init__(self) -> None:
        self.fails = False
        self.asked = 0

    def _ask(self) -> None:
        self.asked += 1
        if self.fails:
            raise Unavailable("nobody answers")

    def instance_metrics(self, novita_id: str, start: datetime, end: datetime) -> InstanceMetrics:
        self._ask()
        points = tuple(MetricPoint(at=end - timedelta(seconds=15 * number), value=40.0) for number in range(8, 0, -1))
        return InstanceMetrics(gpu_avg=points, cpu=tuple(MetricPoint(at=one.at, value=800.0) for one in points))

    def container_log(self, address: str, *, tail_bytes: int, seconds: float) -> LogTail:
        self._ask()
        return LogTail(text="one\n<b>two</b>\n", complete=True)


@pytest.fixture(name="novita")
def _novita(monkeypatch: pytest.MonkeyPatch) -> Provider:
    cache.clear()
    found = Provider()
    monkeypatch.setattr("instances.api.live_reads.novita", lambda: found)
    return found


@pytest.fixture(name="ann")
def _ann(db: None) -> Client:
    return signed_in(person("ann", superuser=True))


def text_of(response: Any) -> str:
    return re.sub(r"\s+", " ", response.content.decode())


def test_utilisation_is_a_picture_with_words_and_a_table(ann: Client, novita: Provider) -> None:
    instance = running("trainer", at=timezone.now())
    assert instance.machine is not None
    instance.machine.cpu_num = 16
    instance.machine.save(update_fields=["cpu_num"])
    response = ann.get(f"/fleet/{instance.pk}/utilisation", headers={"X-Part": "1"})
    shown = text_of(response)
    assert '<title id="utilisation-chart-title">Utilisation of the last 30 min</title>' in shown
    assert "GPU 40 %; CPU 50 %; GPU memory no data" in shown
    assert shown.count("<tr>") == 9
    assert "style=" not in shown
    assert "<html" not in shown
    assert "<html" in text_of(ann.get(f"/fleet/{instance.pk}/utilisation"))


def test_novita_away_is_told_with_the_age_of_what_is_known(ann: Client, novita: Provider) -> None:
    instance = running("trainer", at=timezone.now())
    novita.fails = True
    response = ann.get(f"/fleet/{instance.pk}/utilisation", headers={"X-Part": "1"})
    assert response.status_code == 503
    assert "Novita gives no answer (unavailable); nothing was read before." in text_of(response)


def test_what_is_not_at_novita_has_no_utilisation_and_asks_nobody(ann: Client, novita: Provider) -> None:
    instance = running("over", phase="deleted", ended_at=timezone.now())
    shown = text_of(ann.get(f"/fleet/{instance.pk}/utilisation"))
    assert "Nothing to measure: it is deleted" in shown
    assert novita.asked == 0


def test_reading_the_log_needs_the_permission_leaves_an_event_and_shows_text_as_text(ann: Client, novita: Provider) -> None:
    instance = running("trainer", at=timezone.now())
    assert instance.machine is not None
    instance.machine.connection = {"logs": {"instance": "http://10.0.0.1/log"}}
    instance.machine.save(update_fields=["connection"])
    response = ann.post(f"/fleet/{instance.pk}/log", {"source": "instance", "tail": "200"}, headers={"X-Part": "1"})
    assert "&lt;b&gt;two&lt;/b&gt;" in text_of(response)
    assert "no-store" in response["Cache-Control"]
    assert Event.objects.get(type="instance.log_read").actor_name == "ann"
    without = ann.post(f"/fleet/{instance.pk}/log", {"source": "system"}, headers={"X-Part": "1"})
    assert (without.status_code, "no address of the system log" in text_of(without)) == (503, True)


def test_a_log_that_novita_keeps_back_is_told_in_words(ann: Client, novita: Provider) -> None:
    instance = running("trainer", at=timezone.now())
    assert instance.machine is not None
    instance.machine.connection = {"logs": {"instance": "http://10.0.0.1/log"}}
    instance.machine.save(update_fields=["connection"])
    novita.fails = True
    response = ann.post(f"/fleet/{instance.pk}/log", headers={"X-Part": "1"})
    assert response.status_code == 503
    assert "Novita gives no answer" in text_of(response)


def test_cost_grows_while_it_is_billed_and_not_while_it_stands(ann: Client) -> None:
    now = timezone.now()
    instance = running("trainer", at=now, price="1.00")
    assert instance.machine is not None
    for start, end in ((10, 8), (2, None)):
        RunningInterval.objects.create(
            machine=instance.machine,
            started_at=now - timedelta(hours=start),
            ended_at=None if end is None else now - timedelta(hours=end),
            price_usd_per_hour=Decimal("1.00"),
        )
    instance.machine.metered_usd = Decimal("2.00")
    instance.machine.save(update_fields=["metered_usd"])
    shown = text_of(ann.get(f"/fleet/{instance.pk}/cost"))
    assert "$4.00 for GPUs so far, $1.00 per hour now; disks apart." in shown
    assert 'd="M0.0 100.0L200.0 50.0L800.0 50.0L1000.0 0.0"' in shown


def test_what_was_never_billed_says_so(ann: Client) -> None:
    instance = running("trainer", at=timezone.now())
    assert "Nothing was billed yet" in text_of(ann.get(f"/fleet/{instance.pk}/cost"))


def test_overlapping_machines_add_up() -> None:
    one = Interval(start=NOON, end=NOON + timedelta(hours=2), usd_per_hour=Decimal(1))
    other = Interval(start=NOON + timedelta(hours=1), end=None, usd_per_hour=Decimal(2))
    points = cumulative_cost([other, one], spent_before=Decimal(5), now=NOON + timedelta(hours=3))
    assert [amount for _, amount in points] == [5, 6, 9, 11]


def test_nothing_billed_makes_no_chart() -> None:
    assert cost_chart(cumulative_cost([], spent_before=Decimal(0), now=NOON), told="") is None


def test_a_line_breaks_where_measurements_are_missing() -> None:
    minutes = [0, 1, 2, 20, 21]
    points = [(NOON + timedelta(minutes=one), 50.0) for one in minutes]
    path = path_of(points, start=NOON, end=NOON + timedelta(minutes=30), top=100.0)
    assert path.count("M") == 2
    assert path.count("L") == 3


def test_values_beyond_the_axis_stay_on_the_picture() -> None:
    path = path_of([(NOON, 250.0), (NOON + timedelta(minutes=1), -3.0)], start=NOON, end=NOON, top=100.0)
    assert path == "M0.0 0.0L0.0 100.0"


@pytest.mark.parametrize("count", [0, 1, 24, 25, 500])
def test_a_table_has_few_rows_and_always_the_newest(count: int) -> None:
    moments = [NOON + timedelta(minutes=number) for number in range(count)]
    found = thinned(moments)
    assert len(found) <= 24
    assert found[:1] == moments[-1:]
