"""Counts that processes share."""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import DatabaseError

from instances import tally
from instances.executor.outcomes import finish
from instances.executor.steps import Act, Step
from instances.models import Tally
from instances.novita.breaker import CallKind
from instances.novita.transport import CallRecord
from instances.provider import note_call
from instances.tally import Counter, Histogram, flush, memory
from tests.factories import NOW, make_instance, make_job

pytestmark = pytest.mark.django_db
SHEEP = Counter(name="sheep", help="Sheep.", labels=("colour",))
NAPS = Histogram(name="naps_seconds", help="Naps.", labels=("who",), bounds=(1.0, 5.0))


@pytest.fixture(autouse=True)
def nothing_is_counted() -> Iterator[None]:
    memory.take()
    yield
    memory.take()


def stored() -> dict[str, float]:
    return {" ".join(json.loads(series)): value for series, value in Tally.objects.values_list("series", "value")}


def test_counting_writes_nothing_and_a_flush_puts_it_on_top_of_what_is_there() -> None:
    SHEEP.add("black")
    SHEEP.add("white")
    SHEEP.add("white")
    assert stored() == {}

    assert flush() == 2
    SHEEP.add("white")
    flush()

    assert stored() == {"sheep black": 1, "sheep white": 3}


def test_a_flush_with_nothing_to_tell_asks_the_database_nothing(django_assert_num_queries: object) -> None:
    with django_assert_num_queries(0):  # type: ignore[operator]
        assert flush() == 0


def test_each_bucket_is_stored_for_itself_and_its_bound_belongs_to_it() -> None:
    for seconds in (0.2, 1.0, 4.0, 60.0):
        NAPS.observe("cat", seconds=seconds)
    flush()

    assert stored() == {
        "naps_seconds_bucket cat 1.0": 2,
        "naps_seconds_bucket cat 5.0": 1,
        "naps_seconds_bucket cat +Inf": 1,
        "naps_seconds_sum cat": pytest.approx(65.2),
    }


def test_what_could_not_be_stored_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    SHEEP.add("black")
    with monkeypatch.context() as broken:
        broken.setattr(tally, "_PUT_ON_TOP", "INSERT INTO nowhere (series, value) VALUES (%s, %s)")
        with pytest.raises(DatabaseError):
            flush()
    SHEEP.add("black")
    flush()

    assert stored() == {"sheep black": 2}


def test_threads_lose_nothing() -> None:
    def count() -> None:
        for _ in range(500):
            SHEEP.add("white")

    threads = [threading.Thread(target=count) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()

    assert memory.take() == {("sheep", "white"): 4000}


def test_a_count_without_its_words_is_a_mistake_of_the_programmer() -> None:
    with pytest.raises(ValueError, match="sheep is counted by colour"):
        SHEEP.add("black", "old")


def test_calls_to_the_provider_are_counted_by_their_status_or_by_what_went_wrong() -> None:
    for status, error in ((200, ""), (503, "unavailable"), (None, "unknown_outcome")):
        note_call(
            CallRecord(
                kind=CallKind.LIST,
                operation="list_instances",
                method="GET",
                path="/x",
                status=status,
                milliseconds=40,
                request_id="r",
                error_code=error,
                attempt=1,
                instance_id="",
            )
        )
    flush()

    assert {name: value for name, value in stored().items() if "calls" in name} == {
        f"novita_manager_provider_calls list {word}": 1 for word in ("200", "503", "unknown_outcome")
    }
    assert stored()["novita_manager_provider_call_duration_seconds_bucket list 0.05"] == 3


def test_a_job_is_counted_once_its_end_is_committed(django_capture_on_commit_callbacks: object) -> None:
    job = make_job(make_instance(), verb="restart", state="claimed", fence=1, lease_until=NOW + timedelta(minutes=1))

    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        finish(job, Step(act=Act.FAIL, code="rejected", reason="no"), now=NOW)
    flush()

    assert stored() == {"novita_manager_jobs_finished restart failed": 1}
