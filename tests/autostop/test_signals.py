import threading
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from autostop.signals import Question, read_metrics, reading_of
from hypothesis import given
from hypothesis import strategies as st

from instances.novita.errors import PaceExceeded, Unavailable
from instances.novita.types import InstanceMetrics, MetricPoint

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
START = NOW - timedelta(minutes=20)


def points(*values: float, until: datetime = NOW) -> tuple[MetricPoint, ...]:
    """A sample a minute, the last at `until`."""
    last = len(values) - 1
    return tuple(MetricPoint(at=until - timedelta(minutes=last - index), value=v) for index, v in enumerate(values))


def test_a_reading_is_the_mean_of_each_series_and_its_newest_time() -> None:
    metrics = InstanceMetrics(cpu=points(100, 300), gpu_avg=points(10), gpus={"0": points(0, 20), "1": points(4)})

    reading = reading_of(metrics, start=START, end=NOW)

    assert reading.cpu is not None
    assert (reading.cpu.mean, reading.cpu.newest_at, reading.cpu.samples) == (200, NOW, 2)
    assert {name: level.mean for name, level in reading.gpus.items()} == {"0": 10, "1": 4}


def test_samples_from_before_the_window_do_not_count() -> None:
    metrics = InstanceMetrics(cpu=points(0, 0, until=START - timedelta(seconds=1)), gpus={"0": points(100, until=START)})

    reading = reading_of(metrics, start=START, end=NOW)

    assert reading.cpu is None
    assert reading.gpus["0"].mean == 100


def test_a_sample_dated_far_ahead_is_not_believed() -> None:
    ahead = InstanceMetrics(cpu=points(0, until=NOW + timedelta(hours=1)))

    assert reading_of(ahead, start=START, end=NOW).cpu is None


@given(st.lists(st.floats(min_value=0, max_value=6400), min_size=1, max_size=50))
def test_a_mean_lies_between_the_least_and_the_largest_sample(values: list[float]) -> None:
    level = reading_of(InstanceMetrics(cpu=points(*values)), start=NOW - timedelta(hours=2), end=NOW).cpu

    assert level is not None
    assert min(values) - 1e-6 <= level.mean <= max(values) + 1e-6


class Source:
    """Answers by Novita id: `slow` waits until it is let go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()

    def instance_metrics(
        self, instance_id: str, start: datetime, end: datetime, *, interval: timedelta = timedelta(seconds=15)
    ) -> InstanceMetrics:
        assert timedelta(seconds=15) <= interval <= timedelta(seconds=60)
        if instance_id == "away":
            raise Unavailable("Novita does not answer")
        if instance_id == "crowded":
            raise PaceExceeded("no room")
        if instance_id == "slow":
            self.let_go.wait(30)
        return InstanceMetrics(cpu=points(100))


def ask(*novita_ids: str) -> dict[str, Question]:
    return {one: Question(instance_id=uuid4(), novita_id=one, start=START, end=NOW) for one in novita_ids}


def by_name(asked: dict[str, Question], answers: dict[UUID, object]) -> set[str]:
    return {name for name, question in asked.items() if question.instance_id in answers}


def test_a_failed_read_is_a_reading_with_its_error() -> None:
    asked = ask("away", "fine")

    answers = read_metrics(list(asked.values()), Source(), seconds=10)

    assert answers[asked["away"].instance_id].error == "Novita does not answer"
    assert answers[asked["fine"].instance_id].cpu is not None


def test_what_our_own_pace_refused_was_not_asked() -> None:
    asked = ask("crowded", "fine")

    answers = read_metrics(list(asked.values()), Source(), seconds=10)

    assert by_name(asked, dict(answers)) == {"fine"}


def test_reading_ends_in_time_and_tells_the_unanswered_from_the_unasked() -> None:
    source = Source()
    asked = {f"slow-{n}": Question(instance_id=uuid4(), novita_id="slow", start=START, end=NOW) for n in range(6)}

    answers = read_metrics(list(asked.values()), source, seconds=0.2)
    source.let_go.set()

    assert len(answers) == 4
    assert {answer.error for answer in answers.values()} == {"no answer within 0.2 s"}
