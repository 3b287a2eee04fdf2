import threading
from datetime import UTC, datetime, timedelta

from instances.novita.errors import PaceExceeded, Unavailable
from instances.novita.types import InstanceMetrics, MetricPoint
from instances.utilisation.reads import Question, read

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
START = NOW - timedelta(minutes=20)


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
        return InstanceMetrics(cpu=(MetricPoint(at=NOW, value=100),))


def ask(*novita_ids: str) -> list[Question]:
    return [
        Question(machine_id=number, novita_id=one, gpu_num=1, start=START, end=NOW)
        for number, one in enumerate(novita_ids, start=1)
    ]


def test_a_failed_read_is_an_answer_with_its_error() -> None:
    answers = read(ask("away", "fine"), Source(), seconds=10)

    assert answers[1].error == "Novita does not answer"
    assert answers[2].minutes[0].cpu_cores == 1


def test_what_our_own_pace_refused_was_not_asked() -> None:
    assert set(read(ask("crowded", "fine"), Source(), seconds=10)) == {2}


def test_reading_ends_in_time_and_tells_the_unanswered_from_the_unasked() -> None:
    source = Source()

    answers = read(ask(*["slow"] * 6), source, seconds=0.2)
    source.let_go.set()

    assert len(answers) == 4
    assert {answer.error for answer in answers.values()} == {"no answer within 0.2 s"}
