from collections.abc import Iterator
from typing import Any

import pytest
import responses

from instances.novita.breaker import BreakerLimits, CallKind, LocalBreaker
from instances.novita.client import CallRecord, request_id
from instances.novita.errors import (
    BreakerOpen,
    NoCapacity,
    NotFound,
    NovitaError,
    PaceExceeded,
    RateLimited,
    Unavailable,
    Unknown,
)
from instances.novita.pace import LocalPace, Rank
from instances.novita.transport import LATEST_WRITE
from instances.novita.types import CreateRequest
from tests.instances.novita.factory import GPU, FakeTime, detailed, error_body, make_client

LIST = f"{GPU}/gpu/instances"
GET = f"{GPU}/gpu/instance"
STOP = f"{GPU}/gpu/instance/stop"
EMPTY: dict[str, Any] = {"instances": [], "total": 0}


@pytest.fixture
def api() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def test_a_read_backs_off_exponentially_with_full_jitter(api: responses.RequestsMock) -> None:
    api.get(LIST, status=503)
    time = FakeTime()

    with pytest.raises(Unavailable):
        make_client(time=time, rng=lambda: 0.5, retry_attempts=4).list_instances()

    assert time.slept == [0.5, 1.0, 2.0]


def test_no_jitter_may_mean_no_wait(api: responses.RequestsMock) -> None:
    api.get(LIST, status=503)
    time = FakeTime()

    with pytest.raises(Unavailable):
        make_client(time=time, rng=lambda: 0.0).list_instances()

    assert time.slept == [0.0, 0.0]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_read_recovers(api: responses.RequestsMock, status: int) -> None:
    api.get(LIST, status=status)
    api.get(LIST, json=EMPTY)

    assert make_client().list_instances().complete


def test_a_retry_after_is_obeyed(api: responses.RequestsMock) -> None:
    api.get(LIST, status=503, headers={"Retry-After": "7"})
    api.get(LIST, json=EMPTY)
    time = FakeTime()

    assert make_client(time=time).list_instances().complete
    assert time.slept == [7.0]


@pytest.mark.parametrize("seconds", [21, 21600])
def test_a_long_retry_after_is_not_waited_for_but_told(api: responses.RequestsMock, seconds: int) -> None:
    api.get(LIST, status=429, headers={"Retry-After": str(seconds)})
    time = FakeTime()

    with pytest.raises(RateLimited) as caught:
        make_client(time=time, read_timeout=300).list_instances()

    assert time.slept == []
    assert caught.value.retry_at is not None
    assert caught.value.retry_at.timestamp() == time.now + seconds


def test_all_attempts_together_stay_within_the_time_outs(api: responses.RequestsMock) -> None:
    api.get(LIST, status=503, headers={"Retry-After": "15"})
    time = FakeTime()

    with pytest.raises(Unavailable):
        make_client(time=time, connect_timeout=5, read_timeout=30, retry_attempts=10).list_instances()

    assert time.slept == [15.0, 15.0]


@pytest.mark.parametrize(("status", "body"), [(400, error_body("VALIDATOR_PARAM")), (401, {}), (404, {}), (403, {})])
def test_a_refused_read_is_not_repeated(api: responses.RequestsMock, status: int, body: Any) -> None:
    api.get(LIST, status=status, json=body)

    with pytest.raises(NovitaError):
        make_client().list_instances()
    assert len(api.calls) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_write_is_never_repeated(api: responses.RequestsMock, status: int) -> None:
    api.post(STOP, status=status, headers={"Retry-After": "1"})
    api.post(f"{GPU}/gpu/instance/create", status=status)
    client = make_client()

    with pytest.raises(RateLimited if status == 429 else Unknown):
        client.stop_instance("a")
    with pytest.raises(RateLimited if status == 429 else Unknown):
        client.create_instance(CreateRequest(name="n", product_id="p", image_url="i"))
    assert len(api.calls) == 2


def test_the_breaker_opens_for_its_kind_and_lets_one_probe_through(api: responses.RequestsMock) -> None:
    api.get(GET, status=500)
    api.get(LIST, json=EMPTY)
    time = FakeTime()
    breaker = LocalBreaker(BreakerLimits(failures=2, reset_seconds=60), clock=time.clock)
    client = make_client(time=time, breaker=breaker, retry_attempts=1)
    for _ in range(2):
        with pytest.raises(Unavailable):
            client.get_instance("a")

    with pytest.raises(BreakerOpen):
        client.get_instance("a")
    assert len(api.calls) == 2
    assert client.list_instances().complete

    time.now += 61
    api.replace(responses.GET, GET, json=detailed("a"))
    assert client.get_instance("a").id == "a"
    assert client.get_instance("a").id == "a"


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 400, "json": error_body("INSUFFICIENT_RESOURCE")},
        {"status": 404},
        {"status": 401},
        {"status": 200, "body": "<html>"},
    ],
)
def test_refusals_never_open_the_breaker(api: responses.RequestsMock, answer: dict[str, Any]) -> None:
    api.post(STOP, **answer)
    breaker = LocalBreaker(BreakerLimits(failures=1), clock=FakeTime().clock)
    client = make_client(breaker=breaker)

    for _ in range(3):
        with pytest.raises(NovitaError):
            client.stop_instance("a")

    assert not breaker.state(CallKind.COMMAND).is_open


@pytest.mark.parametrize("status", [429, 500, 503])
def test_429_and_5xx_open_the_breaker(api: responses.RequestsMock, status: int) -> None:
    api.post(STOP, status=status)
    breaker = LocalBreaker(BreakerLimits(failures=1), clock=FakeTime().clock)

    with pytest.raises(NovitaError):
        make_client(breaker=breaker).stop_instance("a")

    assert breaker.state(CallKind.COMMAND).is_open


def test_a_call_waits_for_its_turn_and_is_refused_when_that_is_far(api: responses.RequestsMock) -> None:
    api.post(STOP, json={})
    time = FakeTime()
    pace = LocalPace(20, clock=time.clock)
    client = make_client(time=time, pace=pace)

    while not time.slept:
        client.stop_instance("a")
    assert 0 < time.slept[0] <= LATEST_WRITE
    sent = len(api.calls)

    slow = LocalPace(1, clock=time.clock)
    client = make_client(time=time, pace=slow)
    client.stop_instance("a")
    with pytest.raises(PaceExceeded) as caught:
        client.stop_instance("a")
    assert caught.value.retry_at is not None
    assert len(api.calls) == sent + 1


def test_a_write_whose_process_slept_on_its_way_out_is_not_sent(api: responses.RequestsMock) -> None:
    time = FakeTime()

    class Sleepy(LocalPace):
        def take(self, rank: Rank) -> float:
            time.now += LATEST_WRITE + 1
            return super().take(rank)

    with pytest.raises(Unavailable) as caught:
        make_client(time=time, pace=Sleepy(100, clock=time.clock)).stop_instance("a")

    assert caught.value.reason == "NOT_SENT"
    assert len(api.calls) == 0


def test_a_429_slows_the_shared_pace(api: responses.RequestsMock) -> None:
    api.post(STOP, status=429, headers={"Retry-After": "12"})
    time = FakeTime()
    pace = LocalPace(100, clock=time.clock)

    with pytest.raises(RateLimited):
        make_client(time=time, pace=pace).stop_instance("a")

    assert pace.take(Rank.LIST) == pytest.approx(12)


def test_each_attempt_is_recorded(api: responses.RequestsMock) -> None:
    api.get(GET, status=503)
    api.get(GET, status=400, json=error_body("RESOURCE_NOT_FOUND"))
    records: list[CallRecord] = []

    with pytest.raises(NotFound) as caught:
        make_client(on_call=records.append).get_instance("a")

    assert [(item.attempt, item.status, item.error_code) for item in records] == [
        (1, 503, "unavailable"),
        (2, 400, "not_found"),
    ]
    last = records[-1]
    assert (last.kind, last.operation, last.method) == (CallKind.GET, "get_instance", "GET")
    assert (last.path, last.instance_id) == ("/gpu-instance/openapi/v1/gpu/instance", "a")
    assert records[0].request_id == last.request_id == caught.value.request_id


def test_a_given_request_id_is_sent_recorded_and_kept_on_errors(api: responses.RequestsMock) -> None:
    api.post(STOP, status=400, json=error_body("INSUFFICIENT_RESOURCE"))
    token = request_id.set("job-17\r\nX-Evil: 1")
    try:
        with pytest.raises(NoCapacity) as caught:
            make_client().stop_instance("a")
    finally:
        request_id.reset(token)

    assert caught.value.request_id == "job-17X-Evil: 1"
    assert api.calls[0].request.headers["X-Request-ID"] == "job-17X-Evil: 1"


def test_a_broken_observer_does_not_lose_the_answer_of_a_create(api: responses.RequestsMock) -> None:
    api.post(f"{GPU}/gpu/instance/create", json={"id": "new"})

    def fail(record: CallRecord) -> None:
        raise RuntimeError("no database")

    client = make_client(on_call=fail)

    assert client.create_instance(CreateRequest(name="n", product_id="p", image_url="i")) == "new"
