"""Reading the metrics of all that runs: one call each, spread, only for what came since."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from instances.models import Instance, Machine, UtilisationMinute, UtilisationWatch
from instances.novita.errors import PaceExceeded, Unavailable
from instances.novita.types import InstanceMetrics, MetricPoint
from instances.utilisation.collector import collect_if_due, interval_for
from instances.utilisation.rollup import begin_of
from instances.utilisation.rows import forget_old, samples_since
from tests.autostop.rows import MINUTE, NOW, running_instance

pytestmark = pytest.mark.django_db(transaction=True)
SECOND = timedelta(seconds=1)


class Source:
    """Samples every 15 s up to a minute ago, at 50 % GPU and one core."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, datetime, datetime]] = []
        self.error: Exception | None = None

    def instance_metrics(self, instance_id: str, start: datetime, end: datetime, **_: Any) -> InstanceMetrics:
        self.asked.append((instance_id, start, end))
        if self.error:
            raise self.error
        times = range(int(start.timestamp()) // 15 * 15, int(end.timestamp()) - 59, 15)

        def series(value: float) -> tuple[MetricPoint, ...]:
            return tuple(MetricPoint(at=datetime.fromtimestamp(at, UTC), value=value) for at in times)

        return InstanceMetrics(cpu=series(100), gpu_avg=series(50), gpus={"0": series(50)})


def collect(source: Source, now: datetime) -> int:
    return collect_if_due(now, source=source)


def collect_all(source: Source, begin: datetime, length: timedelta) -> None:
    """As the lane does, once a second or so. When in a minute one is read depends on its key: after two, each has been."""
    for step in range(0, int(length.total_seconds()), 5):
        collect(source, begin + step * SECOND)


def test_every_running_instance_of_ours_is_read_about_once_a_minute_and_no_other() -> None:
    for number in range(6):
        running_instance(f"box-{number}")
    running_instance("foreign", managed=False, wanted="", wanted_at=None)
    stopped = running_instance("stopped")
    Machine.objects.filter(instance=stopped).update(status="exited")
    source = Source()

    collect_all(source, NOW, 5 * MINUTE)

    counts = {name: sum(one[0] == name for one in source.asked) for name in {one[0] for one in source.asked}}
    assert set(counts) == {f"novita-box-{number}" for number in range(6)}
    assert all(4 <= count <= 5 for count in counts.values()), counts


def test_only_what_came_since_the_last_sample_is_asked_for() -> None:
    box = running_instance("box", ready=timedelta(minutes=10))
    source = Source()

    collect_all(source, NOW, 3 * MINUTE)

    first, second = source.asked[:2]
    assert first[1] == NOW - 10 * MINUTE
    newest = UtilisationWatch.objects.get(machine=box.machine).newest_at
    assert newest is not None
    assert second[1] >= first[2] - 3 * MINUTE
    minutes = [begin_of(one.minute) for one in UtilisationMinute.objects.filter(machine=box.machine)]
    assert minutes == [minutes[0] + number * MINUTE for number in range(len(minutes))]
    full = UtilisationMinute.objects.filter(machine=box.machine)[2]
    assert (full.seconds, full.busiest_gpu_percent, full.ceiling_gpu_percent, full.cpu_cores) == (60, 50, 50, 1)


def test_the_interval_stretches_with_the_fleet_and_the_calls_are_spread_over_it(settings: Any) -> None:
    settings.NOVITA_REQUESTS_PER_MINUTE = 100
    assert interval_for(25) == MINUTE
    assert interval_for(1000) == 40 * MINUTE

    settings.NOVITA_REQUESTS_PER_MINUTE = 80
    for number in range(40):
        running_instance(f"box-{number}")
    source = Source()
    per_minute = []
    for minute in range(4):
        before = len(source.asked)
        collect_all(source, NOW + minute * MINUTE, MINUTE)
        per_minute.append(len(source.asked) - before)

    assert len({one[0] for one in source.asked}) == 40
    assert max(per_minute) <= 30, per_minute


def test_a_failed_read_keeps_what_is_known_and_says_why() -> None:
    box = running_instance("box")
    source = Source()
    collect_all(source, NOW, 2 * MINUTE)
    known = UtilisationWatch.objects.get()
    rows = UtilisationMinute.objects.count()

    source.error = Unavailable("Novita does not answer")
    collect_all(source, NOW + 2 * MINUTE, 2 * MINUTE)

    watch = UtilisationWatch.objects.get(machine=box.machine)
    assert (watch.error, watch.newest_at, watch.read_at) == ("Novita does not answer", known.newest_at, known.read_at)
    assert UtilisationMinute.objects.count() == rows


def test_what_the_pace_refused_is_asked_again_soon() -> None:
    running_instance("box")
    source = Source()
    source.error = PaceExceeded("no room")

    collect_all(source, NOW, 2 * MINUTE)

    assert len(source.asked) > 5
    assert UtilisationWatch.objects.get().error == ""


def test_two_workers_share_the_work() -> None:
    for number in range(4):
        running_instance(f"box-{number}")
    source = Source()
    collect(source, NOW)
    UtilisationWatch.objects.update(due_at=NOW)

    for _ in range(8):
        collect(source, NOW + SECOND)

    assert sorted(one[0] for one in source.asked) == [f"novita-box-{number}" for number in range(4)]


def test_old_minutes_are_forgotten_and_a_machine_that_stopped_is_no_longer_watched() -> None:
    box = running_instance("box")
    source = Source()
    collect_all(source, NOW, 2 * MINUTE)
    assert samples_since(NOW - timedelta(hours=3))[box.machine_id or 0]

    Machine.objects.update(status="exited")
    collect(source, NOW + 3 * MINUTE)

    assert not UtilisationWatch.objects.exists()
    assert forget_old(NOW + timedelta(days=13)) == 0
    assert forget_old(NOW + timedelta(days=15)) > 0
    assert Instance.objects.count() == 1
