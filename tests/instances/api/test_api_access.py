"""/instances/{ref}/connection, /metrics and /logs."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from instances.api import live_reads
from instances.models import Event
from instances.novita.errors import Unavailable
from instances.novita.types import InstanceMetrics, LogTail, MetricPoint
from tests.factories import NOW, make_instance
from tests.instances.api.calls import Caller, fields

pytestmark = pytest.mark.django_db

CONNECTION = {
    "ssh": {"command": "ssh root@10.0.0.1", "password": "ssh-secret"},
    "jupyter": {"url": "http://10.0.0.1:8888/?token=jupyter-secret"},
    "web_terminal": {"url": "http://10.0.0.1/t/terminal-secret", "username": "root", "password": "web-secret"},
    "logs": {"instance": "http://10.0.0.1/log/instance", "system": "http://10.0.0.1/log/system"},
}


class Provider:
    """Answers metrics and logs, or fails; counts what it was asked."""

    def __init__(self, *, fails: bool = False) -> None:
        self.asked: list[str] = []
        self.fails = fails

    def _note(self, what: str) -> None:
        self.asked.append(what)
        if self.fails:
            raise Unavailable("nobody answers")

    def instance_metrics(self, novita_id: str, start: datetime, end: datetime) -> InstanceMetrics:
        self._note("metrics")
        return InstanceMetrics(gpu_avg=(MetricPoint(at=NOW, value=12.5),), gpus={"0": (MetricPoint(at=NOW, value=12.5),)})

    def container_log(self, address: str, *, tail_bytes: int, seconds: float) -> LogTail:
        self._note(address)
        return LogTail(text="one\ntwo\nthree\n", complete=True)


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Provider:
    found = Provider()
    monkeypatch.setattr(live_reads, "novita", lambda: found)
    return found


def make_reachable() -> None:
    make_instance(name="box", envs=[{"key": "TOKEN", "value": "env-secret"}], machine={"connection": CONNECTION})


def test_a_connection_is_shown_without_secrets_to_who_may_only_read() -> None:
    make_reachable()

    answer = Caller("read").get("/instances/box/connection")

    assert answer.status_code == 200
    found = answer.json()
    assert found["endpoints"][0]["url"] == "http://127.0.0.1:8080"
    assert found["ssh"] == {"command": "ssh root@10.0.0.1", "password": None}
    assert found["envs"] == [{"key": "TOKEN", "value": None}]
    assert "secret" not in answer.content.decode().replace("secrets_shown", "")
    assert not Event.objects.filter(type="instance.connection_read").exists()


def test_reading_passwords_leaves_an_event() -> None:
    make_reachable()

    found = Caller("read", "secrets").get("/instances/box/connection").json()

    assert found["ssh"]["password"] == "ssh-secret"
    assert found["web_terminal"]["password"] == "web-secret"
    assert found["jupyter"]["url"].endswith("jupyter-secret")
    assert found["envs"] == [{"key": "TOKEN", "value": "env-secret"}]
    assert "logs" not in found
    event = Event.objects.get(type="instance.connection_read")
    assert (event.actor_kind, event.actor_name) == ("key", "tests")
    assert "secret" not in str(event.before) + str(event.after)


def test_secrets_never_reach_a_list_or_a_timeline() -> None:
    make_reachable()
    caller = Caller()
    caller.get("/instances/box/connection")

    for path in ("/instances", "/instances/box", "/instances/box/events", "/instances/box/explain", "/events"):
        assert "-secret" not in caller.get(path).content.decode()


def test_metrics_are_asked_for_once_in_15_seconds(provider: Provider) -> None:
    make_reachable()
    caller = Caller("read")

    first, second = caller.get("/instances/box/metrics"), caller.get("/instances/box/metrics")

    assert first.json()["gpu_percent"] == [{"at": "2026-11-24T12:00:00Z", "value": 12.5}]
    assert first.json() == second.json()
    assert provider.asked == ["metrics"]


def test_metrics_say_how_old_what_is_known_is_while_novita_is_away(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_reachable()
    caller = Caller("read")
    caller.get("/instances/box/metrics")
    provider.fails = True
    monkeypatch.setattr(live_reads, "_FRESH", timedelta(0))

    answer = caller.get("/instances/box/metrics")

    assert (answer.status_code, answer.json()["code"]) == (503, "provider_away")
    assert answer.json()["age_seconds"] == 0
    assert answer.json()["known_at"] is not None
    assert answer["Retry-After"] == "15"


def test_metrics_of_what_does_not_run_at_novita_are_refused(provider: Provider) -> None:
    make_instance(name="new", status="")

    answer = Caller("read").get("/instances/new/metrics")

    assert (answer.status_code, answer.json()["code"]) == (409, "wrong_phase")
    assert provider.asked == []


def test_a_slow_provider_does_not_hold_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    make_reachable()
    released: list[Any] = []

    class Slow(Provider):
        def instance_metrics(self, novita_id: str, start: datetime, end: datetime) -> InstanceMetrics:
            released.append(waiting.wait(20))
            return InstanceMetrics()

    waiting = threading.Event()
    monkeypatch.setattr(live_reads, "novita", lambda: Slow())
    monkeypatch.setattr(live_reads, "_PROVIDER_SECONDS", 0.2)

    began = datetime.now(UTC)
    answer = Caller("read").get("/instances/box/metrics")
    waiting.set()

    assert answer.status_code == 503
    assert datetime.now(UTC) - began < timedelta(seconds=5)


def test_logs_show_the_last_lines_and_leave_an_event(provider: Provider) -> None:
    make_reachable()

    answer = Caller("read", "secrets").get("/instances/box/logs?source=system&tail=2")

    assert answer.status_code == 200
    assert (answer.json()["text"], answer.json()["complete"]) == ("two\nthree", False)
    assert provider.asked == ["http://10.0.0.1/log/system"]
    assert Event.objects.filter(type="instance.log_read").count() == 1


def test_logs_need_the_secrets_scope(provider: Provider) -> None:
    make_reachable()

    assert Caller("create").get("/instances/box/logs").status_code == 403
    assert provider.asked == []


def test_a_log_whose_address_is_unknown_is_unavailable() -> None:
    make_instance(name="box")

    answer = Caller().get("/instances/box/logs")

    assert (answer.status_code, answer.json()["code"]) == (503, "log_unavailable")


@pytest.mark.parametrize(
    ("query", "field"),
    [("source=kernel", "source"), ("tail=0", "tail"), ("tail=all", "tail"), ("tail=99999", "tail")],
)
def test_a_bad_log_query_is_named(query: str, field: str) -> None:
    make_reachable()

    answer = Caller().get(f"/instances/box/logs?{query}")

    assert answer.status_code == 400
    assert field in fields(answer)
